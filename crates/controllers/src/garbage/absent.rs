//! Owners that are known to be gone.

use std::collections::HashSet;

use super::Target;

/// How many owners that were read are remembered. An entry saves one read for each dependent of a large owner.
const READ_MAX: usize = 4096;
/// How many objects of users' kinds that were seen to go are remembered.
const SEEN_MAX: usize = 65_536;

/// UIDs never come back.
#[derive(Default)]
pub(super) struct Absent {
    /// What was read and not found: by its name, too, since a reference that is wrong says nothing of others with its UID.
    read: HashSet<(Target, String)>,
    /// UIDs of objects of users' kinds that were seen to go and had dependents: nobody can be asked for them when their kind
    /// is gone, too.
    seen: HashSet<String>,
}

impl Absent {
    pub fn read(&mut self, name: Target, uid: String) {
        if self.read.len() >= READ_MAX {
            self.read.clear();
        }
        self.read.insert((name, uid));
    }

    pub fn was_read(&self, name: Target, uid: &str) -> bool {
        self.read.contains(&(name, uid.to_owned()))
    }

    pub fn see(&mut self, uid: String) {
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        self.seen.insert(uid);
    }

    pub fn was_seen(&self, uid: &str) -> bool {
        self.seen.contains(uid)
    }
}

#[cfg(test)]
mod tests {
    use keelson_client::Resource;
    use keelson_types::meta::Key;

    use super::*;

    #[test]
    fn a_wrong_reference_says_nothing_of_a_right_one() {
        let target = |resource: &str, namespace: &str, name: &str| Target {
            resource: Resource::new("apps", "v1", resource),
            key: Key::new(namespace, name),
        };
        let mut absent = Absent::default();
        absent.read(target("statefulsets", "wrong", "db"), "1".to_owned());
        absent.read(target("statefulsets", "blue", "wrong"), "1".to_owned());
        absent.read(target("jobs", "blue", "db"), "1".to_owned());
        absent.read(target("statefulsets", "blue", "db"), "2".to_owned());
        assert!(!absent.was_read(target("statefulsets", "blue", "db"), "1"));
        assert!(absent.was_read(target("statefulsets", "blue", "db"), "2"));
        assert!(!absent.was_seen("1"), "it was not seen to go");
        absent.see("1".to_owned());
        assert!(absent.was_seen("1"));
    }
}
