//! Who waits for which batch, until it is applied here.
//!
//! Whichever member a command was handed in at answers it, from its own apply: replies do not travel between members, and
//! whoever got one finds the write in this member's state.
//!
//! **Invariant**: each command is answered once. Whoever takes a batch out answers its commands, or proposes them again
//! when they surely have not taken effect.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keelson_proto::keelson::store::v1::{Batch, Reply};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Queued;
use crate::{Error, machine};

/// Batches under way, by number.
#[derive(Clone)]
pub(crate) struct Answers {
    shared: Arc<Shared>,
}

struct Shared {
    own_id: u64,
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// The term of the newest entry applied.
    applied_term: u64,
    batches: BTreeMap<u64, Pending>,
}

struct Pending {
    term: u64,
    batch: Vec<Queued>,
    over: oneshot::Sender<Over>,
}

/// How the wait for a batch ended.
pub(super) enum Over {
    Answered,
    /// An entry of a later term was applied before the batch, so that it never will be.
    Superseded(Vec<Queued>),
}

/// Which of a member's batches an entry carried.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    member: u64,
    number: u64,
    term: u64,
}

impl Origin {
    pub(crate) fn of(batch: &Batch) -> Self {
        Self { member: batch.origin_member, number: batch.origin_batch, term: batch.term }
    }
}

impl Answers {
    pub(crate) fn new(own_id: u64) -> Self {
        // A batch of an earlier run of this member, applied again after a restart, must not meet a number of this one.
        let next = AtomicU64::new(machine::random_start());
        Self { shared: Arc::new(Shared { own_id, next, waiting: Mutex::default() }) }
    }

    pub(super) fn own_id(&self) -> u64 {
        self.shared.own_id
    }

    /// Notes that `batch` is about to be proposed to the leader of `term`.
    pub(super) fn expect(&self, term: u64, batch: Vec<Queued>) -> (u64, oneshot::Receiver<Over>) {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (over, ended) = oneshot::channel();
        let mut waiting = self.shared.waiting.lock();
        if waiting.applied_term > term {
            drop(waiting);
            // Whoever proposes waits on the other end.
            drop(over.send(Over::Superseded(batch)));
        } else {
            waiting.batches.insert(number, Pending { term, batch, over });
        }
        (number, ended)
    }

    /// Takes a batch back, unless its wait is over.
    pub(super) fn take(&self, number: u64) -> Option<Vec<Queued>> {
        self.shared.waiting.lock().batches.remove(&number).map(|pending| pending.batch)
    }

    /// An entry of `term` was applied, with these replies if it carried a batch.
    pub(crate) fn applied(&self, term: u64, carried: Option<(Origin, Vec<Reply>)>) {
        let (answered, superseded) = {
            let mut waiting = self.shared.waiting.lock();
            let superseded = waiting.enter(term);
            let own = carried.filter(|(origin, _)| origin.member == self.shared.own_id && origin.term == term);
            let answered = own.and_then(|(origin, replies)| Some((waiting.batches.remove(&origin.number)?, replies)));
            (answered, superseded)
        };
        if let Some((pending, replies)) = answered {
            answer(pending.batch, replies);
            // The proposer may have given up.
            drop(pending.over.send(Over::Answered));
        }
        for pending in superseded {
            drop(pending.over.send(Over::Superseded(pending.batch)));
        }
    }

    /// The state was replaced by one in which nobody can see which batches it contains.
    pub(crate) fn replaced(&self) {
        let batches = std::mem::take(&mut self.shared.waiting.lock().batches);
        for pending in batches.into_values() {
            unknown(pending.batch);
            drop(pending.over.send(Over::Answered));
        }
    }
}

impl Waiting {
    /// Takes out what can no longer be applied once an entry of `term` was.
    fn enter(&mut self, term: u64) -> Vec<Pending> {
        if term <= self.applied_term {
            return Vec::new();
        }
        self.applied_term = term;
        self.batches.extract_if(.., |_, pending| pending.term < term).map(|(_, pending)| pending).collect()
    }
}

fn answer(batch: Vec<Queued>, replies: Vec<Reply>) {
    if replies.len() != batch.len() {
        return unknown(batch);
    }
    for (queued, reply) in batch.into_iter().zip(replies) {
        // Whoever asked may have gone.
        drop(queued.answer.send(Ok(reply)));
    }
}

/// Answers that nobody knows whether the commands take effect.
pub(super) fn unknown(batch: Vec<Queued>) {
    for queued in batch {
        drop(queued.answer.send(Err(Error::Unknown)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::propose::tests::queued;

    const OWN: u64 = 7;

    fn origin(number: u64, term: u64) -> Origin {
        Origin { member: OWN, number, term }
    }

    #[tokio::test]
    async fn a_batch_is_answered_by_its_own_entry() {
        let answers = Answers::new(OWN);
        let (one, answered) = queued();
        let (number, over) = answers.expect(3, vec![one]);
        answers.applied(3, Some((Origin { member: OWN + 1, number, term: 3 }, vec![Reply::default()])));
        answers.applied(3, Some((origin(number.wrapping_add(1), 3), vec![Reply::default()])));
        answers.applied(3, Some((origin(number, 3), vec![Reply::default()])));
        assert!(matches!(over.await, Ok(Over::Answered)));
        assert!(matches!(answered.await, Ok(Ok(_))));
        assert!(answers.take(number).is_none(), "it is answered once");
    }

    #[tokio::test]
    async fn a_later_term_gives_back_what_was_not_applied() {
        let answers = Answers::new(OWN);
        let (one, mut answered) = queued();
        let (number, over) = answers.expect(3, vec![one]);
        // The leader of term 4 was handed the batch of term 3; its entry is passed over.
        answers.applied(4, Some((origin(number, 3), Vec::new())));
        let Ok(Over::Superseded(batch)) = over.await else { panic!("it is given back") };
        assert_eq!(batch.len(), 1);
        assert!(answered.try_recv().is_err(), "nothing was answered yet");
        let (_, over) = answers.expect(3, batch);
        assert!(matches!(over.await, Ok(Over::Superseded(_))), "nothing is proposed to a past term");
    }

    #[tokio::test]
    async fn a_replaced_state_leaves_the_outcome_unknown() {
        let answers = Answers::new(OWN);
        let (one, answered) = queued();
        let (_, over) = answers.expect(3, vec![one]);
        answers.replaced();
        assert!(matches!(over.await, Ok(Over::Answered)));
        assert!(matches!(answered.await, Ok(Err(Error::Unknown))));
    }
}
