//! How long a cluster is without its leader: the member that leads is killed (kill -9) while a writer writes, again and
//! again. Measured from the kill: the first write that is sent and accepted afterwards, and the first pod that is created
//! and bound afterwards. At the end every acknowledged write is looked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson::dev::scratch::READY_WITHIN;
use keelson::dev::{Scratch, Spec, ready};
use keelson_client::{Client, DeleteOptions};
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::{PutRequest, RangeRequest};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use crate::options::Options;
use crate::report::{self, statistics};

/// How long the writer waits for one answer before it asks the next member.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(200);
/// Pause between two writes: steady, and finer than what is measured.
const WRITE_INTERVAL: Duration = Duration::from_millis(2);
/// Pause between two looks at a pod.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// After so long a kill counts as failed.
const GIVE_UP: Duration = Duration::from_secs(30);

/// How long after a kill -9 of the leader writes are accepted and pods are bound again.
#[derive(Debug, clap::Args)]
pub struct Failover {
    /// How many times the leader is killed.
    #[arg(long, default_value_t = 20)]
    kills: usize,
}

/// A write that was acknowledged: when it was sent, when it was answered.
#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    sent: Instant,
    answered: Instant,
}

impl Failover {
    /// Runs it and prints the table.
    pub async fn run(&self, options: &Options) -> anyhow::Result<()> {
        let local =
            Scratch::start_program(&options.keelson_program()?, Spec { insecure_store: true, ..Spec::default() })
                .await?;
        let api = ready::client(&local)?;
        let (last, last_seen) = watch::channel(None);
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn(write(local.spec().store_endpoints(), last, stop.clone()));
        let (mut writes, mut pods) = (Vec::new(), Vec::new());
        for round in 0..self.kills {
            let leader = leader(&local, &api).await?;
            let killed = Instant::now();
            local.member(leader).signal(rustix::process::Signal::KILL)?;
            let (write, pod) =
                tokio::join!(accepted_after(last_seen.clone(), killed), bound_after(&api, round, killed));
            writes.push(write?.as_secs_f64());
            pods.push(pod?.as_secs_f64());
            restart(&local, leader).await?;
        }
        stop.store(true, Ordering::Relaxed);
        let acknowledged = writer.await.context("the writer panicked")??;
        let lost = missing(&local.spec().store_endpoints(), &acknowledged).await?;
        let row = |what: &str, values: &[f64]| {
            let maximum = values.iter().copied().fold(f64::NAN, f64::max);
            let median = statistics::median(values).unwrap_or(f64::NAN);
            [what.to_owned(), format!("{:.0} ms", median * 1e3), format!("{:.0} ms", maximum * 1e3)].into()
        };
        report::table(
            &format!("kill -9 of the leading member, {} times, three members, three simulated nodes", self.kills),
            &["from the kill to", "median", "maximum"],
            vec![row("the first write sent and accepted", &writes), row("the first pod created and bound", &pods)],
        );
        println!("{} writes were acknowledged, {lost} of them are missing", acknowledged.len());
        ensure!(lost == 0, "acknowledged writes are missing");
        Ok(())
    }
}

/// The index of the member that leads, as all members say.
async fn leader(local: &Scratch, api: &Client) -> anyhow::Result<usize> {
    let deadline = Instant::now() + GIVE_UP;
    loop {
        if let Ok(status) = api.cluster().status().await {
            let leads: Vec<_> = status.members.iter().filter(|member| member.leader).collect();
            if let [leader] = leads[..]
                && status.members.iter().all(|member| member.error.is_empty())
            {
                return Ok(local.member_index(&leader.name)?);
            }
        }
        if Instant::now() > deadline {
            bail!("no leader that all members follow");
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn restart(local: &Scratch, index: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    while local.member(index).pid().is_some() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    local.start_member(index)?;
    // Until it has caught up: every member answers and follows the leader.
    ready::control_plane(local, deadline, |_| {}).await
}

/// Writes one key after another, each to whichever member answers, until told to stop.
async fn write(
    endpoints: Vec<String>,
    last: watch::Sender<Option<Acknowledged>>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Vec<u64>> {
    let mut acknowledged = Vec::new();
    let mut clients: Vec<KvClient<Channel>> = Vec::new();
    for endpoint in &endpoints {
        clients.push(KvClient::new(connect(endpoint).await?));
    }
    let mut member = 0;
    let mut sequence = 0;
    while !stop.load(Ordering::Relaxed) {
        let request =
            PutRequest { key: key(sequence).into(), value: sequence.to_string().into(), ..PutRequest::default() };
        let sent = Instant::now();
        match tokio::time::timeout(ATTEMPT_TIMEOUT, clients[member].put(request)).await {
            Ok(Ok(_)) => {
                acknowledged.push(sequence);
                last.send_replace(Some(Acknowledged { sent, answered: Instant::now() }));
            }
            // Whether it was done is unknown; the next write is another key, so it does not matter here.
            Ok(Err(_)) | Err(_) => member = (member + 1) % clients.len(),
        }
        sequence += 1;
        tokio::time::sleep(WRITE_INTERVAL).await;
    }
    Ok(acknowledged)
}

fn key(sequence: u64) -> String {
    format!("/bench/failover/{sequence:012}")
}

/// From the kill to the answer of the first write that was sent after it.
async fn accepted_after(mut last: watch::Receiver<Option<Acknowledged>>, killed: Instant) -> anyhow::Result<Duration> {
    let found = last.wait_for(|last| last.is_some_and(|last| last.sent > killed));
    let found = tokio::time::timeout(GIVE_UP, found).await.context("no write was accepted")??;
    let acknowledged = found.context("the writer ended")?;
    Ok(acknowledged.answered - killed)
}

/// From the kill to a look that shows a pod, created after the kill, bound to a node.
async fn bound_after(api: &Client, round: usize, killed: Instant) -> anyhow::Result<Duration> {
    let name = format!("failover-{round}");
    let pod = Pod {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some("default".to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![Container {
                name: "main".to_owned(),
                image: Some("failover:1".to_owned()),
                ..Container::default()
            }],
            ..PodSpec::default()
        }),
        status: None,
    };
    while killed.elapsed() < GIVE_UP {
        match api.create(&pod).await {
            Ok(_) => break,
            Err(error) if error.is_already_exists() => break,
            Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
        }
    }
    while killed.elapsed() < GIVE_UP {
        if let Ok(pod) = api.get::<Pod>("default", &name).await
            && pod.spec.is_some_and(|spec| spec.node_name.is_some())
        {
            let bound = killed.elapsed();
            let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
            // Only tidiness: a pod that stays takes room on a node, no more.
            let _ = api.delete::<Pod>("default", &name, now).await;
            return Ok(bound);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    bail!("the pod {name} was not bound")
}

/// How many acknowledged writes a linearizable read does not show.
async fn missing(endpoints: &[String], acknowledged: &[u64]) -> anyhow::Result<usize> {
    let mut client = KvClient::new(connect(&endpoints[0]).await?).max_decoding_message_size(usize::MAX);
    let request = RangeRequest {
        key: key(0).into(),
        range_end: "/bench/failover0".into(),
        keys_only: true,
        ..RangeRequest::default()
    };
    let found: std::collections::HashSet<_> =
        client.range(request).await?.into_inner().kvs.into_iter().map(|kv| kv.key).collect();
    Ok(acknowledged.iter().filter(|sequence| !found.contains(key(**sequence).as_bytes())).count())
}

/// One connection without Nagle's delay.
async fn connect(endpoint: &str) -> anyhow::Result<Channel> {
    let endpoint =
        Endpoint::from_shared(endpoint.to_owned())?.tcp_nodelay(true).connect_timeout(Duration::from_secs(5));
    endpoint.connect().await.context("cannot connect")
}
