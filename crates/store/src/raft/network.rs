//! openraft's messages to other members.
//!
//! Appends of one replication session share one stream and are answered in order. Every wait has an end, after which
//! openraft tries again.
//!
//! **A session that asks for what was purged ends here.** The leader has given it up for a snapshot then, but openraft has it
//! go on for as long as its messages are answered, and what the log gives it, which is nothing, makes messages that are. It
//! would never look for what the leader wants sent after the snapshot.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use keelson_proto::keelson::raft::v1::InstallSnapshotRequest;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::log::Log;
use super::snapshot::{self, Sending, Source};
use super::state_machine::Snap;
use super::types::{TypeConfig, Vote};
use super::{codec, state_machine};
use crate::metrics::{OnePeer, PeerFigures};
use crate::peers::{Peer, Peers};
use crate::state::Reader;

/// An append that is not answered by then has been lost with its connection: a sync takes milliseconds.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts to open a stream: a restarted member should be found at once, and an absent one cost nothing.
const REOPEN_PAUSE: Duration = Duration::from_millis(50);
/// Snapshot messages that wait for the network.
const SNAPSHOT_QUEUE_MAX: usize = 4;

type Error = RPCError<TypeConfig>;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Replication,
    Heartbeat,
}

/// Makes [`Network`]s.
pub(crate) struct Factory {
    peers: Peers,
    log: Log,
    figures: PeerFigures,
}

impl Factory {
    pub(crate) fn new(peers: Peers, log: Log, figures: PeerFigures) -> Self {
        Self { peers, log, figures }
    }

    fn network(&self, target: u64, purpose: Purpose) -> Network {
        Network {
            peers: self.peers.clone(),
            log: self.log.clone(),
            target,
            purpose,
            figures: self.figures.of(self.peers.own_id(), target),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Factory {
    type Network = Network;

    async fn new_client(&mut self, target: u64, (): &()) -> Network {
        self.network(target, Purpose::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: u64, (): &()) -> Network {
        self.network(target, Purpose::Heartbeat)
    }
}

/// Speaks to one member.
pub(crate) struct Network {
    peers: Peers,
    log: Log,
    target: u64,
    purpose: Purpose,
    figures: OnePeer,
}

impl Network {
    fn peer(&self) -> Result<Arc<Peer>, Error> {
        self.peers
            .get(self.target)
            .ok_or_else(|| Unreachable::from_string(format!("member {:016x} is not known here", self.target)).into())
    }

    /// For what openraft would ask for again at once, for ever.
    async fn peer_in_a_while(&self) -> Result<Arc<Peer>, Error> {
        if self.peers.get(self.target).is_none() {
            tokio::time::sleep(REOPEN_PAUSE).await;
        }
        self.peer()
    }

    async fn ask_vote(
        &self,
        request: &VoteRequest<TypeConfig>,
        pre_vote: bool,
        option: &RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Error> {
        let mut client = self.peer()?.control();
        let request = codec::from_vote_request(request, pre_vote);
        let begin = Instant::now();
        let response = within(option.hard_ttl(), client.vote(request)).await;
        self.figures.answered(&response, begin.elapsed());
        codec::to_vote_response(response?.into_inner()).map_err(|error| garbled(&error))
    }

    async fn heartbeat(
        &self,
        request: &AppendEntriesRequest<TypeConfig>,
        option: &RPCOption,
    ) -> Result<StreamAppendResult<TypeConfig>, Error> {
        let mut client = self.peer()?.control();
        let begin = Instant::now();
        let response = within(option.hard_ttl(), client.heartbeat(codec::from_append(request))).await;
        self.figures.heartbeat(&response, begin.elapsed());
        codec::to_append_result(response?.into_inner()).map_err(|error| garbled(&error))
    }
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Status>>) -> Result<T, Error> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(status)) => Err(failed(&status)),
        Err(elapsed) => Err(NetworkError::new(&elapsed).into()),
    }
}

/// A refused or broken connection is worth a pause; anything else is tried again at once.
fn failed(status: &Status) -> Error {
    match status.code() {
        Code::Unavailable | Code::PermissionDenied | Code::Unimplemented => Unreachable::new(status).into(),
        _ => NetworkError::new(status).into(),
    }
}

fn garbled(error: &codec::Error) -> Error {
    Unreachable::new(error).into()
}

impl RaftNetworkV2<TypeConfig> for Network {
    type SnapshotData = Source;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Error> {
        Ok(self.heartbeat(&rpc, &option).await?.into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, Error>>, Error>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        Box::pin(async move {
            if self.purpose == Purpose::Heartbeat {
                let answers = async_stream_of(async move {
                    let request = input.next().await?;
                    Some(self.heartbeat(&request, &option).await)
                });
                return Ok(answers);
            }
            let mut client = self.peer_in_a_while().await?.appends();
            let under_way = Arc::new(AtomicU64::new(0));
            let sent = Arc::clone(&under_way);
            let log = self.log.clone();
            let follows = move |request: &AppendEntriesRequest<TypeConfig>| {
                let lost = request.entries.is_empty() && log.is_purged_after(request.prev_log_id);
                std::future::ready(!lost)
            };
            let requests = input.take_while(follows).map(move |request| {
                sent.fetch_add(1, Ordering::Relaxed);
                codec::from_append(&request)
            });
            let responses = match within(APPEND_TIMEOUT, client.append(requests)).await {
                Ok(responses) => responses.into_inner(),
                Err(error) => {
                    // openraft backs off when it makes the next request, and a stream that is not opened asks for none.
                    tokio::time::sleep(REOPEN_PAUSE).await;
                    return Err(error);
                }
            };
            let answers = futures::stream::unfold(Some((responses, under_way)), |session| async move {
                let (mut responses, under_way) = session?;
                let answer = loop {
                    match tokio::time::timeout(APPEND_TIMEOUT, responses.message()).await {
                        // Nothing to replicate, nothing to answer.
                        Err(_) if under_way.load(Ordering::Relaxed) == 0 => {}
                        Err(elapsed) => break Err(NetworkError::new(&elapsed).into()),
                        Ok(Err(status)) => break Err(failed(&status)),
                        Ok(Ok(None)) => return None,
                        Ok(Ok(Some(response))) => break codec::to_append_result(response).map_err(|e| garbled(&e)),
                    }
                };
                under_way.fetch_sub(1, Ordering::Relaxed);
                let next = matches!(answer, Ok(Ok(_))).then_some((responses, under_way));
                Some((answer, next))
            });
            Ok(answers.boxed())
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Error> {
        self.ask_vote(&rpc, false, &option).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, Error> {
        self.ask_vote(&rpc, true, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snap,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let Source::Live { reader, snapshots_dir } = snapshot.snapshot else {
            let what = "a received snapshot is installed, not sent";
            return Err(StreamingError::Unreachable(Unreachable::from_string(what)));
        };
        let mut client = self.peer_in_a_while().await?.snapshots();
        let (to, messages) = mpsc::channel(SNAPSHOT_QUEUE_MAX);
        let sending = send(reader, snapshots_dir, vote, to);
        let call = async {
            let answered = client.install_snapshot(ReceiverStream::new(messages));
            let (sent, answered) = tokio::join!(sending, answered);
            // The receiver's answer says more than that it went away.
            match (answered, sent) {
                (Ok(response), Ok(())) => Ok(response.into_inner()),
                (Err(status), _) => Err(failed(&status)),
                (Ok(_), Err(error)) => Err(Unreachable::new(&error).into()),
            }
        };
        let response = tokio::select! {
            closed = cancel => return Err(closed.into()),
            response = tokio::time::timeout(option.hard_ttl(), call) => match response {
                Ok(response) => response?,
                Err(elapsed) => return Err(StreamingError::Network(NetworkError::new(&elapsed))),
            },
        };
        let vote = codec::to_vote(response.vote).map_err(|error| garbled(&error))?;
        Ok(SnapshotResponse::new(vote))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Error> {
        let mut client = self.peer()?.control();
        let response = within(option.hard_ttl(), client.transfer_leader(codec::from_transfer(&request))).await?;
        codec::to_transfer_response(response.into_inner(), &request).map_err(|error| garbled(&error))
    }
}

/// Makes a checkpoint and writes it to `to`, until the receiver goes away.
async fn send(
    reader: Reader,
    snapshots_dir: PathBuf,
    vote: Vote,
    to: mpsc::Sender<InstallSnapshotRequest>,
) -> std::io::Result<()> {
    let failed = std::io::Error::other::<snapshot::Error>;
    let make = move || Sending::new(&reader, &snapshots_dir, &vote).map_err(failed);
    let mut sending = state_machine::blocking(make).await?;
    loop {
        let read = move || {
            let message = sending.read().map_err(failed)?;
            Ok((sending, message))
        };
        let (rest, message) = state_machine::blocking(read).await?;
        sending = rest;
        let Some(message) = message else { return Ok(()) };
        if to.send(message).await.is_err() {
            return Err(std::io::Error::other("the receiver went away"));
        }
    }
}

/// A stream of what `future` gives, if anything.
fn async_stream_of<'s, T: Send + 's>(future: impl Future<Output = Option<T>> + Send + 's) -> BoxStream<'s, T> {
    futures::stream::once(future).filter_map(std::future::ready).boxed()
}
