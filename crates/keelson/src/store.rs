//! `keelson store`: backups of a store, imports from etcd, and new clusters made of them. `keelctl store` runs this.

mod import;
mod snapshot;

use clap::Subcommand;

/// Back the store up, restore it, and import etcd's keys.
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Save, inspect and restore backups
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    /// Import the keys of a live etcd cluster into a file that a new cluster is restored from
    ///
    /// Keys keep their create and mod revisions, versions, values and leases, and leases their ids and what is left of their
    /// times to live; the new cluster counts on from the source's revision. Read is one revision, the newest at the beginning:
    /// what is written to the source later is not imported, so stop its writers before. Neither are versions that were
    /// overwritten before it: the new cluster counts as compacted there, and watchers with older revisions read anew. Users and
    /// roles are not imported.
    ///
    /// An import that was interrupted goes on when the same command is run again. What was received so far is in a folder
    /// beside the file, of its name and ".part"; together they need room for the content twice.
    Import(import::Import),
}

impl Store {
    /// Does it.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Snapshot(snapshot) => snapshot.run(),
            Self::Import(import) => import.run(),
        }
    }
}
