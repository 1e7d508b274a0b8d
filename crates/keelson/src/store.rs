//! `keelson store`: backups of a store, and new clusters made of them. `keelctl store` runs this.

mod snapshot;

use clap::Subcommand;

/// Back the store up, and restore it.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Save, inspect and restore backups
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
}

impl Store {
    /// Does it.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Snapshot(snapshot) => snapshot.run(),
        }
    }
}
