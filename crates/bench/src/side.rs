//! What is measured: a cluster of etcd or of Keelson that runs for one work and is erased afterwards, or a server that does
//! nothing, which shows how fast the clients alone are.

mod certificates;
mod etcd;
mod keelson;
mod members;
mod nothing;

use std::time::{Duration, Instant};

use anyhow::bail;
use certificates::ClientFiles;
use keelson_proto::etcdserverpb::{StatusRequest, StatusResponse};

pub use members::Members;

use crate::options::Options;
use crate::wire::{Connection, Endpoint, Method};

/// How long a cluster may take until all its members follow one leader.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often it is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Members are quiet when all together take less processor time than this, second after second.
const QUIET_BELOW: Duration = Duration::from_millis(250);
/// So many seconds in a row.
const QUIET_SECONDS: u32 = 3;
/// How long they may take to become so.
const QUIET_WITHIN: Duration = Duration::from_secs(1_800);

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Etcd,
    Keelson,
    Nothing,
}

impl Kind {
    /// As it is called in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Keelson => "keelson",
            Self::Nothing => "no-op server",
        }
    }
}

/// One that runs.
pub struct Side {
    kind: Kind,
    endpoints: Vec<Endpoint>,
    files: Option<ClientFiles>,
    running: Running,
}

enum Running {
    Etcd(etcd::Etcd),
    Keelson(keelson::Keelson),
    Nothing(#[expect(dead_code, reason = "ends when it is dropped")] nothing::Nothing),
}

impl Side {
    /// Starts it with empty data and waits until it is ready.
    ///
    /// # Errors
    /// When a program is missing or does not become ready.
    pub async fn start(kind: Kind, options: &Options) -> anyhow::Result<Self> {
        let (addresses, files, running) = match kind {
            Kind::Etcd => {
                let etcd = etcd::Etcd::start(options)?;
                (etcd.addresses(), etcd.client_files(), Running::Etcd(etcd))
            }
            Kind::Keelson => {
                let keelson = keelson::Keelson::start(options).await?;
                (keelson.addresses(), keelson.client_files(), Running::Keelson(keelson))
            }
            Kind::Nothing => {
                let nothing = nothing::Nothing::start(options)?;
                (nothing.addresses(), nothing.client_files(), Running::Nothing(nothing))
            }
        };
        let tls = files.as_ref().map(ClientFiles::read).transpose()?;
        let endpoints = addresses.into_iter().map(|address| Endpoint { address, tls: tls.clone() }).collect();
        let side = Self { kind, endpoints, files, running };
        side.leader_first().await?;
        Ok(side)
    }

    /// Which it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How etcdctl is told where it is.
    pub fn etcdctl_arguments(&self) -> Vec<String> {
        let scheme = if self.files.is_some() { "https" } else { "http" };
        let endpoints: Vec<_> =
            self.endpoints.iter().map(|endpoint| format!("{scheme}://{}", endpoint.address)).collect();
        let mut arguments = vec!["--endpoints".to_owned(), endpoints.join(",")];
        if let Some(ClientFiles { authority, certificate, key }) = &self.files {
            for (option, path) in [("--cacert", authority), ("--cert", certificate), ("--key", key)] {
                arguments.extend([option.to_owned(), path.to_string_lossy().into_owned()]);
            }
        }
        arguments
    }

    /// Where its members serve clients, the leader's first. Waits until all of them follow it.
    ///
    /// # Errors
    /// When there is no leader in time.
    pub async fn leader_first(&self) -> anyhow::Result<Vec<Endpoint>> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(leader) = self.leader().await {
                let mut endpoints = self.endpoints.clone();
                endpoints.rotate_left(leader);
                return Ok(endpoints);
            }
            if Instant::now() > deadline {
                bail!("{} has no leader that all members follow", self.kind.name());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The index of the member that leads, if all say the same.
    async fn leader(&self) -> Option<usize> {
        let (mut leaders, mut members) = (Vec::new(), Vec::new());
        for endpoint in &self.endpoints {
            let mut connection = Connection::open(endpoint).await.ok()?;
            let status: StatusResponse = connection.ask(Method::Status, &StatusRequest::default()).await.ok()?;
            leaders.push(status.leader);
            members.push(status.header?.member_id);
        }
        let leader = *leaders.first().filter(|leader| **leader != 0)?;
        let agreed = leaders.iter().all(|other| *other == leader);
        members.iter().position(|member| *member == leader).filter(|_| agreed)
    }

    /// The members as those see them who use the API.
    ///
    /// # Errors
    /// When it is not Keelson's, or has no leader in time.
    pub async fn api(&self) -> anyhow::Result<Members<'_>> {
        let Running::Keelson(keelson) = &self.running else { bail!("{} has no API", self.kind.name()) };
        let leader = self.leader_first().await?[0].address;
        let leader = keelson.addresses().iter().position(|address| *address == leader).unwrap_or(0);
        Members::new(keelson, leader)
    }

    /// Resident memory of each member in bytes; empty for one that has no processes.
    pub fn resident_bytes(&self) -> Vec<u64> {
        match &self.running {
            Running::Etcd(etcd) => etcd.resident_bytes(),
            Running::Keelson(keelson) => keelson.resident_bytes(),
            Running::Nothing(_) => Vec::new(),
        }
    }

    /// Waits until its members have little left to do that nobody waits for, and says how long that took.
    ///
    /// # Errors
    /// When they are still busy after [`QUIET_WITHIN`].
    pub async fn quiet(&self) -> anyhow::Result<Duration> {
        let processor_time = || match &self.running {
            Running::Etcd(etcd) => etcd.processor_time(),
            Running::Keelson(keelson) => keelson.processor_time(),
            Running::Nothing(_) => Duration::ZERO,
        };
        let started = Instant::now();
        let (mut quiet, mut before) = (0, processor_time());
        while quiet < QUIET_SECONDS {
            if started.elapsed() > QUIET_WITHIN {
                bail!("the members of {} are still busy after {QUIET_WITHIN:?}", self.kind.name());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = processor_time();
            quiet = if now.saturating_sub(before) < QUIET_BELOW { quiet + 1 } else { 0 };
            before = now;
        }
        Ok(started.elapsed())
    }
}
