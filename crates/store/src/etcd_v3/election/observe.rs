//! Election.Observe: every leader, and what each says, in order.
//!
//! Like a watch, it is polled by the connection that carries it, and costs a client that does not read nothing but a
//! bounded buffer.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::future::BoxFuture;
use keelson_proto::etcdserverpb::range_request::SortOrder;
use keelson_proto::mvccpb::event::EventType;
use keelson_proto::mvccpb::{Event, KeyValue};
use keelson_proto::v3electionpb::LeaderResponse;
use tonic::Status;

use crate::Error;
use crate::etcd_v3::candidacy::{candidates, prefix, prefix_end};
use crate::etcd_v3::front::Front;
use crate::etcd_v3::guard::{Caller, Reading};
use crate::watch::{self, Item, Watcher};

/// Events kept for a client that does not read for a moment.
const BUFFERED_BYTES_MAX: usize = 64 << 10;

pub(super) struct Observation {
    front: Front,
    caller: Caller,
    prefix: Bytes,
    stop: BoxFuture<'static, Error>,
    state: State,
    /// What one look or one revision gave.
    outgoing: VecDeque<LeaderResponse>,
    ended: bool,
}

enum State {
    /// Who leads is not known.
    Looking,
    /// There is no candidate; the first one leads.
    Waiting(Watcher, Reading),
    /// Follows what the leader says, until it is gone.
    Following(Watcher, Reading),
}

impl Observation {
    pub(super) fn new(front: Front, caller: Caller, name: &[u8], stop: BoxFuture<'static, Error>) -> Self {
        Self {
            front,
            caller,
            prefix: prefix(name),
            stop,
            state: State::Looking,
            outgoing: VecDeque::new(),
            ended: false,
        }
    }

    /// The next response, as `futures::stream::unfold` wants it.
    pub(super) async fn next(mut self) -> Option<(Result<LeaderResponse, Status>, Self)> {
        while !self.ended {
            if let Some(response) = self.outgoing.pop_front() {
                return Some((Ok(response), self));
            }
            if let Err(error) = self.step().await {
                self.ended = true;
                return Some((Err(error.into()), self));
            }
        }
        None
    }

    async fn step(&mut self) -> Result<(), Error> {
        let item = match &mut self.state {
            State::Looking => return self.look().await,
            State::Waiting(watcher, reading) | State::Following(watcher, reading) => {
                let item = tokio::select! {
                    error = &mut self.stop => return Err(error),
                    item = watcher.next() => item.ok_or(Error::Stopped)?,
                };
                self.caller.goes_on(reading).await?;
                item
            }
        };
        match item {
            Item::Events { revision, events } => self.take(revision, events).await?,
            Item::Compacted { .. } => self.state = State::Looking,
            Item::Progress { .. } => {}
        }
        Ok(())
    }

    /// Finds the leader, or waits for one.
    async fn look(&mut self) -> Result<(), Error> {
        let response = self.caller.range(candidates(&self.prefix, SortOrder::Ascend)).await?;
        let revision = response.header.map_or(0, |header| header.revision);
        match response.kvs.into_iter().next() {
            Some(leader) => self.follow(leader, revision).await?,
            None => {
                let end = prefix_end(&self.prefix);
                let (watcher, reading) = self.watch(self.prefix.clone(), end, revision + 1).await?;
                self.state = State::Waiting(watcher, reading);
            }
        }
        Ok(())
    }

    async fn follow(&mut self, leader: KeyValue, revision: i64) -> Result<(), Error> {
        let (watcher, reading) = self.watch(leader.key.clone(), Bytes::new(), revision + 1).await?;
        self.state = State::Following(watcher, reading);
        self.outgoing.push_back(LeaderResponse { header: Some(self.front.header(revision)), kv: Some(leader) });
        Ok(())
    }

    async fn take(&mut self, revision: i64, events: Vec<Event>) -> Result<(), Error> {
        for event in events {
            let put = event.r#type == EventType::Put as i32;
            let Some(pair) = event.kv else { continue };
            match (&self.state, put) {
                (State::Waiting(..), true) => return self.follow(pair, revision).await,
                (State::Following(..), true) => {
                    let header = Some(self.front.header(revision));
                    self.outgoing.push_back(LeaderResponse { header, kv: Some(pair) });
                }
                (State::Following(..), false) => self.state = State::Looking,
                (State::Waiting(..), false) | (State::Looking, _) => {}
            }
        }
        Ok(())
    }

    async fn watch(&mut self, key: Bytes, range_end: Bytes, start_revision: i64) -> Result<(Watcher, Reading), Error> {
        let options = watch::Options {
            key,
            range_end,
            start_revision,
            prev_kv: false,
            no_put: false,
            no_delete: false,
            max_buffered_bytes: BUFFERED_BYTES_MAX,
        };
        self.caller.watch(options).await
    }
}
