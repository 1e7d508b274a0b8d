//! The cases, by service.

mod clients;
mod clusters;
mod compaction;
mod etcdctl;
mod keys;
mod leases;
mod limits;
mod maintenance;
mod members;
mod ownership;
mod pages;
mod transactions;
mod users;
mod watches;

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

use crate::run::Run;

/// Runs groups one after the other. What ends one by a panic is a server that is gone, or not as the group needs it; the
/// others are asked for all the same.
macro_rules! run_groups {
    ($run:ident, $($group:path),* $(,)?) => {$(
        if AssertUnwindSafe(Box::pin($group($run))).catch_unwind().await.is_err() {
            $run.stopped();
        }
    )*};
}

/// Runs the cases of a single member. Groups keep to keys of their own; the one that compacts comes last, since it ends the past for all. What the
/// page of metrics has is read before members are added, since connections to them are measured.
pub async fn of_one(run: &mut Run) {
    run_groups!(
        run,
        keys::ranges,
        keys::puts,
        keys::deletions,
        transactions::comparisons,
        transactions::operations,
        transactions::refusals,
        leases::all,
        watches::streams,
        watches::events,
        ownership::locks,
        ownership::elections,
        limits::sizes,
        limits::unknown_methods,
        limits::versions,
        clients::etcd_client,
        clients::etcd_client_watches,
        clients::etcd_client_of_the_cluster,
        etcdctl::all,
        pages::http,
        pages::json,
        members::all,
        maintenance::all,
        users::all,
        compaction::all,
    );
}

/// Runs the cases of a cluster, of which each run speaks to one member.
pub async fn of_three(runs: &mut [Run; 3]) {
    if AssertUnwindSafe(Box::pin(clusters::all(runs))).catch_unwind().await.is_err() {
        runs[0].stopped();
    }
}
