//! The state of one watch stream: its watches by id, and what is to be sent next.
//!
//! **Invariant**: responses leave in this order: a watch's `created`, its events by revision, its `canceled`; after that
//! nothing with this id until it is created again. A progress response with id −1 leaves only when every watch of the
//! stream has delivered everything up to its revision.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, SelectAll};
use futures::{FutureExt as _, StreamExt as _};
use keelson_proto::etcdserverpb::watch_create_request::FilterType;
use keelson_proto::etcdserverpb::watch_request::RequestUnion;
use keelson_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::IntervalStream;
use tonic::{Code, Status, Streaming};

use super::messages::{fragments, message};
use super::turns::{Control, End, Turn, Turns};
use crate::Error;
use crate::etcd_v3::front::Front;
use crate::etcd_v3::guard::Caller;
use crate::etcd_v3::status_code::{self, COMPACTED, DUPLICATE_WATCH_ID, EMPTY_WATCHER_RANGE, TOO_MANY_WATCHERS};
use crate::metrics::UnderWay;
use crate::watch;

/// Stands for no watch, or for all of them.
const NO_WATCH: i64 = -1;

/// Events that the store keeps for one watch of a slow client before it falls back to history. As much as goes into one
/// response, so that a client that is slow for a moment is not sent to the disk.
const BUFFERED_BYTES_MAX: usize = 1 << 20;

/// Watches on one stream. Clients of a whole cluster's worth of kinds use a few hundred.
const WATCHES_MAX: usize = 65_536;

/// Steps through history, a MiB each, that the watches of one stream may have read and not sent. However many watches a
/// client has, what it does not read is bounded.
const HISTORY_STEPS_MAX: usize = 4;

/// An id may be used again after a cancel, so turns are told apart by a number that is not.
type Serial = u64;

pub(super) struct Session {
    front: Front,
    caller: Caller,
    /// What comes from elsewhere. Like the watches it is looked at only when it has something, for an event concerns it not.
    inputs: SelectAll<BoxStream<'static, Input>>,
    /// The client has said that it has nothing more to ask. Its watches go on, as in etcd.
    requests_ended: bool,
    watches: HashMap<i64, Watch>,
    running: SelectAll<Turns<(i64, Serial)>>,
    /// See [`HISTORY_STEPS_MAX`].
    history: Arc<Semaphore>,
    next_id: i64,
    next_serial: Serial,
    /// At most what one request or one turn gives; emptied before the next is taken.
    outgoing: VecDeque<Bytes>,
    /// A progress response for the whole stream is due once all watches have delivered up to this revision.
    progress_all: Option<i64>,
    /// How the stream ends once all that is outgoing has left.
    failed: Option<Status>,
    ended: bool,
    _open: UnderWay,
}

/// What a stream hears besides its watches.
enum Input {
    Request(Result<WatchRequest, Status>),
    RequestsEnded,
    /// The watches that wish it are told how far they are.
    ProgressTick,
    Stop(Error),
}

/// A watched range, as etcd's pair.
type Range = (Bytes, Bytes);

/// In which epoch a watch was permitted, and to whom; none while authentication was off.
struct Permit {
    epoch: u64,
    user: Option<Arc<str>>,
}

struct Watch {
    serial: Serial,
    control: Arc<Control>,
    /// Key and range end.
    range: Range,
    permit: Permit,
    fragment: bool,
    progress_notify: bool,
    /// No event was sent since the progress timer's last tick.
    quiet: bool,
    /// The progress timer asked for a response.
    progress_due: bool,
    /// Everything up to this revision was delivered.
    delivered: i64,
}

impl Session {
    pub(super) fn new(
        front: Front,
        caller: Caller,
        requests: Streaming<WatchRequest>,
        stop: BoxFuture<'static, Error>,
    ) -> Self {
        let interval = with_jitter(front.limits.progress_interval);
        let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let requests = requests.map(Input::Request).chain(stream::once(async { Input::RequestsEnded }));
        let open = UnderWay::new(&front.handle.metrics().watch_streams);
        Self {
            front,
            caller,
            inputs: stream::select_all([
                requests.boxed(),
                IntervalStream::new(ticks).map(|_| Input::ProgressTick).boxed(),
                stop.map(Input::Stop).into_stream().boxed(),
            ]),
            requests_ended: false,
            watches: HashMap::new(),
            running: SelectAll::new(),
            history: Arc::new(Semaphore::new(HISTORY_STEPS_MAX)),
            next_id: 0,
            next_serial: 0,
            outgoing: VecDeque::new(),
            progress_all: None,
            failed: None,
            ended: false,
            _open: open,
        }
    }

    /// The next message; nothing follows an error.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        loop {
            if let Some(message) = self.outgoing.pop_front() {
                return Some(Ok(message));
            }
            if self.ended {
                return None;
            }
            if let Some(status) = self.failed.take() {
                self.ended = true;
                return Some(Err(status));
            }
            // Without watches and without requests nothing can ever follow.
            if self.requests_ended && self.watches.is_empty() {
                return None;
            }
            let taken = tokio::select! {
                Some(input) = self.inputs.next() => self.input(input).await,
                Some((tag, turn)) = self.running.next() => self.permitted_turn(tag, turn).await,
            };
            if let Err(status) = taken {
                self.failed = Some(status);
            }
        }
    }

    async fn input(&mut self, input: Input) -> Result<(), Status> {
        match input {
            Input::Request(request) => self.request(request.map_err(status_code::received)?).await,
            Input::RequestsEnded => {
                self.requests_ended = true;
                Ok(())
            }
            Input::ProgressTick => {
                self.progress_tick();
                Ok(())
            }
            Input::Stop(error) => Err(error.into()),
        }
    }

    fn push(&mut self, response: &WatchResponse) -> Result<(), Status> {
        self.outgoing.push_back(message(response, &[])?);
        Ok(())
    }

    async fn request(&mut self, request: WatchRequest) -> Result<(), Status> {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
            Some(RequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.request_progress(),
            // A request of a newer client; etcd passes it over, too.
            None => Ok(()),
        }
    }

    async fn create(&mut self, create: WatchCreateRequest) -> Result<(), Status> {
        // Not what is applied: a watch from there on would not be woken when that is published.
        let revision = self.front.handle.published();
        let refuse = move |session: &mut Self, reason: &str| {
            session.push(&WatchResponse {
                header: Some(session.front.header(revision)),
                watch_id: NO_WATCH,
                created: true,
                canceled: true,
                cancel_reason: reason.to_owned(),
                ..Default::default()
            })
        };
        if create.start_revision < 0 {
            return refuse(self, COMPACTED);
        }
        let key = if create.key.is_empty() { Bytes::from_static(b"\0") } else { create.key };
        let range = (key.clone(), create.range_end.clone());
        let permit = match permit(&self.caller, &range).await {
            Ok(permit) => permit,
            Err(error) => return refuse(self, &cancel_reason(error)),
        };
        let unbounded = create.range_end.as_ref() == b"\0";
        if !create.range_end.is_empty() && !unbounded && create.range_end <= key {
            return refuse(self, EMPTY_WATCHER_RANGE);
        }
        if self.watches.len() >= WATCHES_MAX {
            return refuse(self, TOO_MANY_WATCHERS);
        }
        let id = match create.watch_id {
            0 => self.free_id(),
            id if self.watches.contains_key(&id) => return refuse(self, DUPLICATE_WATCH_ID),
            id => id,
        };

        let watcher = self.front.handle.watch(watch::Options {
            key,
            range_end: create.range_end,
            // "After now" is pinned to the revision that the response names: a client that loses its stream before the
            // first event resumes from there, and nothing may be missing in between.
            start_revision: if create.start_revision == 0 { revision + 1 } else { create.start_revision },
            prev_kv: create.prev_kv,
            no_put: create.filters.contains(&(FilterType::Noput as i32)),
            no_delete: create.filters.contains(&(FilterType::Nodelete as i32)),
            max_buffered_bytes: BUFFERED_BYTES_MAX,
        });
        let watcher = watcher.with_room(Arc::clone(&self.history));
        let serial = self.next_serial;
        self.next_serial += 1;
        let control = Arc::new(Control::default());
        if self.progress_all.is_some() {
            control.report_progress();
        }
        self.running.push(Turns::new((id, serial), watcher, Arc::clone(&control)));
        self.watches.insert(
            id,
            Watch {
                serial,
                control,
                range,
                permit,
                fragment: create.fragment,
                progress_notify: create.progress_notify,
                quiet: false,
                progress_due: false,
                delivered: 0,
            },
        );
        self.push(&WatchResponse {
            header: Some(self.front.header(revision)),
            watch_id: id,
            created: true,
            ..Default::default()
        })
    }

    /// Takes what a watch has to say, if its user may still hear it: permissions may have changed since it was created.
    async fn permitted_turn(&mut self, (id, serial): (i64, Serial), turn: Turn) -> Result<(), Status> {
        let (epoch, enabled) = self.caller.epoch();
        let watch =
            self.watches.get(&id).filter(|watch| enabled && watch.serial == serial && watch.permit.epoch != epoch);
        if let Some((range, user)) = watch.map(|watch| (watch.range.clone(), watch.permit.user.clone())) {
            let permit = match &user {
                Some(user) if self.caller.may_still_read(user, &range.0, &range.1) => {
                    Ok(Permit { epoch, user: Some(Arc::clone(user)) })
                }
                Some(_) => Err(Error::PermissionDenied),
                // Created while authentication was off.
                None => permit(&self.caller, &range).await,
            };
            match (permit, self.watches.get_mut(&id)) {
                (Ok(permit), Some(watch)) => watch.permit = permit,
                (Ok(_), None) => {}
                (Err(error), _) => return self.end(id, cancel_reason(error)),
            }
        }
        self.turn((id, serial), turn)
    }

    /// Ends a watch whose user may not have it any more.
    fn end(&mut self, id: i64, cancel_reason: String) -> Result<(), Status> {
        if let Some(watch) = self.watches.remove(&id) {
            watch.control.cancel();
        }
        self.push(&WatchResponse {
            header: Some(self.front.header(self.front.handle.revision())),
            watch_id: id,
            canceled: true,
            cancel_reason,
            ..Default::default()
        })?;
        self.report_progress_all()
    }

    fn free_id(&mut self) -> i64 {
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    /// Cancels a watch; an id that is not in use is passed over, as in etcd.
    fn cancel(&mut self, id: i64) -> Result<(), Status> {
        let Some(watch) = self.watches.remove(&id) else { return Ok(()) };
        watch.control.cancel();
        self.push(&WatchResponse {
            header: Some(self.front.header(self.front.handle.revision())),
            watch_id: id,
            canceled: true,
            ..Default::default()
        })?;
        self.report_progress_all()
    }

    /// Takes what a watch has to say.
    fn turn(&mut self, (id, serial): (i64, Serial), turn: Turn) -> Result<(), Status> {
        let Some(watch) = self.watches.get_mut(&id).filter(|watch| watch.serial == serial) else {
            return Ok(());
        };
        watch.delivered = watch.delivered.max(turn.delivered);
        let head =
            WatchResponse { header: Some(self.front.header(turn.delivered)), watch_id: id, ..Default::default() };
        let progress_due = turn.progress && std::mem::take(&mut watch.progress_due);
        if !turn.events.is_empty() {
            self.front.handle.metrics().watch_events.inc_by(turn.events.len() as u64);
            watch.quiet = false;
            let outgoing = &mut self.outgoing;
            if watch.fragment {
                let bytes_max = self.front.message_bytes_max();
                fragments(&head, &turn.events, bytes_max, |message| outgoing.push_back(message))?;
            } else {
                outgoing.push_back(message(&head, &turn.events)?);
            }
        } else if progress_due {
            self.outgoing.push_back(message(&head, &[])?);
        }
        match turn.end {
            None => {}
            Some(End::Stopped) => return Err(Error::Stopped.into()),
            Some(End::Compacted { compact_revision }) => {
                self.watches.remove(&id);
                self.push(&WatchResponse {
                    header: Some(self.front.header(self.front.handle.revision())),
                    watch_id: id,
                    canceled: true,
                    compact_revision,
                    ..Default::default()
                })?;
            }
        }
        self.report_progress_all()
    }

    /// The client wants to know how far the stream as a whole is. Requests that come before the answer are answered by
    /// one. Without any watch there is nothing to report, and etcd says nothing.
    fn request_progress(&mut self) -> Result<(), Status> {
        if self.watches.is_empty() {
            return Ok(());
        }
        // What is applied and not published yet would be waited for until another event.
        let revision = self.front.handle.published();
        for watch in self.watches.values().filter(|watch| watch.delivered < revision) {
            watch.control.report_progress();
        }
        self.progress_all = Some(revision);
        self.report_progress_all()
    }

    fn report_progress_all(&mut self) -> Result<(), Status> {
        let Some(asked) = self.progress_all else { return Ok(()) };
        match self.watches.values().map(|watch| watch.delivered).min() {
            Some(delivered) if delivered < asked => return Ok(()),
            Some(delivered) => {
                let header = Some(self.front.header(delivered));
                self.push(&WatchResponse { header, watch_id: NO_WATCH, ..Default::default() })?;
            }
            None => {}
        }
        self.progress_all = None;
        Ok(())
    }

    fn progress_tick(&mut self) {
        for watch in self.watches.values_mut().filter(|watch| watch.progress_notify) {
            if std::mem::replace(&mut watch.quiet, true) {
                watch.progress_due = true;
                watch.control.report_progress();
            }
        }
    }
}

/// Checks that the stream's user may read a range.
async fn permit(caller: &Caller, range: &Range) -> Result<Permit, Error> {
    let (epoch, user) = caller.check_range(&range.0, &range.1).await?;
    Ok(Permit { epoch, user })
}

/// Why a watch is refused, as Go prints a status: its client compares these texts to tell whether to try again.
fn cancel_reason(error: Error) -> String {
    let status = Status::from(error);
    let code = match status.code() {
        Code::Unauthenticated => "Unauthenticated",
        Code::InvalidArgument => "InvalidArgument",
        Code::PermissionDenied => "PermissionDenied",
        Code::Unavailable => "Unavailable",
        _ => "Unknown",
    };
    format!("rpc error: code = {code} desc = {}", status.message())
}

/// The interval with up to a tenth more.
fn with_jitter(interval: Duration) -> Duration {
    interval + interval.mul_f64(rand::random::<f64>() / 10.0)
}
