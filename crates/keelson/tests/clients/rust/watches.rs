//! Watchers and reflectors: resumed after a cut connection at another member, begun anew when that is too late.

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::cluster::{Cluster, OWN, configmap, in_time, until};
use crate::cut::Relay;

/// Together, a good deal more than the 8 MiB of each kind's history that a member keeps.
const CHANGES: usize = 24;
const CHANGE_BYTES: usize = 500_000;

/// The same pause after each error. The crate's own grows to a minute, and while a way is cut there are many errors: then the
/// next attempt would come when the test has given up.
struct Steady;

const PAUSE: Duration = Duration::from_millis(100);

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(PAUSE)
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}

/// The next event, past errors, which this crate reports and recovers from.
async fn next(events: &mut (impl Stream<Item = watcher::Result<Event<ConfigMap>>> + Unpin)) -> String {
    let coming = async {
        loop {
            match events.next().await.expect("a watcher never ends") {
                Ok(event) => return event.to_string(),
                Err(error) => println!("as expected: {error}"),
            }
        }
    };
    in_time("an event", coming).await
}

/// Changes an object until more has happened than a member remembers, and forgets what was before.
async fn much_happens(cluster: &Cluster, name: &str) {
    let mut newest = None;
    for number in 0..CHANGES {
        let patch = json!({"data": {"large": "x".repeat(CHANGE_BYTES), "number": number.to_string()}});
        let changed = cluster.configmaps(0).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        newest = changed.expect("is changed").resource_version();
    }
    cluster.compact(&newest.expect("a version")).await;
}

#[tokio::test]
async fn a_watcher_goes_on_after_a_cut_connection() {
    let cluster = Cluster::with_namespace("a-watcher-goes-on").await;
    let one = cluster.configmaps(0);
    let way = Relay::to(1).await;
    for (config, name) in [(watcher::Config::default(), "a"), (watcher::Config::default().streaming_lists(), "b")] {
        let watched: Api<ConfigMap> = Api::namespaced(way.client().await, &cluster.namespace);
        let config = config.labels("watched");
        let mut events = pin!(watcher(watched, config).backoff(Steady));
        assert_eq!(next(&mut events).await, "Init");
        assert_eq!(next(&mut events).await, "InitDone");
        let put = async |name: &str| {
            let mut new = configmap(name, &[]);
            new.labels_mut().insert("watched".to_owned(), "yes".to_owned());
            one.create(&PostParams::default(), &new).await.expect("is made");
        };
        put(name).await;
        assert_eq!(next(&mut events).await, format!("Apply({name})"));

        way.cut();
        // While it cannot see anything, this happens.
        let other = format!("{name}-other");
        put(&other).await;
        let unlabelled = Patch::Merge(json!({"metadata": {"labels": {"watched": null}}}));
        one.patch(&other, &PatchParams::default(), &unlabelled).await.expect("is changed");
        one.delete(name, &DeleteParams::default()).await.expect("is deleted");
        way.mend(2).await;
        // Each of it comes, from another member, and nothing is listed anew.
        assert_eq!(next(&mut events).await, format!("Apply({other})"));
        assert_eq!(next(&mut events).await, format!("Delete({other})"));
        assert_eq!(next(&mut events).await, format!("Delete({name})"));
        way.cut();
        way.mend(1).await;
    }
}

#[tokio::test]
async fn a_watcher_begins_anew_when_it_comes_too_late() {
    let cluster = Cluster::with_namespace("a-watcher-begins-anew").await;
    let one = cluster.configmaps(0);
    let way = Relay::to(1).await;
    for name in ["a", "b"] {
        one.create(&PostParams::default(), &configmap(name, &[])).await.expect("is made");
    }
    let watched: Api<ConfigMap> = Api::namespaced(way.client().await, &cluster.namespace);
    let mut events = pin!(watcher(watched, watcher::Config::default().fields(OWN)).backoff(Steady));
    for expected in ["Init", "InitApply(a)", "InitApply(b)", "InitDone"] {
        assert_eq!(next(&mut events).await, expected);
    }
    way.cut();
    one.delete("a", &DeleteParams::default()).await.expect("is deleted");
    much_happens(&cluster, "b").await;
    way.mend(2).await;
    for expected in ["Init", "InitApply(b)", "InitDone"] {
        assert_eq!(next(&mut events).await, expected);
    }
    one.delete("b", &DeleteParams::default()).await.expect("is deleted");
    assert_eq!(next(&mut events).await, "Delete(b)");
}

#[tokio::test]
async fn reflectors_follow() {
    let cluster = Cluster::with_namespace("reflectors-follow").await;
    let one = cluster.configmaps(0);
    one.create(&PostParams::default(), &configmap("before", &[("is", "old")])).await.expect("is made");

    let (whole, writer) = reflector::store();
    let config = watcher::Config::default().fields(OWN).streaming_lists();
    let reflecting = reflector(writer, watcher(cluster.configmaps(1), config)).backoff(Steady);
    let whole_task = tokio::spawn(reflecting.for_each(|_| async {}));
    let (metadata, writer) = reflector::store();
    let only: Api<PartialObjectMeta<ConfigMap>> = cluster.api(2);
    let reflecting = reflector(writer, watcher(only, watcher::Config::default().fields(OWN))).backoff(Steady);
    let metadata_task = tokio::spawn(reflecting.for_each(|_| async {}));

    in_time("the first store is filled", whole.wait_until_ready()).await.expect("goes on");
    in_time("the second store is filled", metadata.wait_until_ready()).await.expect("goes on");
    let of = |name: &str| reflector::ObjectRef::new(name).within(&cluster.namespace);
    assert_eq!(whole.get(&of("before")).expect("is there").data.as_ref().expect("data")["is"], "old");

    one.create(&PostParams::default(), &configmap("after", &[])).await.expect("is made");
    one.delete("before", &DeleteParams::default()).await.expect("is deleted");
    let names = || {
        let mut names = [whole.state().iter().map(|found| found.name_any()).collect::<Vec<_>>(), Vec::new()];
        names[1] = metadata.state().iter().map(|found| found.name_any()).collect();
        names
    };
    until("both have what there is", || async { (names() == [["after"], ["after"]]).then_some(()) }).await;
    whole_task.abort();
    metadata_task.abort();
}
