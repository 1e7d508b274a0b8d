//! The leases of the source, as they are now.
//!
//! A member lists the leases that it has heard of, and when it lags it has not heard of all. A single lease is asked of the leader,
//! whoever is asked for it. So a list says what else to ask for, and never that a lease has ended.

use std::collections::BTreeSet;
use std::path::Path;

use futures::{StreamExt as _, TryStreamExt as _};
use keelson_proto::etcdserverpb::{LeaseTimeToLiveResponse, ResponseHeader};

use super::source::Source;
use super::{Error, same_cluster};
use crate::lease::Lease;
use crate::state::Draft;

/// Leases that are asked for at one time.
const AT_ONCE: usize = 16;

/// The leases that live, in the order of their ids: of those that the source lists and those that keys of `draft` have.
pub(super) async fn read(source: &Source, draft: &Draft, cluster_id: u64, partial: &Path) -> Result<Vec<Lease>, Error> {
    let same = |header: Option<ResponseHeader>| {
        same_cluster(cluster_id, header.map_or(0, |header| header.cluster_id), partial)
    };
    let listed = source.leases().await?;
    same(listed.header)?;
    let mut ids: BTreeSet<i64> = draft.lease_ids().map_err(Error::State)?.into_iter().collect();
    ids.extend(listed.leases.iter().map(|lease| lease.id));
    let asked = futures::stream::iter(ids).map(async |id| {
        let Some(found) = source.lease(id).await? else { return Ok(None) };
        same(found.header)?;
        Ok(living(id, &found))
    });
    let found = asked.buffer_unordered(AT_ONCE).try_filter_map(async |lease| Ok(lease));
    let mut leases: Vec<Lease> = found.try_collect().await?;
    leases.sort_unstable_by_key(|lease| lease.id);
    Ok(leases)
}

/// None when the lease has ended.
fn living(id: i64, found: &LeaseTimeToLiveResponse) -> Option<Lease> {
    if found.ttl < 0 {
        return None;
    }
    let ttl_seconds = found.granted_ttl.max(1);
    // 0 stands for all of it.
    let remaining_seconds = if found.ttl >= ttl_seconds { 0 } else { found.ttl.max(1) };
    Some(Lease { id, ttl_seconds, remaining_seconds })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keelson_proto::mvccpb::KeyValue;

    use super::super::Options;
    use super::super::stub::Stub;
    use super::*;

    const CLUSTER: u64 = 7;

    /// With a key for each of the leases.
    fn draft(folder: &Path, leases: &[i64]) -> Draft {
        let mut draft = Draft::open(&folder.join("draft"), usize::MAX).expect("opens");
        draft.begin(CLUSTER, 9, leases.len() as u64, &[]).expect("begins");
        for lease in leases {
            let pair = KeyValue {
                key: format!("{lease}").into(),
                create_revision: 3,
                mod_revision: 3,
                version: 1,
                lease: *lease,
                ..KeyValue::default()
            };
            draft.add(&[pair]).expect("adds");
        }
        draft
    }

    /// Longer than anything takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(120);

    async fn ask(endpoints: Vec<String>, leases: &[i64], patience: Duration) -> Result<Vec<i64>, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let draft = draft(folder.path(), leases);
        let mut options = Options::new(folder.path().join("to.snap"), endpoints);
        (options.patience, options.answer_timeout) = (patience, Duration::from_secs(1));
        let source = Source::new(&options).expect("URLs");
        let found = read(&source, &draft, CLUSTER, folder.path()).await?;
        Ok(found.into_iter().map(|lease| lease.id).collect())
    }

    #[tokio::test]
    async fn a_lease_that_a_list_lacks_lives_when_the_leader_says_so() {
        let lagging = Stub { cluster_id: CLUSTER, listed: vec![1, 4], living: vec![1, 2] };
        let url = lagging.serve().await;
        assert_eq!(ask(vec![url], &[2, 3], PATIENCE).await.expect("it answers"), [1, 2]);
    }

    #[tokio::test]
    async fn leases_of_another_cluster_are_not_taken() {
        let other = Stub { cluster_id: CLUSTER + 1, listed: vec![1], living: vec![1] };
        let refused = ask(vec![other.serve().await], &[1], PATIENCE).await.expect_err("it is another one");
        assert!(matches!(refused, Error::OtherCluster { found: 8, .. }), "{refused}");
    }

    #[tokio::test]
    async fn an_endpoint_that_never_answers_does_not_keep_the_others_from_being_asked() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let hanging = format!("http://{}", silent.local_addr().expect("it is bound"));
        let good = Stub { cluster_id: CLUSTER, listed: vec![1], living: vec![1] }.serve().await;
        assert_eq!(ask(vec![hanging.clone(), good], &[], PATIENCE).await.expect("one answers"), [1]);
        let refused = ask(vec![hanging.clone(), hanging], &[], Duration::ZERO).await.expect_err("none answers");
        assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");
    }
}
