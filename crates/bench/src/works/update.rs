//! Guarded updates, as every controller makes them: read a key, then write it if nobody else has since.

use std::cell::Cell;
use std::rc::Rc;

use async_trait::async_trait;
use bytes::Bytes;
use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use keelson_proto::etcdserverpb::request_op::Request;
use keelson_proto::etcdserverpb::{Compare, PutRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse};
use prost::Message as _;

use super::keys::{self, KEYS, Walk};
use super::{VALUE_BYTES, fill};
use crate::driver::Work;
use crate::figure::{Bound, Figure, P99, RATE, Target, of_load};
use crate::load::{self, Client};
use crate::options::Options;
use crate::side::Side;
use crate::wire::{Connection, Failure, Method, frame};

/// Where the keys are.
const PREFIX: &str = "/bench/update/";

/// Guarded updates (read, then a transaction on the mod revision), over all members.
#[derive(Clone, Debug, clap::Args)]
pub struct Update {
    /// How many clients, each with one request in flight.
    #[arg(long, default_value_t = 300)]
    pub clients: usize,
}

#[async_trait(?Send)]
impl Work for Update {
    fn title(&self) -> String {
        format!("guarded update (read, then txn on mod revision), {VALUE_BYTES} B, {} clients", self.clients)
    }

    fn targets(&self) -> Vec<Target> {
        vec![
            Target { figure: RATE, bound: Bound::RatioAtLeast(2.0), etcd_alone: "9,800/s", limit: "3×" },
            Target { figure: P99, bound: Bound::RatioAtMost(1.0), etcd_alone: "69 ms", limit: "" },
        ]
    }

    fn has_limit(&self) -> bool {
        true
    }

    async fn prepare(&self, side: &Side) -> anyhow::Result<()> {
        fill::keys(side, PREFIX, KEYS, VALUE_BYTES).await
    }

    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
        let reads = keys::reads(PREFIX, KEYS, false);
        let connections = load::connect(side, self.clients).await?;
        let conflicts = Rc::new(Cell::new(0_u64));
        let clients = connections.into_iter().enumerate().map(|(client, connection)| Updating {
            connection,
            reads: Walk::new(Rc::clone(&reads), client),
            value: keys::value(&mut keys::random(client), VALUE_BYTES),
            conflicts: Rc::clone(&conflicts),
        });
        let mut figures = of_load(&load::run_clients(clients, options.window()).await?);
        figures.push(Figure::lower("conflicts", "", conflicts.get() as f64));
        Ok(figures)
    }
}

struct Updating {
    connection: Connection,
    reads: Walk,
    value: Bytes,
    conflicts: Rc<Cell<u64>>,
}

impl Client for Updating {
    /// Until the update is done: one that met another update of its key begins anew.
    async fn step(&mut self) -> Result<(), Failure> {
        let read = self.reads.next();
        loop {
            let found = RangeResponse::decode(self.connection.call(Method::Range, read.clone()).await?)?;
            let pair = found.kvs.into_iter().next().ok_or(Failure::Answer("the key is missing"))?;
            let guarded = guarded(pair.key, self.value.clone(), pair.mod_revision);
            let done = TxnResponse::decode(self.connection.call(Method::Txn, frame(&guarded)).await?)?;
            if done.succeeded {
                return Ok(());
            }
            self.conflicts.set(self.conflicts.get() + 1);
        }
    }
}

fn guarded(key: Bytes, value: Bytes, mod_revision: i64) -> TxnRequest {
    TxnRequest {
        compare: vec![Compare {
            key: key.clone(),
            target: CompareTarget::Mod.into(),
            result: CompareResult::Equal.into(),
            target_union: Some(TargetUnion::ModRevision(mod_revision)),
            ..Compare::default()
        }],
        success: vec![RequestOp {
            request: Some(Request::RequestPut(PutRequest { key, value, ..PutRequest::default() })),
        }],
        failure: Vec::new(),
    }
}
