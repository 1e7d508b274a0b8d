//! What writers and watchers know together: when each put was sent and committed, and what became of its events.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use hdrhistogram::Histogram;
use tokio::sync::Notify;

use crate::load::{histogram, record};

/// Shared by all tasks of a run; they run on one thread.
pub struct Board {
    puts: RefCell<Vec<Put>>,
    /// How many prefixes the writers go round.
    pub prefixes: usize,
    seen: RefCell<Seen>,
    received: Cell<u64>,
    disorder: Cell<u64>,
    created: Cell<usize>,
    changed: Notify,
}

struct Put {
    sent: Instant,
    committed: Option<Instant>,
}

/// Latencies of the events of some time.
pub struct Seen {
    /// From the answer of the put to the event; an event that overtook the answer counts as no time.
    pub from_commit: Histogram<u64>,
    /// From the put being sent to the event.
    pub from_put: Histogram<u64>,
}

impl Seen {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { from_commit: histogram()?, from_put: histogram()? })
    }
}

impl Board {
    /// Nothing was put yet.
    pub fn new(prefixes: usize) -> anyhow::Result<Self> {
        Ok(Self {
            puts: RefCell::default(),
            prefixes,
            seen: RefCell::new(Seen::new()?),
            received: Cell::new(0),
            disorder: Cell::new(0),
            created: Cell::new(0),
            changed: Notify::new(),
        })
    }

    /// A put is about to be sent; returns its number.
    pub fn send(&self) -> usize {
        let mut puts = self.puts.borrow_mut();
        puts.push(Put { sent: Instant::now(), committed: None });
        puts.len() - 1
    }

    /// A put was answered.
    pub fn commit(&self, number: usize) {
        self.puts.borrow_mut()[number].committed = Some(Instant::now());
    }

    /// How many puts there were.
    pub fn puts(&self) -> u64 {
        self.puts.borrow().len() as u64
    }

    /// The event of a put arrived at a watcher. `false` if there was no such put.
    pub fn receive(&self, number: usize, now: Instant) -> bool {
        let puts = self.puts.borrow();
        let Some(put) = puts.get(number) else { return false };
        let mut seen = self.seen.borrow_mut();
        let committed = put.committed.unwrap_or(now);
        record(&mut seen.from_commit, now.saturating_duration_since(committed));
        record(&mut seen.from_put, now.saturating_duration_since(put.sent));
        self.received.set(self.received.get() + 1);
        true
    }

    /// An event came twice, or after a later one.
    pub fn count_disorder(&self) {
        self.disorder.set(self.disorder.get() + 1);
    }

    /// How many did.
    pub fn disorder(&self) -> u64 {
        self.disorder.get()
    }

    /// How many events arrived.
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// A watcher is there.
    pub fn create(&self) {
        self.created.set(self.created.get() + 1);
    }

    /// How many are.
    pub fn created(&self) -> usize {
        self.created.get()
    }

    /// A watcher has taken a whole answer: somebody may wait for that.
    pub fn announce(&self) {
        self.changed.notify_one();
    }

    /// Waits for a condition, looked at after each answer. For one waiter.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            self.changed.notified().await;
        }
    }

    /// Latencies since the last cut.
    pub fn cut(&self) -> anyhow::Result<Seen> {
        Ok(self.seen.replace(Seen::new()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_overtakes_its_answer_counts_as_no_time() {
        let board = Board::new(1).expect("a board");
        let number = board.send();
        assert!(board.receive(number, Instant::now()));
        board.commit(number);
        assert!(!board.receive(number + 1, Instant::now()), "there was no such put");
        assert_eq!((board.puts(), board.received()), (1, 1));
        let seen = board.cut().expect("a cut");
        assert_eq!((seen.from_commit.len(), seen.from_commit.max()), (1, 0));
        assert_eq!(board.cut().expect("a cut").from_put.len(), 0);
    }
}
