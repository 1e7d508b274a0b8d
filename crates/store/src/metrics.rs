//! What a member measures of itself, shown to Prometheus under the names that etcd's dashboards and alerts use.
//!
//! **Invariant**: every figure is measured. What this store does not have is left out rather than shown as zero.
//!
//! A measurement on the way of a request is an atomic addition to a counter that was looked up before; everything that can
//! be read from the member itself is read when it is asked for.

pub(crate) mod grpc;
mod now;
mod parts;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Encoder as _, Histogram, IntCounter, IntGauge, Registry, TextEncoder, exponential_buckets};

pub(crate) use now::Scrape;
pub(crate) use parts::{LeaseFigures, LogFigures, OnePeer, PeerFigures, StateFigures};

use now::Now;

/// The content type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All figures of one member.
pub(crate) struct Metrics {
    registry: Registry,
    now: Now,
    pub(crate) grpc: grpc::Grpc,
    pub(crate) leases: LeaseFigures,
    pub(crate) peers: PeerFigures,
    pub(crate) leader_changes: IntCounter,
    pub(crate) proposals_pending: IntGauge,
    pub(crate) proposals_failed: IntCounter,
    pub(crate) read_indexes_failed: IntCounter,
    pub(crate) read_indexes_slow: IntCounter,
    pub(crate) hash_seconds: Histogram,
    pub(crate) hash_rev_seconds: Histogram,
    pub(crate) promotions: IntCounter,
    pub(crate) ranges: IntCounter,
    pub(crate) watch_streams: IntGauge,
    pub(crate) watch_events: IntCounter,
    pub(crate) health_successes: IntCounter,
    pub(crate) health_failures: IntCounter,
}

impl Metrics {
    /// For the member `member_id`; log and state have begun to measure already.
    pub(crate) fn new(member_id: u64, log: &LogFigures, state: &StateFigures) -> Self {
        let registry = Registry::new();
        let metrics = Self {
            now: Now::new(&registry, member_id),
            grpc: grpc::Grpc::new(&registry),
            leases: LeaseFigures::default(),
            peers: PeerFigures::default(),
            leader_changes: counter(
                "etcd_server_leader_changes_seen_total",
                "Times that another member began to lead.",
            ),
            proposals_pending: gauge("etcd_server_proposals_pending", "Clients' writes that are under way."),
            proposals_failed: counter(
                "etcd_server_proposals_failed_total",
                "Clients' writes that were not proposed, or whose outcome is not known.",
            ),
            read_indexes_failed: counter(
                "etcd_server_read_indexes_failed_total",
                "Linearizable reads that no leader confirmed in time.",
            ),
            read_indexes_slow: counter(
                "etcd_server_slow_read_indexes_total",
                "Linearizable reads that a leader took more than half a second to confirm.",
            ),
            hash_seconds: parts::histogram("etcd_mvcc_hash_duration_seconds", "How long Hash takes.", hash_buckets()),
            hash_rev_seconds: parts::histogram(
                "etcd_mvcc_hash_rev_duration_seconds",
                "How long HashKV takes.",
                hash_buckets(),
            ),
            promotions: counter(
                "etcd_server_learner_promote_successes",
                "Learners that were promoted by this member at a client's wish.",
            ),
            ranges: counter("etcd_mvcc_range_total", "Ranges that this member has read."),
            watch_streams: gauge("etcd_debugging_mvcc_watch_stream_total", "Watch streams that are open."),
            watch_events: counter("etcd_debugging_mvcc_events_total", "Events sent to watchers of the etcd port."),
            health_successes: counter("etcd_server_health_success", "Health checks over HTTP that passed."),
            health_failures: counter("etcd_server_health_failures", "Health checks over HTTP that failed."),
            registry,
        };
        metrics.register(log, state);
        metrics
    }

    fn register(&self, log: &LogFigures, state: &StateFigures) {
        let registry = &self.registry;
        log.register(registry);
        state.register(registry);
        self.leases.register(registry);
        self.peers.register(registry);
        for own in [
            &self.leader_changes,
            &self.proposals_failed,
            &self.read_indexes_failed,
            &self.read_indexes_slow,
            &self.promotions,
            &self.ranges,
            &self.watch_events,
            &self.health_successes,
            &self.health_failures,
        ] {
            register(registry, own);
        }
        register(registry, &self.proposals_pending);
        register(registry, &self.hash_seconds);
        register(registry, &self.hash_rev_seconds);
        register(registry, &self.watch_streams);
        registry.register(Box::new(ProcessCollector::for_self())).expect("every name is given once");
    }

    /// All figures as text, with what `scrape` found just now.
    ///
    /// # Errors
    /// When the text cannot be made.
    pub(crate) fn text(&self, scrape: &Scrape) -> Result<Vec<u8>, prometheus::Error> {
        self.now.set(scrape);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Counts one that is under way for as long as this lives.
pub(crate) struct UnderWay(IntGauge);

impl UnderWay {
    pub(crate) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A hash reads everything: from 10 ms, each twice the one before.
fn hash_buckets() -> Vec<f64> {
    exponential_buckets(0.01, 2.0, 15).expect("they ascend")
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("the name is a good one")
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("the name is a good one")
}

/// Registers a figure; the clone shares it.
fn register<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, figure: &C) {
    registry.register(Box::new(figure.clone())).expect("every name is given once");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_registered_once_and_the_text_shows_what_was_counted() {
        let metrics = Metrics::new(0xabc, &LogFigures::default(), &StateFigures::default());
        metrics.leader_changes.inc();
        let scrape = Scrape { leader_known: true, committed_index: 7, ..Scrape::default() };
        let text = String::from_utf8(metrics.text(&scrape).expect("a text")).expect("UTF-8");
        for line in [
            "etcd_server_leader_changes_seen_total 1",
            "etcd_server_has_leader 1",
            "etcd_server_proposals_committed_total 7",
            "etcd_server_id{server_id=\"abc\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_is_under_way_is_counted_until_it_ends() {
        let gauge = gauge("some", "Some.");
        let first = UnderWay::new(&gauge);
        let second = UnderWay::new(&gauge);
        assert_eq!(gauge.get(), 2);
        drop(first);
        drop(second);
        assert_eq!(gauge.get(), 0);
    }
}
