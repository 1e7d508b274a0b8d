//! The keys that the source deleted at the very revision that is imported.
//!
//! Its pairs do not name them, and a watch of the new store may start at that revision. So its events are asked for, as a watcher
//! asks. All events of a revision come together or in fragments marked as such. A revision may have none: the first one, one to
//! which a restored source skipped, one whose deletions are compacted. Then a progress notice says that nothing is to be expected; early
//! releases of etcd 3.4 and 3.5 give it also when they have not looked yet, which they do ten times a second.

use std::time::{Duration, Instant};

use bytes::Bytes;
use keelson_proto::etcdserverpb::watch_client::WatchClient;
use keelson_proto::etcdserverpb::watch_request::RequestUnion;
use keelson_proto::etcdserverpb::{WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use keelson_proto::mvccpb::event::EventType;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use super::Error;
use super::source::{ALL, ANSWER_BYTES_MAX, Source, Token, with};

/// Of keys, in memory at one time: an import needs no more for its pages.
const BYTES_MAX: usize = ANSWER_BYTES_MAX;
/// Before this much time, a progress notice does not count.
const SETTLED: Duration = Duration::from_secs(2);
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Requests under way: one to create the watch, and notices that are asked for.
const REQUESTS_MAX: usize = 4;

/// What the revision deleted, or why that is not known.
pub(super) enum Deletions {
    Keys(Vec<Bytes>),
    /// The keys have more bytes than this.
    TooMany {
        bytes_max: usize,
    },
    Compacted,
}

/// Asks for what `revision` deleted, which must not be newer than the source's newest.
pub(super) async fn read(source: &Source, revision: i64) -> Result<Deletions, Error> {
    // Before anything is written.
    if revision <= 1 {
        return Ok(Deletions::Keys(Vec::new()));
    }
    let what = "the changes of its newest revision";
    let ask = async |channel, token| watch(channel, token, revision).await;
    source.call(what, ask).await.map_err(|failed| failed.told(what))
}

async fn watch(channel: Channel, token: Option<Token>, revision: i64) -> Result<Deletions, Status> {
    let (requests, outgoing) = mpsc::channel(REQUESTS_MAX);
    let request = |union| WatchRequest { request_union: Some(union) };
    let (key, range_end) = (ALL.into(), ALL.into());
    let create = WatchCreateRequest { key, range_end, start_revision: revision, fragment: true, ..Default::default() };
    let ended = |_| Status::unavailable("the watch has ended");
    requests.send(request(RequestUnion::CreateRequest(create))).await.map_err(ended)?;
    let mut client = WatchClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let mut responses = client.watch(with(token, ReceiverStream::new(outgoing))).await?.into_inner();
    let mut found = Found { revision, keys: Vec::new(), bytes: 0, begun: false, begin: Instant::now() };
    let mut progress = tokio::time::interval(PROGRESS_EVERY);
    loop {
        tokio::select! {
            response = responses.message() => {
                let response = response?.ok_or_else(|| Status::unavailable("the watch has ended"))?;
                if let Some(deletions) = found.take(response)? {
                    return Ok(deletions);
                }
            }
            _ = progress.tick() => {
                // When those before are still under way, no more are needed.
                let _full = requests.try_send(request(RequestUnion::ProgressRequest(WatchProgressRequest {})));
            }
        }
    }
}

/// What was received so far.
struct Found {
    revision: i64,
    keys: Vec<Bytes>,
    bytes: usize,
    /// Some of the revision's events were received.
    begun: bool,
    begin: Instant,
}

impl Found {
    /// Takes a response; gives the end.
    fn take(&mut self, response: WatchResponse) -> Result<Option<Deletions>, Status> {
        if response.compact_revision > 0 {
            return Ok(Some(Deletions::Compacted));
        }
        if response.canceled {
            return Err(Status::permission_denied(response.cancel_reason));
        }
        if response.events.is_empty() {
            let reached = response.header.is_some_and(|header| header.revision >= self.revision);
            let none = !response.created && reached && !self.begun && self.begin.elapsed() >= SETTLED;
            return Ok(none.then(|| Deletions::Keys(Vec::new())));
        }
        self.begun = true;
        let mut whole = !response.fragment;
        for event in response.events {
            let deleted = event.r#type() == EventType::Delete;
            let pair = event.kv.unwrap_or_default();
            if pair.mod_revision > self.revision {
                whole = true;
            } else if deleted {
                self.bytes += pair.key.len();
                self.keys.push(pair.key);
            }
        }
        if self.bytes > BYTES_MAX {
            return Ok(Some(Deletions::TooMany { bytes_max: BYTES_MAX }));
        }
        Ok(whole.then(|| Deletions::Keys(std::mem::take(&mut self.keys))))
    }
}
