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
use crate::watch::{self, Item, Watcher};

/// Events kept for a client that does not read for a moment.
const BUFFERED_BYTES_MAX: usize = 64 << 10;

pub(super) struct Observation {
    front: Front,
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
    Waiting(Watcher),
    /// Follows what the leader says, until it is gone.
    Following(Watcher),
}

impl Observation {
    pub(super) fn new(front: Front, name: &[u8], stop: BoxFuture<'static, Error>) -> Self {
        Self { front, prefix: prefix(name), stop, state: State::Looking, outgoing: VecDeque::new(), ended: false }
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
            State::Waiting(watcher) | State::Following(watcher) => tokio::select! {
                error = &mut self.stop => return Err(error),
                item = watcher.next() => item.ok_or(Error::Stopped)?,
            },
        };
        match item {
            Item::Events { revision, events } => self.take(revision, events),
            Item::Compacted { .. } => self.state = State::Looking,
            Item::Progress { .. } => {}
        }
        Ok(())
    }

    /// Finds the leader, or waits for one.
    async fn look(&mut self) -> Result<(), Error> {
        let response = self.front.handle.range(candidates(&self.prefix, SortOrder::Ascend)).await?;
        let revision = response.header.map_or(0, |header| header.revision);
        match response.kvs.into_iter().next() {
            Some(leader) => self.follow(leader, revision),
            None => {
                let end = prefix_end(&self.prefix);
                self.state = State::Waiting(self.watch(self.prefix.clone(), end, revision + 1));
            }
        }
        Ok(())
    }

    fn follow(&mut self, leader: KeyValue, revision: i64) {
        self.state = State::Following(self.watch(leader.key.clone(), Bytes::new(), revision + 1));
        self.outgoing.push_back(LeaderResponse { header: Some(self.front.header(revision)), kv: Some(leader) });
    }

    fn take(&mut self, revision: i64, events: Vec<Event>) {
        for event in events {
            let put = event.r#type == EventType::Put as i32;
            let Some(pair) = event.kv else { continue };
            match (&self.state, put) {
                (State::Waiting(_), true) => return self.follow(pair, revision),
                (State::Following(_), true) => {
                    let header = Some(self.front.header(revision));
                    self.outgoing.push_back(LeaderResponse { header, kv: Some(pair) });
                }
                (State::Following(_), false) => self.state = State::Looking,
                (State::Waiting(_), false) | (State::Looking, _) => {}
            }
        }
    }

    fn watch(&self, key: Bytes, range_end: Bytes, start_revision: i64) -> Watcher {
        self.front.handle.watch(watch::Options {
            key,
            range_end,
            start_revision,
            prev_kv: false,
            no_put: false,
            no_delete: false,
            max_buffered_bytes: BUFFERED_BYTES_MAX,
        })
    }
}
