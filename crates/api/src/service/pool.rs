//! A bounded good (places, bytes of memory) shared among users so that none of them can take it all.
//!
//! **Invariant**: what users in general hold leaves the reserve of the system's own alone, and what one user holds leaves a part
//! for the others of its sort.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::pipeline::{Identity, User};

/// Who takes: a user by the certificate of its connection. Whoever is nobody is all the same one.
#[derive(Clone, Debug, Default)]
pub struct Who(Option<Arc<User>>);

impl Who {
    pub fn new(identity: &Identity) -> Who {
        match identity {
            Identity::Verified(user) => Who(Some(user.clone())),
            Identity::Missing | Identity::Unverified(_) => Who(None),
        }
    }

    fn name(&self) -> &str {
        self.0.as_ref().map_or("", |user| user.name.as_str())
    }

    /// Administrators, and the components without which the cluster stands still.
    fn is_of_the_system(&self) -> bool {
        self.0.as_ref().is_some_and(|user| user.may_do_all())
    }
}

#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    all: usize,
    /// By users that are not of the system.
    others: usize,
    by: HashMap<String, usize>,
}

/// What somebody holds, until it is dropped.
#[derive(Debug)]
pub struct Taken {
    pool: Pool,
    who: Who,
    amount: usize,
}

impl Pool {
    pub fn new(max: usize) -> Pool {
        Pool(Arc::new(Inner { max, used: Mutex::default() }))
    }

    /// What users in general may hold together: a quarter is the system's.
    fn others_max(&self) -> usize {
        self.0.max - self.0.max / 4
    }

    /// What this one user may hold: a half of what there is for its sort, or three quarters for one of the system.
    fn user_max(&self, who: &Who) -> usize {
        let max = if who.is_of_the_system() { self.0.max - self.0.max / 4 } else { self.others_max() / 2 };
        max.max(1)
    }

    /// Takes `amount` if there is so much for `who`.
    pub fn take(&self, who: &Who, amount: usize) -> Option<Taken> {
        let mut taken = Taken { pool: self.clone(), who: who.clone(), amount: 0 };
        taken.more(amount).then_some(taken)
    }

    #[cfg(test)]
    pub fn used(&self) -> usize {
        self.0.used.lock().all
    }
}

impl Taken {
    /// Takes so much more if there is; otherwise keeps what it has.
    pub fn more(&mut self, amount: usize) -> bool {
        let is_other = !self.who.is_of_the_system();
        let mut used = self.pool.0.used.lock();
        let own = used.by.get(self.who.name()).copied().unwrap_or(0);
        let fits = used.all.saturating_add(amount) <= self.pool.0.max
            && (!is_other || used.others.saturating_add(amount) <= self.pool.others_max())
            && own.saturating_add(amount) <= self.pool.user_max(&self.who);
        if fits {
            used.add(&self.who, amount);
            self.amount += amount;
        }
        fits
    }

    /// Counts so much more although there may be no room: it is there already. Others are refused for it.
    pub fn more_anyway(&mut self, amount: usize) {
        self.pool.0.used.lock().add(&self.who, amount);
        self.amount += amount;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.pool.0.used.lock().give_back(&self.who, self.amount);
    }
}

impl Used {
    fn add(&mut self, who: &Who, amount: usize) {
        if amount == 0 {
            return;
        }
        self.all = self.all.saturating_add(amount);
        if !who.is_of_the_system() {
            self.others = self.others.saturating_add(amount);
        }
        match self.by.get_mut(who.name()) {
            Some(own) => *own = own.saturating_add(amount),
            None => {
                self.by.insert(who.name().to_owned(), amount);
            }
        }
    }

    fn give_back(&mut self, who: &Who, amount: usize) {
        self.all = self.all.saturating_sub(amount);
        if !who.is_of_the_system() {
            self.others = self.others.saturating_sub(amount);
        }
        if let Some(own) = self.by.get_mut(who.name()) {
            *own = own.saturating_sub(amount);
            if *own == 0 {
                self.by.remove(who.name());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str, groups: &[&str]) -> Who {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        Who::new(&Identity::Verified(Arc::new(User::known(name, groups))))
    }

    fn take_all(pool: &Pool, who: &Who) -> Vec<Taken> {
        std::iter::from_fn(|| pool.take(who, 1)).collect()
    }

    #[test]
    fn nobody_takes_what_is_left_for_others() {
        let pool = Pool::new(400);
        let (jane, joe) = (who("jane", &[]), who("joe", &[]));
        let (admin, node) = (who("admin", &["system:masters"]), who("system:node:a", &["system:nodes"]));
        let janes = take_all(&pool, &jane);
        assert_eq!(janes.len(), 150, "the half of what users have");
        assert_eq!(take_all(&pool, &Who::default()).len(), 150, "nobody is one user");
        let joes = take_all(&pool, &joe);
        assert_eq!(joes.len(), 150);
        assert!(pool.take(&who("jack", &[]), 1).is_none(), "the rest is the system's");
        let admins = take_all(&pool, &admin);
        assert_eq!(admins.len(), 100, "all that was left");
        drop(joes);
        drop(janes);
        assert_eq!(take_all(&pool, &admin).len(), 200, "three quarters are one administrator's");
        drop(admins);
        let admins = take_all(&pool, &admin);
        assert_eq!((admins.len(), take_all(&pool, &node).len()), (300, 100));
        drop(admins);
        assert_eq!(pool.used(), 0);
        assert!(pool.0.used.lock().by.is_empty(), "nothing is kept of who holds nothing");
    }

    #[test]
    fn more_is_taken_only_when_there_is_more() {
        let pool = Pool::new(8);
        let jane = who("jane", &[]);
        let mut taken = pool.take(&jane, 2).expect("fits");
        assert!(taken.more(1) && !taken.more(1));
        taken.more_anyway(10);
        assert_eq!(pool.used(), 13);
        assert!(pool.take(&who("admin", &["system:masters"]), 1).is_none());
        drop(taken);
        assert_eq!(pool.used(), 0);
    }
}
