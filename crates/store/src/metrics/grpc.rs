//! Calls of the etcd port, counted for each method and code, under the names of go-grpc-prometheus.
//!
//! All counters of a method are made when the member starts: counting a call looks its method up once, and adds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, exponential_buckets,
};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Code;

use super::{counter, register};

/// Every code, at the place of its number.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// Counters of all methods.
pub(crate) struct Grpc {
    /// By the path of the request.
    methods: HashMap<String, Arc<Method>>,
    pub(crate) received_bytes: IntCounter,
    pub(crate) sent_bytes: IntCounter,
    /// By kind of call, and by the version that the client says that it was made for.
    requests: IntCounterVec,
}

/// Counters of one method.
pub(crate) struct Method {
    started: IntCounter,
    pub(crate) messages_received: IntCounter,
    pub(crate) messages_sent: IntCounter,
    kind: &'static str,
    handled: [IntCounter; CODES.len()],
    /// None for streams, which last as long as their client likes.
    seconds: Option<Histogram>,
}

impl Grpc {
    pub(crate) fn new(registry: &Registry) -> Self {
        let labels = ["grpc_service", "grpc_method", "grpc_type"];
        let started = Opts::new("grpc_server_started_total", "Calls that have begun.");
        let started = IntCounterVec::new(started, &labels).expect("the name is a good one");
        let messages = |name: &str, help: &str| {
            IntCounterVec::new(Opts::new(name, help), &labels).expect("the name is a good one")
        };
        let received = messages("grpc_server_msg_received_total", "Messages that calls have brought.");
        let sent = messages("grpc_server_msg_sent_total", "Messages that calls were answered with.");
        let requests =
            Opts::new("etcd_server_client_requests_total", "Calls, by the API version that their client tells.");
        let requests = IntCounterVec::new(requests, &["type", "client_api_version"]).expect("the name is a good one");
        let handled = Opts::new("grpc_server_handled_total", "Calls that have ended, by their outcome.");
        let handled = IntCounterVec::new(handled, &["grpc_service", "grpc_method", "grpc_type", "grpc_code"])
            .expect("the name is a good one");
        let seconds = HistogramOpts::new("grpc_server_handling_seconds", "How long unary calls take.");
        let seconds = seconds.buckets(exponential_buckets(0.000_25, 2.0, 16).expect("they ascend"));
        let seconds = HistogramVec::new(seconds, &labels).expect("the name is a good one");
        let mut methods = HashMap::new();
        for descriptors in [keelson_proto::ETCD_DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET] {
            let pool = DescriptorPool::decode(descriptors).expect("the build made the descriptors");
            for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
                let kind = kind(&method);
                let values = [method.parent_service().full_name(), method.name(), kind];
                let of_code = |code| handled.with_label_values(&[values[0], values[1], values[2], code]);
                let counters = Method {
                    started: started.with_label_values(&values),
                    messages_received: received.with_label_values(&values),
                    messages_sent: sent.with_label_values(&values),
                    kind: if kind == "unary" { "unary" } else { "stream" },
                    handled: CODES.map(of_code),
                    seconds: (kind == "unary").then(|| seconds.with_label_values(&values)),
                };
                methods.insert(format!("/{}/{}", values[0], values[1]), Arc::new(counters));
            }
        }
        let grpc = Self {
            methods,
            received_bytes: counter("etcd_network_client_grpc_received_bytes_total", "Bytes of clients' messages."),
            sent_bytes: counter("etcd_network_client_grpc_sent_bytes_total", "Bytes of messages to clients."),
            requests,
        };
        register(registry, &started);
        register(registry, &handled);
        register(registry, &received);
        register(registry, &sent);
        register(registry, &grpc.requests);
        register(registry, &seconds);
        register(registry, &grpc.received_bytes);
        register(registry, &grpc.sent_bytes);
        grpc
    }

    /// Counts the beginning of a call of a client that says which `version` it was made for; None when there is no such method.
    pub(crate) fn start(&self, path: &str, version: Option<&HeaderValue>) -> Option<Call> {
        let method = Arc::clone(self.methods.get(path)?);
        method.started.inc();
        let version = version.and_then(|version| version.to_str().ok()).filter(|version| is_version(version));
        self.requests.with_label_values(&[method.kind, version.unwrap_or("unknown")]).inc();
        Some(Call { method, begin: Instant::now(), ended: false })
    }
}

fn kind(method: &MethodDescriptor) -> &'static str {
    match (method.is_client_streaming(), method.is_server_streaming()) {
        (false, false) => "unary",
        (true, false) => "client_stream",
        (false, true) => "server_stream",
        (true, true) => "bidi_stream",
    }
}

/// Whether it is a version of etcd's, such as 3.5.13. All else is one label, so that clients cannot make as many as they like.
fn is_version(version: &str) -> bool {
    let Some((minor, patch)) = version.strip_prefix("3.").and_then(|rest| rest.split_once('.')) else { return false };
    let number = |text: &str, digits_max| {
        (1..=digits_max).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit())
    };
    number(minor, 1) && number(patch, 2)
}

/// A call under way. One that is dropped before its end was cancelled by its client.
pub(crate) struct Call {
    method: Arc<Method>,
    begin: Instant,
    ended: bool,
}

impl Call {
    pub(crate) fn method(&self) -> &Arc<Method> {
        &self.method
    }

    /// Counts the end of the call, once.
    pub(crate) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(counter) = usize::try_from(i32::from(code)).ok().and_then(|code| self.method.handled.get(code)) {
            counter.inc();
        }
        if let Some(seconds) = &self.method.seconds {
            seconds.observe(self.begin.elapsed().as_secs_f64());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_once_by_its_outcome_and_as_cancelled_without_one() {
        let grpc = Grpc::new(&Registry::new());
        assert!(grpc.start("/etcdserverpb.KV/Nothing", None).is_none());
        let range = Arc::clone(&grpc.methods["/etcdserverpb.KV/Range"]);
        let counts = || (range.started.get(), range.handled.each_ref().map(IntCounter::get));
        let mut ended = grpc.start("/etcdserverpb.KV/Range", None).expect("there is such a method");
        ended.end(Code::OutOfRange);
        drop(ended);
        drop(grpc.start("/etcdserverpb.KV/Range", None));
        let mut expected = [0; CODES.len()];
        expected[Code::OutOfRange as usize] = 1;
        expected[Code::Cancelled as usize] = 1;
        assert_eq!(counts(), (2, expected));
    }

    #[test]
    fn clients_make_no_more_labels_than_there_are_versions() {
        let grpc = Grpc::new(&Registry::new());
        for version in ["3.5.13", "3.5.13", "3.5", "3.50.1", "3.5.100", "4.0.0", "3.x.1", "3.5.", "\u{e9}"] {
            drop(grpc.start("/etcdserverpb.KV/Range", HeaderValue::from_bytes(version.as_bytes()).ok().as_ref()));
        }
        drop(grpc.start("/etcdserverpb.Watch/Watch", None));
        let of = |kind, version| grpc.requests.with_label_values(&[kind, version]).get();
        assert_eq!((of("unary", "3.5.13"), of("unary", "unknown"), of("stream", "unknown")), (2, 7, 1));
    }
}
