//! The cases, by service.

mod clients;
mod compaction;
mod keys;
mod leases;
mod limits;
mod ownership;
mod transactions;
mod watches;

use crate::run::Run;

/// Runs all cases. Groups keep to keys of their own; the one that compacts comes last, since it ends the past for all.
pub async fn all(run: &mut Run) {
    keys::ranges(run).await;
    keys::puts(run).await;
    keys::deletions(run).await;
    transactions::comparisons(run).await;
    transactions::operations(run).await;
    transactions::refusals(run).await;
    leases::all(run).await;
    watches::streams(run).await;
    watches::events(run).await;
    ownership::locks(run).await;
    ownership::elections(run).await;
    limits::sizes(run).await;
    limits::unknown_methods(run).await;
    clients::etcd_client(run).await;
    compaction::all(run).await;
}
