//! openraft's messages from other members.

use std::path::PathBuf;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use keelson_proto::keelson::raft::v1 as proto;
use openraft::errors::{Fatal, RaftError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendError};
use proto::install_snapshot_request::Message;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use super::gate::Gate;
use super::types::TypeConfig;
use super::{Raft, codec, snapshot};
use crate::leadership::Heard;
use crate::machine;
use crate::peers::ClusterId;

/// Serves `keelson.raft.v1.Raft`.
pub(crate) struct Server {
    raft: Raft,
    gate: Arc<Gate>,
    heard: Arc<Heard>,
    cluster: ClusterId,
    snapshots_dir: PathBuf,
    /// One snapshot at a time: a second one would only take disk from the first.
    receiving: Arc<Semaphore>,
}

impl Server {
    pub(crate) fn new(
        raft: Raft,
        gate: Arc<Gate>,
        heard: Arc<Heard>,
        cluster: ClusterId,
        snapshots_dir: PathBuf,
    ) -> Self {
        Self { raft, gate, heard, cluster, snapshots_dir, receiving: Arc::new(Semaphore::new(1)) }
    }
}

fn garbled(error: codec::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: &Fatal<TypeConfig>) -> Status {
    Status::unavailable(format!("the member has stopped: {error}"))
}

fn fatal(error: RaftError<TypeConfig>) -> Status {
    match error {
        RaftError::Fatal(error) => stopped(&error),
        RaftError::APIError(never) => match never {},
    }
}

fn shut() -> Status {
    Status::unavailable("the member has lost its data, or is new, and may not answer yet")
}

/// Passes on what the gate lets through; ends at the first request that it does not.
fn admitted(
    requests: Streaming<proto::AppendRequest>,
    gate: Arc<Gate>,
) -> impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + 'static {
    futures::stream::unfold((requests, gate), |(mut requests, gate)| async move {
        let request = requests.message().await.ok()??;
        let request = codec::to_append(request)
            .inspect_err(|error| tracing::warn!(%error, "a peer's append request cannot be understood"))
            .ok()?;
        gate.may_follow(request.vote.leader_id.term).then_some((request, (requests, gate)))
    })
}

#[tonic::async_trait]
impl proto::raft_server::Raft for Server {
    type AppendStream = BoxStream<'static, Result<proto::AppendResponse, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let requests = self.cluster.check(request)?.into_inner();
        let results = self.raft.stream_append(admitted(requests, Arc::clone(&self.gate)));
        let responses = results.map(|result| match result {
            Ok(result) => Ok(codec::from_append_result(&result)),
            Err(error) => Err(stopped(&error)),
        });
        Ok(Response::new(responses.boxed()))
    }

    async fn heartbeat(
        &self,
        request: Request<proto::AppendRequest>,
    ) -> Result<Response<proto::AppendResponse>, Status> {
        let request = codec::to_append(self.cluster.check(request)?.into_inner()).map_err(garbled)?;
        if !self.gate.may_follow(request.vote.leader_id.term) {
            return Err(shut());
        }
        let previous = request.prev_log_id;
        let result = match self.raft.append_entries(request).await.map_err(fatal)? {
            AppendEntriesResponse::Success => Ok(previous),
            AppendEntriesResponse::PartialSuccess(matched) => Ok(matched),
            AppendEntriesResponse::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote)),
            AppendEntriesResponse::Conflict => match previous {
                Some(previous) => Err(StreamAppendError::Conflict(previous)),
                None => return Err(Status::internal("nothing conflicts with an empty log")),
            },
        };
        if !matches!(result, Err(StreamAppendError::HigherVote(_))) {
            self.heard.now();
        }
        Ok(Response::new(codec::from_append_result(&result)))
    }

    async fn vote(&self, request: Request<proto::VoteRequest>) -> Result<Response<proto::VoteResponse>, Status> {
        let request = self.cluster.check(request)?.into_inner();
        if !self.gate.may_vote() {
            return Err(shut());
        }
        let pre_vote = request.pre_vote;
        let request = codec::to_vote_request(request).map_err(garbled)?;
        let answer = if pre_vote { self.raft.pre_vote(request).await } else { self.raft.vote(request).await };
        Ok(Response::new(codec::from_vote_response(&answer.map_err(fatal)?)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<proto::InstallSnapshotRequest>>,
    ) -> Result<Response<proto::InstallSnapshotResponse>, Status> {
        let mut messages = self.cluster.check(request)?.into_inner();
        let Ok(_permit) = self.receiving.try_acquire() else {
            return Err(Status::unavailable("another snapshot is arriving"));
        };
        let refused = |error: snapshot::Error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "a snapshot was not accepted");
            Status::aborted(error.to_string())
        };
        let Some(proto::InstallSnapshotRequest { message: Some(Message::Header(header)) }) = messages.message().await?
        else {
            return Err(Status::invalid_argument("a snapshot starts with its header"));
        };
        let mut receiver = snapshot::Receiver::new(header, &self.snapshots_dir).map_err(refused)?;
        if !self.gate.may_follow(receiver.vote().leader_id.term) {
            return Err(shut());
        }
        while let Some(request) = messages.message().await? {
            let Some(message) = request.message else {
                return Err(Status::invalid_argument("an empty message in a snapshot"));
            };
            let accepted = machine::spawn_blocking(move || receiver.accept(message).map(|()| receiver)).await;
            receiver = accepted.map_err(|error| Status::internal(error.to_string()))?.map_err(refused)?;
        }
        let (vote, snapshot) = receiver.finish().map_err(refused)?;
        tracing::info!(
            position = codec::position(snapshot.meta.last_log_id.map(|id| id.index)),
            "installing a snapshot"
        );
        let response = self.raft.install_full_snapshot(vote, snapshot).await.map_err(|error| stopped(&error))?;
        Ok(Response::new(proto::InstallSnapshotResponse { vote: Some(codec::from_vote(&response.vote)) }))
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferLeaderRequest>,
    ) -> Result<Response<proto::TransferLeaderResponse>, Status> {
        let request = codec::to_transfer(self.cluster.check(request)?.into_inner()).map_err(garbled)?;
        if !self.gate.may_vote() {
            return Err(shut());
        }
        let answer = self.raft.handle_transfer_leader(request).await.map_err(|error| stopped(&error))?;
        Ok(Response::new(codec::from_transfer_response(&answer)))
    }
}
