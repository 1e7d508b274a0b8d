//! The replicated state behind openraft's interface.
//!
//! State's calls block on the disk, so they run on blocking threads, one at a time. Replies are released after the write
//! that they report.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use keelson_proto::keelson::store::v1::Batch;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, Snapshot};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::watch;

use super::codec;
use super::snapshot::{self, Source};
use super::types::{Entry, LogId, SnapshotMeta, StoredMembership, TypeConfig, log_id};
use crate::machine;
use crate::propose::answers::{Answers, Origin};
use crate::state::{self, Applied, Payload, Reader, State};

/// Entries applied in one go: more would only delay the replies of the first.
const ENTRIES_PER_APPLY_MAX: usize = 32;

pub(crate) type Snap = super::types::Snapshot<Source>;

/// Applies entries to [`State`].
pub(crate) struct StateMachine {
    state: Arc<Mutex<State>>,
    reader: Reader,
    /// Where checkpoints are made while they are sent.
    snapshots_dir: PathBuf,
    /// The position applied, for those who wait for it.
    applied: Arc<watch::Sender<u64>>,
    answers: Answers,
}

impl StateMachine {
    pub(crate) fn new(state: State, snapshots_dir: PathBuf, answers: Answers) -> (Self, watch::Receiver<u64>) {
        let (applied, receiver) = watch::channel(state.applied().index);
        let reader = state.reader();
        let (state, applied) = (Arc::new(Mutex::new(state)), Arc::new(applied));
        (Self { state, reader, snapshots_dir, applied, answers }, receiver)
    }

    async fn apply_chunk(&mut self, chunk: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        let (entries, responders): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
        show(&entries);
        let (state, applied, answers) = (Arc::clone(&self.state), Arc::clone(&self.applied), self.answers.clone());
        let wakes = blocking(move || {
            let entries = entries.into_iter().map(decode).collect::<io::Result<Vec<_>>>()?;
            let position = entries.last().map_or(0, |entry| entry.index);
            let origins: Vec<_> = entries.iter().map(origin).collect();
            let (replies, wakes) = state.lock().apply_then_wake(entries).map_err(io::Error::other)?;
            // Whoever is told of a write must be able to read it here.
            applied.send_replace(position);
            for ((term, origin), replies) in origins.into_iter().zip(replies) {
                answers.applied(term, origin.map(|origin| (origin, replies)));
            }
            Ok(wakes)
        })
        .await?;
        for responder in responders.into_iter().flatten() {
            responder.send(());
        }
        // The watchers may be many, and those who write wait.
        drop(wakes);
        Ok(())
    }
}

/// Runs `work` where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    machine::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Lets a simulation see what is applied.
fn show(entries: &[Entry]) {
    let Some(machine) = machine::current() else { return };
    for entry in entries {
        let index = codec::position(Some(entry.log_id.index));
        let encoded = codec::from_entry(entry).encode_to_vec();
        machine.world().applied(index, entry.log_id.leader_id.term, &encoded);
    }
}

/// The term of an entry, and whose batch it carries.
fn origin(entry: &state::Entry) -> (u64, Option<Origin>) {
    let origin = match &entry.payload {
        Payload::Batch(batch) => Some(Origin::of(batch)),
        Payload::Blank | Payload::Membership(_) => None,
    };
    (entry.term, origin)
}

fn decode(entry: Entry) -> io::Result<state::Entry> {
    let payload = match entry.payload {
        EntryPayload::Blank => Payload::Blank,
        EntryPayload::Membership(membership) => {
            let stored = StoredMembership::new(Some(entry.log_id), membership);
            Payload::Membership(codec::from_stored_membership(&stored).encode_to_vec().into())
        }
        EntryPayload::Normal(proposal) => {
            let source = |source| codec::Error::Decode { what: "a batch", source };
            Payload::Batch(Batch::decode(proposal.0).map_err(source).map_err(io::Error::other)?)
        }
    };
    Ok(state::Entry {
        index: codec::position(Some(entry.log_id.index)),
        term: entry.log_id.leader_id.term,
        // Index and term say it all.
        log_id: Bytes::new(),
        payload,
    })
}

/// openraft's view of how far the state is.
fn position(applied: Applied) -> io::Result<(Option<LogId>, StoredMembership)> {
    let id = codec::index(applied.index).map(|index| log_id(applied.term, index));
    let membership = codec::decode_stored_membership(applied.membership).map_err(io::Error::other)?;
    Ok((id, membership))
}

/// As openraft wants it.
fn meta(applied: Applied) -> io::Result<SnapshotMeta> {
    let (last_log_id, last_membership) = position(applied)?;
    Ok(SnapshotMeta { last_log_id, last_membership })
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Source;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        position(self.reader.applied())
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        let mut chunks = entries.ready_chunks(ENTRIES_PER_APPLY_MAX);
        while let Some(chunk) = chunks.next().await {
            self.apply_chunk(chunk.into_iter().collect::<io::Result<_>>()?).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { reader: self.reader.clone(), snapshots_dir: self.snapshots_dir.clone() }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Source) -> io::Result<()> {
        let Source::Received(folder) = snapshot else {
            return Err(io::Error::other("only a received snapshot can be installed"));
        };
        let state = Arc::clone(&self.state);
        let applied = blocking(move || {
            let mut state = state.lock();
            state.install(folder.path()).map_err(io::Error::other)?;
            Ok(state.applied())
        })
        .await?;
        let (installed, _) = position(applied.clone())?;
        if installed != meta.last_log_id {
            return Err(io::Error::other(snapshot::Error::Position { announced: meta.last_log_id, installed }));
        }
        self.applied.send_replace(applied.index);
        self.answers.replaced();
        Ok(())
    }

    /// The files are made when they are sent; see [`Source`].
    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snap>> {
        let applied = self.reader.applied();
        if applied.index == 0 {
            return Ok(None);
        }
        let snapshot = Source::Live { reader: self.reader.clone(), snapshots_dir: self.snapshots_dir.clone() };
        Ok(Some(Snapshot { meta: meta(applied)?, snapshot }))
    }
}

/// Makes snapshot points: the state is durable up to there, so the log before may be purged.
pub(crate) struct Builder {
    reader: Reader,
    snapshots_dir: PathBuf,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Source;

    async fn build_snapshot(&mut self) -> io::Result<Snap> {
        let reader = self.reader.clone();
        let applied = blocking(move || {
            let applied = reader.applied();
            if reader.flushed_index() < applied.index {
                reader.flush().map_err(io::Error::other)?;
            }
            Ok(applied)
        })
        .await?;
        let snapshot = Source::Live { reader: self.reader.clone(), snapshots_dir: self.snapshots_dir.clone() };
        Ok(Snapshot { meta: meta(applied)?, snapshot })
    }
}
