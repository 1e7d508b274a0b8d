//! Calls of the etcd port, counted for each method and code, under the names of go-grpc-prometheus.
//!
//! All counters of a method are made when the member starts: counting a call looks its method up once, and adds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

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
}

/// Counters of one method.
pub(crate) struct Method {
    started: IntCounter,
    handled: [IntCounter; CODES.len()],
    /// None for streams, which last as long as their client likes.
    seconds: Option<Histogram>,
}

impl Grpc {
    pub(crate) fn new(registry: &Registry) -> Self {
        let labels = ["grpc_service", "grpc_method", "grpc_type"];
        let started = Opts::new("grpc_server_started_total", "Calls that have begun.");
        let started = IntCounterVec::new(started, &labels).expect("the name is a good one");
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
        };
        register(registry, &started);
        register(registry, &handled);
        register(registry, &seconds);
        register(registry, &grpc.received_bytes);
        register(registry, &grpc.sent_bytes);
        grpc
    }

    /// Counts the beginning of a call; None when there is no such method.
    pub(crate) fn start(&self, path: &str) -> Option<Call> {
        let method = Arc::clone(self.methods.get(path)?);
        method.started.inc();
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

/// A call under way. One that is dropped before its end was cancelled by its client.
pub(crate) struct Call {
    method: Arc<Method>,
    begin: Instant,
    ended: bool,
}

impl Call {
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
        assert!(grpc.start("/etcdserverpb.KV/Nothing").is_none());
        let range = Arc::clone(&grpc.methods["/etcdserverpb.KV/Range"]);
        let counts = || (range.started.get(), range.handled.each_ref().map(IntCounter::get));
        let mut ended = grpc.start("/etcdserverpb.KV/Range").expect("there is such a method");
        ended.end(Code::OutOfRange);
        drop(ended);
        drop(grpc.start("/etcdserverpb.KV/Range"));
        let mut expected = [0; CODES.len()];
        expected[Code::OutOfRange as usize] = 1;
        expected[Code::Cancelled as usize] = 1;
        assert_eq!(counts(), (2, expected));
    }
}
