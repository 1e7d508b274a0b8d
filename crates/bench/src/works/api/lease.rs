//! Leases of nodes, renewed as kubelets renew them: the whole lease, guarded by its resourceVersion, as protobuf.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use serde_json::json;

use super::{OBJECTIVES, ONE_OBJECT, fill, path};
use crate::driver::Work;
use crate::figure::{Figure, P99, Published, RATE, of_load};
use crate::load::{self, Client};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Failure, Rest, Verb};

const COLLECTION: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const LEASE_SECONDS: i32 = 40;
/// How often a kubelet renews its lease.
const RENEWAL_SECONDS: f64 = 10.0;
const IN_FLIGHT: usize = 60;
/// Runs at most, so that it stays below a minute.
const RUNS_MAX: usize = 3;
/// What a message of Kubernetes begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Renewals of nodes' leases over all members.
#[derive(Clone, Debug, clap::Args)]
pub struct Lease {
    /// How many kubelets renew at the same time, without a pause.
    #[arg(long, default_value_t = 300)]
    pub clients: usize,
    /// How many nodes; each kubelet of the load renews its share of them in turn.
    #[arg(long, default_value_t = 3_000)]
    pub nodes: usize,
}

#[async_trait(?Send)]
impl Work for Lease {
    fn title(&self) -> String {
        format!("API: renewals of {} nodes' leases, {} at a time", self.nodes, self.clients)
    }

    fn published(&self) -> Vec<Published> {
        let rate =
            "500/s needed by 5,000 nodes, the most that are supported, every 10 s; some 40,000/s at most, of one kind";
        let source = "https://kubernetes.io/docs/setup/best-practices/cluster-large/, \
                      https://kubernetes.io/docs/reference/node/node-status/, https://bchess.github.io/k8s-1m/";
        vec![
            Published { figure: RATE, text: rate, source },
            Published { figure: P99, text: ONE_OBJECT, source: OBJECTIVES },
        ]
    }

    fn has_peer(&self) -> bool {
        false
    }

    fn pairs(&self, asked: usize) -> usize {
        asked.min(RUNS_MAX)
    }

    async fn prepare(&self, side: &Side) -> anyhow::Result<()> {
        ensure!((1..=self.nodes).contains(&self.clients), "--clients is from 1 to --nodes");
        let object = |number| {
            let spec = json!({ "holderIdentity": node(number), "leaseDurationSeconds": LEASE_SECONDS });
            let metadata = json!({ "name": node(number) });
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec,
            });
            Bytes::from(lease.to_string())
        };
        fill(side, COLLECTION, self.nodes, IN_FLIGHT, object).await
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let members = side.api().await?;
        let connections = load::connect_to_api(side, self.clients).await?;
        let list = connections[0].clone().call(Verb::Get, path(COLLECTION)?, Bytes::new()).await?;
        let revisions = Rc::new(revisions(&list)?);
        let clients: Vec<Renewing> = (connections.into_iter().enumerate())
            .map(|(client, rest)| Renewing::new(rest, client, self, &revisions))
            .collect::<Result<_, _>>()?;
        let processor = members.processor_time()?;
        let tally = load::run_clients(clients, options.window()).await?;
        let processor = (members.processor_time()? - processor).as_secs_f64();
        let window = options.window();
        let nodes = tally.per_second() * RENEWAL_SECONDS;
        let mut figures = of_load(&tally);
        figures.push(Figure::higher("nodes that this renews every 10 s", "", nodes));
        let whole = (window.warm_up + window.measured).as_secs_f64();
        figures.push(Figure::lower("CPU of all members", "cores", processor / whole));
        Ok(figures)
    }
}

fn node(number: usize) -> String {
    format!("bench-node-{number:05}")
}

/// The resourceVersion of each lease of a list, by name.
fn revisions(list: &[u8]) -> anyhow::Result<HashMap<String, String>> {
    let list: serde_json::Value = serde_json::from_slice(list)?;
    let items = list["items"].as_array().context("a list without items")?;
    let pair = |item: &serde_json::Value| {
        let metadata = &item["metadata"];
        Some((metadata["name"].as_str()?.to_owned(), metadata["resourceVersion"].as_str()?.to_owned()))
    };
    items.iter().map(|item| pair(item).context("an item without its metadata")).collect()
}

/// A kubelet of the load: it renews its nodes' leases in turn.
struct Renewing {
    rest: Rest,
    leases: Vec<(String, String)>,
    next: usize,
}

impl Renewing {
    fn new(rest: Rest, client: usize, work: &Lease, revisions: &HashMap<String, String>) -> anyhow::Result<Self> {
        let own = (client..work.nodes).step_by(work.clients).map(node);
        let leases = own.map(|name| {
            let revision = revisions.get(&name).with_context(|| format!("{name} has no lease"))?;
            anyhow::Ok((name, revision.clone()))
        });
        Ok(Self { rest, leases: leases.collect::<Result<_, _>>()?, next: 0 })
    }
}

impl Client for Renewing {
    async fn step(&mut self) -> Result<(), Failure> {
        let index = self.next % self.leases.len();
        self.next += 1;
        let (name, revision) = &mut self.leases[index];
        let path = path(&format!("{COLLECTION}/{name}"))?;
        let answer = self.rest.call(Verb::PutProtobuf, path, renewal(name, revision)).await?;
        *revision = revision_of(&answer)?;
        Ok(())
    }
}

/// A lease that is renewed now, as a message of Kubernetes.
fn renewal(name: &str, revision: &str) -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let lease = message::Lease {
        metadata: Some(message::Metadata {
            name: name.to_owned(),
            namespace: "kube-node-lease".to_owned(),
            resource_version: revision.to_owned(),
        }),
        spec: Some(message::Spec {
            holder_identity: Some(name.to_owned()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(message::Time {
                // Microseconds are kept, nothing finer.
                seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
                nanos: i32::try_from(now.subsec_micros()).unwrap_or(0) * 1_000,
            }),
        }),
    };
    let envelope = message::Unknown {
        type_meta: Some(message::TypeMeta {
            api_version: "coordination.k8s.io/v1".to_owned(),
            kind: "Lease".to_owned(),
        }),
        raw: lease.encode_to_vec(),
    };
    [MAGIC, &envelope.encode_to_vec()].concat().into()
}

/// What the next renewal is guarded by.
fn revision_of(answer: &[u8]) -> Result<String, Failure> {
    let envelope = answer.strip_prefix(MAGIC).ok_or(Failure::Answer("an answer that is no protobuf"))?;
    let lease = message::Lease::decode(&*message::Unknown::decode(envelope)?.raw)?;
    let revision = lease.metadata.map(|metadata| metadata.resource_version).unwrap_or_default();
    if revision.is_empty() { Err(Failure::Answer("a lease without its resourceVersion")) } else { Ok(revision) }
}

/// The fields of Kubernetes' messages that a renewal has.
mod message {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Unknown {
        #[prost(message, optional, tag = "1")]
        pub type_meta: Option<TypeMeta>,
        #[prost(bytes = "vec", tag = "2")]
        pub raw: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct TypeMeta {
        #[prost(string, tag = "1")]
        pub api_version: String,
        #[prost(string, tag = "2")]
        pub kind: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Lease {
        #[prost(message, optional, tag = "1")]
        pub metadata: Option<Metadata>,
        #[prost(message, optional, tag = "2")]
        pub spec: Option<Spec>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Metadata {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "3")]
        pub namespace: String,
        #[prost(string, tag = "6")]
        pub resource_version: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Spec {
        #[prost(string, optional, tag = "1")]
        pub holder_identity: Option<String>,
        #[prost(int32, optional, tag = "2")]
        pub lease_duration_seconds: Option<i32>,
        #[prost(message, optional, tag = "4")]
        pub renew_time: Option<Time>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Time {
        #[prost(int64, tag = "1")]
        pub seconds: i64,
        #[prost(int32, tag = "2")]
        pub nanos: i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_carries_the_revision_that_it_is_guarded_by() {
        let renewal = renewal("n", "77");
        assert_eq!(revision_of(&renewal).expect("has one"), "77");
        revision_of(b"{}").expect_err("is no protobuf");
        revision_of(MAGIC).expect_err("has none");
    }

    #[test]
    fn revisions_are_taken_from_a_list() {
        let list = br#"{"items":[{"metadata":{"name":"a","resourceVersion":"5"}},{"metadata":{"name":"b","resourceVersion":"6"}}]}"#;
        let found = revisions(list).expect("is a list");
        assert_eq!((found["a"].as_str(), found["b"].as_str()), ("5", "6"));
        revisions(br#"{"items":[{"metadata":{}}]}"#).expect_err("has no names");
    }
}
