//! Each work for a fraction of a second on a cluster of one member: what it counts must be what the store then holds. No
//! figure of time is looked at.

use std::path::PathBuf;

use keelson_proto::etcdserverpb::{RangeRequest, RangeResponse};

use super::*;
use crate::driver::Work;
use crate::figure::{ERRORS, Figure, RATE};
use crate::options::{Only, Options};
use crate::side::{Kind, Side};
use crate::wire::{Connection, Failure, Method};

/// Each run counts so many, on a slow machine by taking longer: of every client some, in the mixed load a write too.
const STEPS_MIN: u64 = 100;

pub(super) fn options() -> Options {
    Options {
        pairs: 1,
        seconds: 0.3,
        warm_up_seconds: 0.05,
        steps_min: STEPS_MIN,
        members: 1,
        tls: false,
        only: Some(Only::Ours),
        keelson: None,
        etcd: Some(PathBuf::from("/nowhere")),
        json: None,
        plot: None,
    }
}

pub(super) fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// What a run says of one figure.
pub(super) fn value(figures: &[Figure], name: &str) -> f64 {
    figures.iter().find(|figure| figure.name == name).unwrap_or_else(|| panic!("no {name} in {figures:?}")).value
}

async fn read(side: &Side, request: RangeRequest) -> Result<RangeResponse, Failure> {
    let endpoint = side.leader_first().await.expect("a leader").remove(0);
    Connection::open(&endpoint).await.expect("a connection").ask(Method::Range, &request).await
}

async fn revision(side: &Side) -> i64 {
    let any = RangeRequest { key: "/bench".into(), ..RangeRequest::default() };
    read(side, any).await.expect("a read").header.expect("a header").revision
}

/// Prepares and runs a work: its figures, and by how much the store's revision grew during the run.
async fn run(work: &dyn Work, side: &Side) -> (Vec<Figure>, i64) {
    let options = options();
    work.prepare(side).await.expect("it is prepared");
    let before = revision(side).await;
    let figures = work.run(side, &options).await.unwrap_or_else(|error| panic!("{}: {error:?}", work.title()));
    (figures, revision(side).await - before)
}

/// How many units a run counted at least, as its rate says. The window is never shorter than asked for, but may be longer.
pub(super) fn counted(figures: &[Figure]) -> i64 {
    assert_eq!(figures.iter().find(|figure| figure.name == ERRORS).map_or(0.0, |errors| errors.value), 0.0);
    let rate = value(figures, RATE);
    assert!(rate > 0.0, "nothing was counted: {figures:?}");
    (rate * options().seconds) as i64
}

#[test]
fn loads_count_what_the_store_did() {
    on_one_thread(async {
        let side = Side::start(Kind::Keelson, &options()).await.expect("a cluster");

        let (figures, grown) = run(&Put { clients: 20, value_bytes: VALUE_BYTES }, &side).await;
        assert!(grown >= counted(&figures), "each put is a revision");

        for serializable in [false, true] {
            let (figures, grown) = run(&Read { clients: 20, serializable }, &side).await;
            assert_eq!(grown, 0, "{} reads wrote", counted(&figures));
        }

        let (figures, grown) = run(&Mixed { clients: 20 }, &side).await;
        let requests = counted(&figures);
        assert!(grown > 0 && grown >= (requests - 5 * 20) / 5, "{grown} writes among {requests} requests");

        let (figures, grown) = run(&Update { clients: 20 }, &side).await;
        assert!(grown >= counted(&figures), "each update is a revision");

        let (figures, grown) = run(&List { clients: 2 }, &side).await;
        assert_eq!(grown, 0, "{} lists wrote", counted(&figures));

        let (figures, grown) = run(&KeepAlive { streams: 20 }, &side).await;
        assert_eq!(grown, 0, "{} keep-alives wrote", counted(&figures));
    });
}

#[test]
fn watchers_see_every_event_once_and_in_order() {
    on_one_thread(async {
        let side = Side::start(Kind::Keelson, &options()).await.expect("a cluster");
        let alone = Watch { watchers: 10, prefixes: 1, streams: 10, connections: 2, writers: 2 };
        let crowd = Watch { watchers: 100, prefixes: 10, streams: 10, connections: 5, writers: 2 };
        for watch in [alone, crowd] {
            let (figures, grown) = run(&watch, &side).await;
            assert!(grown > 0 && counted(&figures) >= 0);
            assert_eq!(value(&figures, "lost"), 0.0);
            assert_eq!(value(&figures, "doubled or out of order"), 0.0);
        }
    });
}

#[test]
fn works_with_much_data_leave_what_they_say() {
    on_one_thread(async {
        let side = Side::start(Kind::Keelson, &options()).await.expect("a cluster");

        let versions = Versions { versions: 300, clients: 2 };
        let (figures, _) = run(&versions, &side).await;
        assert_eq!(value(&figures, ERRORS), 0.0);
        let long = read(&side, RangeRequest { key: versions::LONG.into(), ..RangeRequest::default() }).await;
        assert_eq!(long.expect("a read").kvs[0].version, 300);

        // It fails by itself if a list is not whole.
        let (figures, _) = run(&Large { keys: 2_050, value_bytes: 1 << 10 }, &side).await;
        for figure in ["load", "loaded by empty", "list, pages", "list, stream"] {
            assert!(value(&figures, figure) > 0.0);
        }
        assert!(value(&figures, "RSS, stream") > 1.0, "a member has more than a MiB");

        let before = revision(&side).await;
        // So many that what they leave is most of what there is: it ends when half of all bytes are gone.
        let (figures, grown) = run(&Compaction { revisions: 30_000, clients: 1 }, &side).await;
        assert_eq!(value(&figures, ERRORS), 0.0);
        assert!(grown > 30_000, "the history and the load");
        assert!(value(&figures, "in use after") <= value(&figures, "in use before") / 2.0);
        let old = RangeRequest { key: "/bench".into(), revision: before, ..RangeRequest::default() };
        let failure = read(&side, old).await.expect_err("the history is gone");
        assert!(failure.to_string().contains("compacted"), "{failure}");
    });
}

#[test]
fn a_server_without_work_serves_the_works_that_have_a_limit_with_and_without_tls() {
    on_one_thread(async {
        for tls in [false, true] {
            let options = Options { tls, members: 3, ..options() };
            let side = Side::start(Kind::Nothing, &options).await.expect("it starts");
            let works: [&dyn Work; 4] = [
                &Put { clients: 20, value_bytes: VALUE_BYTES },
                &Read { clients: 20, serializable: false },
                &Update { clients: 20 },
                &KeepAlive { streams: 20 },
            ];
            for work in works {
                assert!(work.has_limit());
                work.prepare(&side).await.expect("it is prepared");
                counted(&work.run(&side, &options).await.expect("it runs"));
            }
        }
    });
}
