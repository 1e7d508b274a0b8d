//! The table as requests see it: whether there is anything to check, at the cost of one atomic load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::Table;

/// The newest table that this member has applied. Survives the replacement of the state by a snapshot.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The table's epoch, doubled, and one more while authentication is on.
    word: AtomicU64,
    table: ArcSwap<Table>,
}

impl Gate {
    pub(crate) fn new(table: Table) -> Self {
        Self { word: word(&table).into(), table: ArcSwap::new(Arc::new(table)) }
    }

    /// The epoch, and whether authentication is on.
    pub(crate) fn now(&self) -> (u64, bool) {
        let word = self.word.load(Ordering::Acquire);
        (word >> 1, word & 1 == 1)
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// The table comes first: who sees the new word must find no older table.
    pub(crate) fn set(&self, table: Arc<Table>) {
        let word = word(&table);
        self.table.store(table);
        self.word.store(word, Ordering::Release);
    }
}

fn word(table: &Table) -> u64 {
    table.epoch() << 1 | u64::from(table.enabled())
}
