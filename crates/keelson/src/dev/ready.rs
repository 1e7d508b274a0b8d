//! Waiting for a local cluster: asks through the API what a user would ask, and gives up early when a process ended.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Node;
use keelson_client::{Client, ListOptions, Options, Tls};

use super::Process;
use super::cluster::Cluster;

/// How often the cluster is asked again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long one question may take; short, because during start-up the answer is often that nobody is there.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// The same when nobody asks again.
const PATIENT_TIMEOUT: Duration = Duration::from_secs(120);

/// A client of the cluster's API as the administrator, over all members, for questions that are asked again.
///
/// # Errors
/// When a certificate cannot be read.
pub fn client(cluster: &Cluster) -> anyhow::Result<Client> {
    client_within(cluster, QUESTION_TIMEOUT)
}

/// The same for those that are asked once, on a machine that is busy with other tests.
///
/// # Errors
/// When a certificate cannot be read.
pub fn patient_client(cluster: &Cluster) -> anyhow::Result<Client> {
    client_within(cluster, PATIENT_TIMEOUT)
}

fn client_within(cluster: &Cluster, timeout: Duration) -> anyhow::Result<Client> {
    let options = Options {
        request_timeout: timeout,
        unreachable_timeout: timeout,
        tls: Some(tls(&cluster.api_certificate("admin"))?),
        ..Options::new(cluster.spec().api_endpoints())
    };
    Ok(Client::connect(options)?)
}

/// Reads authority, certificate and key.
pub(crate) fn tls(
    (authority, certificate, key): &(impl AsRef<Path>, impl AsRef<Path>, impl AsRef<Path>),
) -> anyhow::Result<Tls> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    Ok(Tls { ca_pem: read(authority.as_ref())?, cert_pem: read(certificate.as_ref())?, key_pem: read(key.as_ref())? })
}

/// Waits until every member answers and follows one leader.
///
/// # Errors
/// When a member ended on its own (with the end of its log), or at the deadline with what is missing.
pub async fn control_plane(cluster: &Cluster, deadline: Instant, step: impl Fn(&str)) -> anyhow::Result<()> {
    let client = client(cluster)?;
    let members: Vec<Process> = cluster.members().collect();
    until(deadline, &members, step, async || {
        let status = match client.cluster().status().await {
            Ok(status) => status,
            Err(error) => return Some(format!("waiting for the API ({error})")),
        };
        let silent = status.members.iter().filter(|member| !member.error.is_empty()).count();
        let led = status.members.iter().filter(|member| member.leader).count();
        match (silent, led) {
            (0, 1) => None,
            (0, _) => Some("waiting for a leader".to_owned()),
            (silent, _) => Some(format!("waiting for {silent} of {} members", status.members.len())),
        }
    })
    .await
}

/// Waits until every node is Ready.
///
/// # Errors
/// When a process ended on its own, or at the deadline with what is missing.
pub async fn nodes(cluster: &Cluster, deadline: Instant, step: impl Fn(&str)) -> anyhow::Result<()> {
    let client = client(cluster)?;
    let wanted = cluster.spec().nodes;
    let mut processes: Vec<Process> = cluster.members().collect();
    if wanted > 0 {
        processes.push(cluster.agent());
    }
    until(deadline, &processes, step, async || {
        let ready = match client.list::<Node>("", &ListOptions::default()).await {
            Ok(nodes) => nodes.items.iter().filter(|node| is_ready(node)).count(),
            Err(error) => return Some(format!("waiting for the nodes ({error})")),
        };
        (ready < wanted).then(|| format!("waiting for the nodes ({ready} of {wanted} ready)"))
    })
    .await
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Asks until nothing is missing.
async fn until(
    deadline: Instant,
    processes: &[Process],
    step: impl Fn(&str),
    missing: impl AsyncFn() -> Option<String>,
) -> anyhow::Result<()> {
    loop {
        let Some(text) = missing().await else { return Ok(()) };
        step(&text);
        if let Some(ended) = processes.iter().find(|process| process.pid().is_none()) {
            bail!("{} ended; the last of its log:\n{}", ended.name(), ended.log_tail());
        }
        if Instant::now() > deadline {
            bail!("gave up {text}; `keelson dev logs NAME` shows what a process says");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
