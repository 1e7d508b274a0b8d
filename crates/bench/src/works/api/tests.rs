//! Each work for a fraction of a second, or on little data, on a cluster of one member: what it counts must be what the API then
//! serves. No figure of time is looked at.

use std::num::NonZeroU32;

use super::super::tests::{counted, on_one_thread, options, value};
use super::*;
use crate::driver::Work;
use crate::figure::Figure;
use crate::side::Kind;

async fn run(work: &dyn Work, side: &Side) -> Vec<Figure> {
    assert!(!work.has_peer() && !work.published().is_empty(), "{}", work.title());
    work.prepare(side).await.expect("it is prepared");
    work.run(side, &options()).await.unwrap_or_else(|error| panic!("{}: {error:?}", work.title()))
}

/// How many objects there are in a collection, as the API says.
async fn objects_in(side: &Side, collection: &str) -> usize {
    let mut rest = load::connect_to_api(side, 1).await.expect("a connection").remove(0);
    let list = rest.call(Verb::Get, path(collection).expect("is a path"), Bytes::new()).await.expect("a list");
    let list: serde_json::Value = serde_json::from_slice(&list).expect("is JSON");
    list["items"].as_array().expect("has items").len()
}

#[test]
fn works_on_the_api_count_what_it_serves() {
    on_one_thread(async {
        let side = Side::start(Kind::Keelson, &options()).await.expect("a cluster");

        for (kind, objects) in [(memory::Kind::Configmaps, 230), (memory::Kind::Pods, 40)] {
            let figures = run(&Memory { objects, data_bytes: 1_000, kind }, &side).await;
            let wire = value(&figures, "wire bytes of an object");
            assert!(wire > 1_000.0 && value(&figures, "cache bytes of an object") > wire, "{figures:?}");
            assert!(value(&figures, "cache by wire") < 2.0, "an object is held once: {figures:?}");
            assert!(value(&figures, "RSS of an empty member") > 1.0, "a member has more than a MiB");
        }

        // It fails by itself if a list is not whole.
        let list = List { objects: 30, data_bytes: 100_000, lists: 3 };
        let figures = run(&list, &side).await;
        assert!(value(&figures, "size of a list") > 3.0 && value(&figures, "speed, lists at once") > 0.0);

        let pace = NonZeroU32::new(20);
        for writes_per_second in [pace, None] {
            let watch = Watch { watchers: 30, connections: 4, writers: 2, writes_per_second };
            let figures = run_watch(&watch, &side).await;
            assert_eq!((value(&figures, "lost"), value(&figures, "doubled or out of order")), (0.0, 0.0));
            assert!(value(&figures, "rate") > 0.0, "{figures:?}");
        }

        let figures = run(&Lease { clients: 10, nodes: 25 }, &side).await;
        counted(&figures);
        assert_eq!(objects_in(&side, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases").await, 25);

        for what in [What::Get, What::List, What::Patch] {
            let rates = Rates { what, clients: 3 };
            if what == What::Get {
                rates.prepare(&side).await.expect("it is prepared");
            }
            let figures = rates.run(&side, &options()).await.unwrap_or_else(|error| panic!("{what:?}: {error:?}"));
            counted(&figures);
        }
        let maps = "/api/v1/namespaces/bench-rates/configmaps";
        let before = objects_in(&side, maps).await;
        let figures = run(&Rates { what: What::Create, clients: 3 }, &side).await;
        let grown = objects_in(&side, maps).await - before;
        assert!(grown as i64 >= counted(&figures), "each create is an object");
    });
}

/// Its objects are there after the first time.
async fn run_watch(watch: &Watch, side: &Side) -> Vec<Figure> {
    if watch.writes_per_second.is_some() {
        return run(watch, side).await;
    }
    watch.run(side, &options()).await.unwrap_or_else(|error| panic!("{}: {error:?}", watch.title()))
}
