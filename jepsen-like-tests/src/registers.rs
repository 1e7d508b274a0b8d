//! Clients that put, read and compare-and-set a few keys through all members while the cluster is hurt, and the judgement of
//! what they saw: linearizable, and every acknowledged write in the final history once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use keelson_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::request_op::Request;
use keelson_proto::etcdserverpb::response_op::Response;
use keelson_proto::etcdserverpb::watch_client::WatchClient;
use keelson_proto::etcdserverpb::watch_request::RequestUnion;
use keelson_proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCreateRequest, WatchRequest,
};
use keelson_proto::mvccpb::KeyValue;
use keelson_proto::mvccpb::event::EventType;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::acknowledged;
use crate::cluster::Cluster;
use crate::history::{Event, History, Outcome, Recorder};
use crate::linearizability::{self, Budget, Verdict};
use crate::model::register::{Answer, Call, Register, Versioned};
use crate::watches::Change;

/// All keys begin so.
const PREFIX: &str = "/registers/";
/// The byte after '/' ends the prefix.
const PREFIX_END: &str = "/registers0";
/// Few, so that operations meet; more than one, so that the check stays cheap.
const KEYS: u64 = 6;
/// How long a client waits for an answer. Longer than an election, so that most outcomes are known.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Pause of a client between two operations: the check's cost grows with their number.
const PAUSE: Duration = Duration::from_millis(15);
/// How long the final history may take to arrive.
const HISTORY_WITHIN: Duration = Duration::from_secs(120);

type RegisterEvent = Event<Call, Answer>;

/// Running clients.
pub struct Registers {
    stop: CancellationToken,
    clients: JoinSet<()>,
    log: Arc<Mutex<Log>>,
    started: Instant,
    file: PathBuf,
}

struct Log {
    events: Vec<RegisterEvent>,
    recorder: Recorder<std::io::BufWriter<std::fs::File>>,
    next_id: u64,
}

impl Log {
    /// Numbers, stamps and keeps an event in one step, so that the order of the list is the order of time.
    fn keep(&mut self, event: RegisterEvent) -> anyhow::Result<()> {
        self.recorder.record(&event)?;
        self.events.push(event);
        Ok(())
    }
}

/// What a judged run consisted of.
#[derive(Debug)]
pub struct Judged {
    /// Operations with a known good answer.
    pub answered: usize,
    /// Operations of which nobody knows whether they took effect.
    pub unknown: usize,
    /// Changes in the final history.
    pub changes: usize,
}

impl Registers {
    /// Starts `count` clients. What they do follows from `seed`; what they see is also written to a file in the cluster's
    /// home.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn start(cluster: &Cluster, count: u64, seed: u64) -> anyhow::Result<Self> {
        let file = keelson::dev::scratch::folder()?.join(format!("registers-{}.jsonl", std::process::id()));
        let writer = std::io::BufWriter::new(std::fs::File::create(&file)?);
        let log = Log { events: Vec::new(), recorder: Recorder::new(writer), next_id: 0 };
        let (log, stop, started) = (Arc::new(Mutex::new(log)), CancellationToken::new(), Instant::now());
        let mut clients = JoinSet::new();
        for number in 0..count {
            let client = Client {
                number,
                members: (0..cluster.spec().members).map(|index| cluster.kv(index)).collect(),
                random: SmallRng::seed_from_u64(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
                log: log.clone(),
                started,
            };
            clients.spawn(client.run(stop.clone()));
        }
        Ok(Self { stop, clients, log, started, file })
    }

    /// Notes in the history what was done to the cluster.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn note(&self, what: impl Into<String>) -> anyhow::Result<()> {
        let mut log = self.log.lock().await;
        let at_nanos = nanos(self.started);
        log.keep(Event::Fault { at_nanos, what: what.into() })
    }

    /// Waits until `more` further operations are answered: nothing is proved by a fault that nobody was there to see.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn answered(&self, more: usize, within: Duration) -> anyhow::Result<()> {
        let count = async || {
            let log = self.log.lock().await;
            log.events.iter().filter(|event| matches!(event, Event::Complete { outcome: Outcome::Ok(_), .. })).count()
        };
        let (wanted, deadline) = (count().await + more, Instant::now() + within);
        while count().await < wanted {
            ensure!(Instant::now() < deadline, "operations are not answered");
            tokio::time::sleep(crate::cluster::LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// Stops the clients and judges what they saw. The cluster must be healed.
    ///
    /// # Errors
    /// When it is not linearizable, when an acknowledged write is wrong, or when the checker could not decide.
    pub async fn judge(mut self, cluster: &Cluster) -> anyhow::Result<Judged> {
        self.stop.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended.context("a client panicked")?;
        }
        let log = Arc::into_inner(self.log).context("a client still has the log")?.into_inner();
        log.recorder.finish()?;
        let history = History::try_new(log.events)?;
        let operations = history.operations();
        let changes = changes(cluster).await?;
        let where_ = format!("the history is in {}", self.file.display());
        match linearizability::check::<Register>(&operations, Budget::default()) {
            Verdict::Linearizable => {}
            verdict @ (Verdict::NotLinearizable { .. } | Verdict::Undecided { .. }) => bail!("{verdict}\n{where_}"),
        }
        let violations = acknowledged::check(&history, &changes);
        ensure!(violations.is_empty(), "{violations:#?}\n{where_}");
        std::fs::remove_file(&self.file)?;
        let answered = operations.iter().filter(|operation| operation.answered.is_some()).count();
        Ok(Judged { answered, unknown: operations.len() - answered, changes: changes.len() })
    }
}

fn nanos(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

struct Client {
    number: u64,
    members: Vec<KvClient<Channel>>,
    random: SmallRng,
    log: Arc<Mutex<Log>>,
    started: Instant,
}

impl Client {
    async fn run(mut self, stop: CancellationToken) {
        // The revision at which this client last saw each key.
        let mut seen = vec![0; KEYS as usize];
        for sequence in 0_u64.. {
            if stop.is_cancelled() {
                return;
            }
            let key = self.random.random_range(0..KEYS) as usize;
            let name = format!("{PREFIX}{key}");
            let value = format!("{}-{sequence}", self.number);
            let call = match self.random.random_range(0..4) {
                0 | 1 => Call::Read { key: name },
                2 => Call::Put { key: name, value },
                _ => Call::CompareAndSet { key: name, expected_mod_revision: seen[key], value },
            };
            let outcome = self.ask(call).await;
            if let Outcome::Ok(answer) = outcome {
                seen[key] = match answer {
                    Answer::Written { revision } => revision,
                    Answer::Read { found, .. } | Answer::Different { found, .. } => {
                        found.map_or(0, |found| found.mod_revision)
                    }
                };
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
    }

    /// Asks a random member, and keeps what was asked and answered.
    async fn ask(&mut self, call: Call) -> Outcome<Answer> {
        let member = self.random.random_range(0..self.members.len());
        let id = {
            let mut log = self.log.lock().await;
            let id = log.next_id;
            log.next_id += 1;
            let invoke = Event::Invoke { id, process: self.number, at_nanos: nanos(self.started), call: call.clone() };
            log.keep(invoke).expect("the history can be written");
            id
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, perform(&mut self.members[member], &call)).await;
        let outcome = match answer {
            Ok(Ok(answer)) => Outcome::Ok(answer),
            // A read has no effect, whatever became of it.
            Ok(Err(error)) if matches!(call, Call::Read { .. }) => Outcome::Refused { reason: error.to_string() },
            Err(_) if matches!(call, Call::Read { .. }) => Outcome::Refused { reason: "no answer in time".to_owned() },
            Ok(Err(error)) => Outcome::Unknown { reason: error.to_string() },
            Err(_) => Outcome::Unknown { reason: "no answer in time".to_owned() },
        };
        let mut log = self.log.lock().await;
        let complete = Event::Complete { id, at_nanos: nanos(self.started), outcome: outcome.clone() };
        log.keep(complete).expect("the history can be written");
        outcome
    }
}

async fn perform(member: &mut KvClient<Channel>, call: &Call) -> anyhow::Result<Answer> {
    match call {
        Call::Read { key } => {
            let answer = member.range(read(key)).await?.into_inner();
            let revision = answer.header.context("a header")?.revision;
            Ok(Answer::Read { found: answer.kvs.first().map(versioned), revision })
        }
        Call::Put { key, value } => {
            let answer = member.put(put(key, value)).await?.into_inner();
            Ok(Answer::Written { revision: answer.header.context("a header")?.revision })
        }
        Call::CompareAndSet { key, expected_mod_revision, value } => {
            let compare = Compare {
                result: CompareResult::Equal.into(),
                target: CompareTarget::Mod.into(),
                key: key.clone().into(),
                target_union: Some(TargetUnion::ModRevision(*expected_mod_revision)),
                ..Compare::default()
            };
            let request = TxnRequest {
                compare: vec![compare],
                success: vec![RequestOp { request: Some(Request::RequestPut(put(key, value))) }],
                failure: vec![RequestOp { request: Some(Request::RequestRange(read(key))) }],
            };
            let answer = member.txn(request).await?.into_inner();
            let revision = answer.header.context("a header")?.revision;
            if answer.succeeded {
                return Ok(Answer::Written { revision });
            }
            match answer.responses.into_iter().next().and_then(|response| response.response) {
                Some(Response::ResponseRange(range)) => {
                    Ok(Answer::Different { found: range.kvs.first().map(versioned), revision })
                }
                other => bail!("a transaction answered {other:?} to its read"),
            }
        }
    }
}

fn read(key: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() }
}

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..PutRequest::default() }
}

fn versioned(kv: &KeyValue) -> Versioned {
    Versioned { value: String::from_utf8_lossy(&kv.value).into_owned(), mod_revision: kv.mod_revision }
}

/// Every change of the registers from the beginning to now, as a watch tells it.
async fn changes(cluster: &Cluster) -> anyhow::Result<Vec<Change>> {
    let leader = cluster.leader().await?;
    let now = cluster.kv(leader).range(read(PREFIX)).await?.into_inner().header.context("a header")?.revision;
    let create = WatchCreateRequest {
        key: PREFIX.into(),
        range_end: PREFIX_END.into(),
        start_revision: 1,
        ..WatchCreateRequest::default()
    };
    let created = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let progress = || WatchRequest { request_union: Some(RequestUnion::ProgressRequest(Default::default())) };
    let (requests, receiver) = tokio::sync::mpsc::channel(4);
    requests.send(created).await?;
    let mut client = WatchClient::new(cluster.channel(leader)).max_decoding_message_size(usize::MAX);
    let mut responses = client.watch(tokio_stream::wrappers::ReceiverStream::new(receiver)).await?.into_inner();
    let mut changes = Vec::new();
    let deadline = Instant::now() + HISTORY_WITHIN;
    loop {
        // A progress report at or above `now` says that everything up to it was delivered.
        let response = match tokio::time::timeout(Duration::from_millis(200), responses.message()).await {
            Ok(response) => response?.context("the watch ended")?,
            Err(_) => {
                ensure!(Instant::now() < deadline, "the history does not arrive");
                requests.send(progress()).await?;
                continue;
            }
        };
        ensure!(!response.canceled, "the watch was cancelled: {}", response.cancel_reason);
        let reached = response.header.map_or(0, |header| header.revision);
        if response.events.is_empty() && !response.created && reached >= now {
            return Ok(changes);
        }
        for event in response.events {
            let kv = event.kv.context("a key")?;
            let deleted = event.r#type == i32::from(EventType::Delete);
            changes.push(Change {
                revision: kv.mod_revision,
                key: String::from_utf8_lossy(&kv.key).into_owned(),
                value: (!deleted).then(|| String::from_utf8_lossy(&kv.value).into_owned()),
            });
        }
    }
}
