//! What this member's API counts of its requests and watches, under the names that Kubernetes' dashboards ask for.
//!
//! **Invariant**: labels are words of the program, codes, and names of kinds; of kinds that users define, at most [`CUSTOM_MAX`] have
//! figures of their own.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use keelson_types::Kind;
use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Versions of users' kinds that are told apart; those beyond are told of as one.
const CUSTOM_MAX: usize = 1000;
const OTHER: &str = "other";

const ABOUT: [&str; 7] = ["verb", "group", "version", "resource", "subresource", "scope", "component"];
/// Seconds, from what a cache answers to the longest that a request may take.
const SECONDS: [f64; 16] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 10.0, 20.0, 40.0, 60.0];
/// Bytes of an answer.
const BYTES: [f64; 7] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// What a request is about. Empty words where there is nothing to tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct About {
    pub verb: &'static str,
    pub kind: Option<&'static Kind>,
    pub subresource: &'static str,
    pub scope: &'static str,
    pub component: &'static str,
    pub dry_run: bool,
}

impl About {
    /// Whether it goes on until somebody ends it.
    fn lasts(&self) -> bool {
        matches!(self.verb, "WATCH" | "CONNECT") || self.subresource == "log"
    }

    fn mutates(&self) -> bool {
        !matches!(self.verb, "GET" | "LIST" | "WATCH")
    }
}

pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    bytes: HistogramVec,
    terminated: IntCounterVec,
    in_flight: IntGaugeVec,
    long_running: IntGaugeVec,
    watch_events: IntCounterVec,
    custom: Mutex<HashSet<(&'static str, &'static str, &'static str)>>,
}

impl Metrics {
    pub fn new() -> Arc<Metrics> {
        let registry = Registry::new();
        let with = |labels: &[&'static str]| -> Vec<&'static str> { labels.iter().chain(&ABOUT).copied().collect() };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels).expect("names and labels are valid")
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels).expect("names and labels are valid")
        };
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            HistogramVec::new(options, labels).expect("names, labels and buckets are valid")
        };
        let metrics = Metrics {
            requests: counter(
                "apiserver_request_total",
                "Requests that were answered, by what they were about and the code of the answer.",
                &with(&["code", "dry_run"]),
            ),
            seconds: histogram(
                "apiserver_request_duration_seconds",
                "From the head of a request to the end of its answer; watches, logs and sessions apart.",
                &with(&["dry_run"]),
                &SECONDS,
            ),
            bytes: histogram(
                "apiserver_response_sizes",
                "Bytes of answers as they were sent; watches, logs and sessions apart.",
                &ABOUT,
                &BYTES,
            ),
            terminated: counter(
                "apiserver_request_terminations_total",
                "Requests that were refused before anybody looked at them.",
                &["code", "component"],
            ),
            in_flight: gauge(
                "apiserver_current_inflight_requests",
                "Requests that are being answered; watches, logs and sessions apart.",
                &["request_kind"],
            ),
            long_running: gauge("apiserver_longrunning_requests", "Watches, logs and sessions that go on.", &ABOUT),
            watch_events: counter(
                "apiserver_watch_events_total",
                "Events that were handed to watchers.",
                &["group", "version", "resource"],
            ),
            custom: Mutex::default(),
            registry,
        };
        // Both are told of from the start.
        for request_kind in ["mutating", "readOnly"] {
            metrics.in_flight.with_label_values(&[request_kind]).set(0);
        }
        let own: [Box<dyn Collector>; 7] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.seconds.clone()),
            Box::new(metrics.bytes.clone()),
            Box::new(metrics.terminated.clone()),
            Box::new(metrics.in_flight.clone()),
            Box::new(metrics.long_running.clone()),
            Box::new(metrics.watch_events.clone()),
        ];
        for collector in own {
            metrics.registry.register(collector).expect("each name is there once");
        }
        #[cfg(target_os = "linux")]
        metrics
            .registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("each name is there once");
        Arc::new(metrics)
    }

    /// Prometheus' text. Empty should it not be possible to write it.
    pub fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// A request begins; what is returned goes with its answer.
    pub fn begin(self: &Arc<Metrics>, about: About) -> Running {
        let gauge = if about.lasts() {
            self.long_running.with_label_values(&self.labels(&about))
        } else {
            self.in_flight.with_label_values(&[if about.mutates() { "mutating" } else { "readOnly" }])
        };
        gauge.inc();
        Running { metrics: self.clone(), about, since: Instant::now(), code: 0, bytes: 0, gauge }
    }

    /// A request is refused before anybody looks at it.
    pub fn terminated(&self, code: u16, component: &str) {
        self.terminated.with_label_values(&[code.to_string().as_str(), component]).inc();
    }

    /// Where a watch of a kind counts its events.
    pub fn watch_events(&self, kind: &'static Kind) -> IntCounter {
        let (group, version, resource) = self.names(kind);
        self.watch_events.with_label_values(&[group, version, resource])
    }

    fn names(&self, kind: &'static Kind) -> (&'static str, &'static str, &'static str) {
        let names = (kind.group, kind.version, kind.plural);
        if !kind.is_custom() {
            return names;
        }
        let mut custom = self.custom.lock();
        if custom.contains(&names) || (custom.len() < CUSTOM_MAX && custom.insert(names)) {
            names
        } else {
            (OTHER, OTHER, OTHER)
        }
    }

    fn labels(&self, about: &About) -> [&'static str; 7] {
        let (group, version, resource) = about.kind.map_or(("", "", ""), |kind| self.names(kind));
        [about.verb, group, version, resource, about.subresource, about.scope, about.component]
    }
}

/// A request that is being answered. It is counted when this goes.
pub struct Running {
    metrics: Arc<Metrics>,
    about: About,
    since: Instant,
    code: u16,
    bytes: usize,
    gauge: IntGauge,
}

impl Running {
    /// Goes with the answer until that is sent.
    pub fn answer(mut self, response: Response<Body>) -> Response<Body> {
        self.code = grpc_code(response.headers()).unwrap_or(response.status().as_u16());
        response.map(|body| Body::new(Answer { body, running: self }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gauge.dec();
        let labels = self.metrics.labels(&self.about);
        let dry_run = if self.about.dry_run { "All" } else { "" };
        let code = self.code.to_string();
        let with = |first: &[&str]| -> Vec<String> { first.iter().chain(&labels).map(|&word| word.into()).collect() };
        self.metrics.requests.with_label_values(&with(&[code.as_str(), dry_run])).inc();
        if !self.about.lasts() {
            let seconds = self.since.elapsed().as_secs_f64();
            self.metrics.seconds.with_label_values(&with(&[dry_run])).observe(seconds);
            self.metrics.bytes.with_label_values(&labels).observe(self.bytes as f64);
        }
    }
}

/// The HTTP code that says what a gRPC status says.
fn grpc_code(headers: &HeaderMap) -> Option<u16> {
    Some(match headers.get("grpc-status")?.to_str().ok()? {
        "0" => 200,
        "1" => 499,
        "3" | "9" | "11" => 400,
        "4" => 504,
        "5" => 404,
        "6" | "10" => 409,
        "7" => 403,
        "8" => 429,
        "12" => 405,
        "14" => 503,
        "16" => 401,
        _ => 500,
    })
}

/// A body that is counted while it is sent.
struct Answer {
    body: Body,
    running: Running,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.running.bytes += frame.data_ref().map_or(0, Bytes::len);
            if let Some(code) = frame.trailers_ref().and_then(grpc_code) {
                self.running.code = code;
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_when_its_answer_is_gone() {
        let metrics = Metrics::new();
        let about = About { verb: "LIST", scope: "cluster", component: "apiserver", ..About::default() };
        let response = metrics.begin(about).answer(Response::new(Body::from("x")));
        let running = "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1";
        assert!(metrics.text().contains(running), "{}", metrics.text());
        assert!(!metrics.text().contains("apiserver_request_total{"));
        drop(response);
        let text = metrics.text();
        assert!(text.contains(r#"code="200""#) && text.contains("apiserver_request_duration_seconds_count{"), "{text}");
        assert!(text.contains("apiserver_current_inflight_requests{request_kind=\"readOnly\"} 0"), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
    }
}
