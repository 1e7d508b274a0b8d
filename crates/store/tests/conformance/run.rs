//! One server's run through the cases.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;

use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::lease_client::LeaseClient;
use keelson_proto::etcdserverpb::watch_client::WatchClient;
use keelson_proto::etcdserverpb::{PutRequest, RangeRequest};
use keelson_proto::v3electionpb::election_client::ElectionClient;
use keelson_proto::v3lockpb::lock_client::LockClient;
use tonic::{Response, Status};

use crate::eventually::eventually;
use crate::patience::{Patience, TOO_LATE};
use crate::servers::Running;
use crate::show::Show;
use crate::wire::Wire;

/// The case of a group that ended by a panic, whose words are above the table.
pub const STOPPED: &str = "STOPPED";

pub struct Run {
    pub address: SocketAddr,
    pub patience: Patience,
    pub wire: Wire,
    pub kv: KvClient<Wire>,
    pub lease: LeaseClient<Wire>,
    pub watch: WatchClient<Wire>,
    pub election: ElectionClient<Wire>,
    pub lock: LockClient<Wire>,
    group: String,
    /// The revision at which the group began.
    pub base: i64,
    /// Cases, and what they gave.
    pub seen: Vec<(String, String)>,
    /// The names on the page of metrics.
    pub metrics: BTreeSet<String>,
}

impl Run {
    pub async fn new(server: &Running) -> Self {
        let patience = Patience::default();
        let (address, wire) = (server.address, Wire::new(server.channel(), patience.clone()));
        let run = Self {
            address,
            patience,
            kv: KvClient::new(wire.clone()),
            lease: LeaseClient::new(wire.clone()),
            watch: WatchClient::new(wire.clone()),
            election: ElectionClient::new(wire.clone()),
            lock: LockClient::new(wire.clone()),
            wire,
            group: String::new(),
            base: 0,
            seen: Vec::new(),
            metrics: BTreeSet::new(),
        };
        // The port may be open before there is a leader.
        eventually("a first read", || {
            let mut kv = run.kv.clone();
            async move { kv.range(RangeRequest { key: "a".into(), ..Default::default() }).await.ok() }
        })
        .await;
        run
    }

    /// Begins a group of cases, with revisions of its own.
    pub async fn group(&mut self, name: &str) {
        self.group = name.to_owned();
        self.base = self.revision().await;
    }

    pub async fn revision(&mut self) -> i64 {
        let response = self.kv.range(RangeRequest { key: "a".into(), ..Default::default() }).await;
        let response = response.unwrap_or_else(|status| panic!("{} before {}: {status}", self.address, self.group));
        response.into_inner().header.expect("a header").revision
    }

    /// Says that nothing of the group comes any more.
    pub fn stopped(&mut self) {
        self.note(STOPPED, "it could not go on");
    }

    /// The case, if there is one, that shows that the server was kept waiting.
    pub fn disturbed(&self) -> Option<&str> {
        let words = ["request timed out", "context deadline exceeded", "leader changed", TOO_LATE];
        let shows = |case: &str, text: &str| case.ends_with(STOPPED) || words.iter().any(|word| text.contains(word));
        self.seen.iter().find(|(case, text)| shows(case, text)).map(|(case, _)| case.as_str())
    }

    /// Keeps what a case gave.
    pub fn case<T: Show>(&mut self, name: impl Display, result: Result<Response<T>, Status>) {
        let text = match result {
            Ok(response) => response.into_inner().show(self.base),
            Err(status) => refusal(&status),
        };
        self.note(name, text);
    }

    pub fn note(&mut self, name: impl Display, text: impl Into<String>) {
        self.seen.push((format!("{}: {name}", self.group), text.into()));
    }

    /// Puts a pair that later cases need.
    pub async fn put(&mut self, key: &str, value: &str) -> i64 {
        let response = self.kv.put(put(key, value)).await.expect("a put");
        response.into_inner().header.expect("a header").revision
    }
}

pub fn refusal(status: &Status) -> String {
    format!("{:?} {:?}", status.code(), status.message())
}

/// An answer in the words of `show`, or why there is none.
pub fn text<T>(answer: Result<Response<T>, Status>, show: impl FnOnce(T) -> String) -> String {
    answer.map_or_else(|status| refusal(&status), |response| show(response.into_inner()))
}

/// Whether there is an answer, or why there is none.
pub fn done<T>(answer: Result<Response<T>, Status>) -> String {
    text(answer, |_| "done".to_owned())
}

pub fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() }
}

pub fn range(key: &str, range_end: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), ..Default::default() }
}
