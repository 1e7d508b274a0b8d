//! A cluster of real processes that can be hurt: members killed, paused, cut off from each other, wiped.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use keelson::dev::scratch::{READY_WITHIN, free_ports};
use keelson::dev::{Detour, Scratch, Spec, ready};
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use keelson_proto::etcdserverpb::{HashKvRequest, StatusRequest, StatusResponse};
use rustix::process::Signal;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::proxy::Proxy;

/// Pause between two looks at a member.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long a member may take to answer one question.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);

/// A scratch cluster whose peer connections all lead through proxies.
pub struct Cluster {
    scratch: Scratch,
    proxies: Vec<(usize, usize, Proxy)>,
    channels: Vec<Channel>,
}

impl std::ops::Deref for Cluster {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl Cluster {
    /// Lays the cluster out, starts all of it and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(spec: Spec) -> anyhow::Result<Self> {
        let members = spec.members;
        let base = free_ports(10 * u16::try_from(members)?)?;
        // Lays the same addresses out as the scratch cluster will.
        let addresses = Spec { api_port: base, store_port: base + 1, peer_port: base + 2, ..spec.clone() };
        let mut proxies = Vec::new();
        for (from, to) in (0..members).flat_map(|from| (0..members).map(move |to| (from, to))) {
            if from != to {
                proxies.push((from, to, Proxy::start(addresses.peer_address(to)).await?));
            }
        }
        let detours =
            proxies.iter().map(|(from, to, proxy)| Detour { from: *from, to: *to, address: proxy.address() }).collect();
        let scratch = Scratch::lay_out_at(base, Spec { detours, ..spec })?;
        scratch.start_all().await?;
        let channels = (0..members).map(|index| channel(&scratch, index)).collect::<anyhow::Result<_>>()?;
        Ok(Self { scratch, proxies, channels })
    }

    /// A connection to the etcd port of member `index`, made when it is first used and again when it breaks.
    #[must_use]
    pub fn channel(&self, index: usize) -> Channel {
        self.channels[index].clone()
    }

    /// The key-value service of member `index`.
    #[must_use]
    pub fn kv(&self, index: usize) -> KvClient<Channel> {
        KvClient::new(self.channel(index)).max_decoding_message_size(usize::MAX)
    }

    /// What member `index` says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self, index: usize) -> anyhow::Result<StatusResponse> {
        let mut client = MaintenanceClient::new(self.channel(index));
        let answer = tokio::time::timeout(QUESTION_TIMEOUT, client.status(StatusRequest {}));
        Ok(answer.await.context("no answer")??.into_inner())
    }

    /// The member that leads, once one does and says so itself.
    ///
    /// # Errors
    /// When there is none within the usual time.
    pub async fn leader(&self) -> anyhow::Result<usize> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            for index in 0..self.spec().members {
                if let Ok(status) = self.status(index).await
                    && status.leader != 0
                    && status.header.is_some_and(|header| header.member_id == status.leader)
                {
                    return Ok(index);
                }
            }
            ensure!(Instant::now() < deadline, "nobody leads");
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Ends member `index` as a power failure of its machine would, as far as a process can tell.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&self, index: usize) -> anyhow::Result<()> {
        let process = self.member(index);
        Ok(tokio::task::spawn_blocking(move || process.kill()).await??)
    }

    /// Stops member `index` without ending it, as a long pause of its machine would.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, index: usize) -> anyhow::Result<()> {
        Ok(self.member(index).signal(Signal::STOP)?)
    }

    /// Lets member `index` go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, index: usize) -> anyhow::Result<()> {
        Ok(self.member(index).signal(Signal::CONT)?)
    }

    /// Cuts member `index` off from all others, in both directions.
    pub fn isolate(&self, index: usize) {
        self.cut(|from, to| from == index || to == index);
    }

    /// Cuts exactly the directions for which `cut` says so, and heals all others.
    pub fn cut(&self, cut: impl Fn(usize, usize) -> bool) {
        for (from, to, proxy) in &self.proxies {
            proxy.set_cut(cut(*from, *to));
        }
    }

    /// Heals every direction.
    pub fn heal(&self) {
        self.cut(|_, _| false);
    }

    /// Whether the peers really talk through the proxies, without which a cut would prove nothing.
    #[must_use]
    pub fn proxies_are_used(&self) -> bool {
        self.proxies.iter().any(|(_, _, proxy)| proxy.was_used())
    }

    /// Heals everything, starts what is down and waits until all is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn recover(&self) -> anyhow::Result<()> {
        self.heal();
        for index in 0..self.spec().members {
            // A member that is down has nothing to resume.
            let _ = self.resume(index);
        }
        self.start_all().await
    }

    /// Waits until all members have applied the same revision and hash their content alike.
    ///
    /// # Errors
    /// When they do not agree in time, with what each one says.
    pub async fn converge(&self) -> anyhow::Result<i64> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            match self.hashes().await {
                Ok(hashes) if hashes.windows(2).all(|pair| pair[0] == pair[1]) => return Ok(hashes[0].1),
                Ok(hashes) if Instant::now() > deadline => bail!("members differ (hash, revision): {hashes:?}"),
                Err(error) if Instant::now() > deadline => return Err(error),
                Ok(_) | Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
            }
        }
    }

    async fn hashes(&self) -> anyhow::Result<Vec<(u32, i64)>> {
        let mut hashes = Vec::new();
        for index in 0..self.spec().members {
            let mut client = MaintenanceClient::new(self.channel(index));
            let answer = tokio::time::timeout(QUESTION_TIMEOUT, client.hash_kv(HashKvRequest { revision: 0 }));
            let answer = answer.await.context("no answer")??.into_inner();
            hashes.push((answer.hash, answer.hash_revision));
        }
        Ok(hashes)
    }

    /// A client of the API as the administrator, over all members.
    ///
    /// # Errors
    /// When a certificate cannot be read.
    pub fn api(&self) -> anyhow::Result<keelson_client::Client> {
        ready::client(self)
    }
}

fn channel(scratch: &Scratch, index: usize) -> anyhow::Result<Channel> {
    let (authority, certificate, key) = scratch.store_certificate();
    let read =
        |path: std::path::PathBuf| std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(authority)?))
        .identity(Identity::from_pem(read(certificate)?, read(key)?))
        .domain_name("localhost");
    let address: SocketAddr = scratch.spec().store_address(index);
    Ok(Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(tls)?
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_millis(500))
        .connect_lazy())
}
