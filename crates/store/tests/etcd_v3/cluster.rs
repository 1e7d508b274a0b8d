//! Three members in this process, on ports of their own, with a runtime of their own, so that tests can share them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use keelson_proto::etcdserverpb::cluster_client::ClusterClient;
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::lease_client::LeaseClient;
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use keelson_proto::etcdserverpb::watch_client::WatchClient;
use keelson_proto::v3electionpb::election_client::ElectionClient;
use keelson_proto::v3lockpb::lock_client::LockClient;
use keelson_store::{Handle, Options, Peer, Store, Tls};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::certificates::Authority;
use crate::ports::free_addresses;
use crate::{PATIENCE, eventually};

const MEMBERS: usize = 3;
/// Between these a follower waits before it stands for election. Longer than usual: on a machine that is busy with other tests, who
/// leads stays who leads.
const ELECTION: (Duration, Duration) = (Duration::from_millis(1500), Duration::from_millis(2000));

pub struct Cluster {
    pub members: Vec<Member>,
    /// The certificate that clients show; `None` when the etcd port is in the clear.
    pub client_tls: Option<Tls>,
    runtime: Option<tokio::runtime::Runtime>,
    _folder: TempDir,
}

pub struct Member {
    pub handle: Handle,
    pub address: SocketAddr,
    /// The certificate of its etcd port, when that has one.
    pub store_tls: Option<Tls>,
    /// Where it serves metrics in the clear.
    pub metrics_address: SocketAddr,
    /// Stops it in order.
    pub stop: CancellationToken,
    service: JoinHandle<Result<(), keelson_store::service::Error>>,
}

impl Cluster {
    /// The cluster that most tests share: in the clear, since TLS is etcdctl's to test.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        Self::share(&SHARED, false)
    }

    /// The cluster that the tests of etcdctl share.
    pub fn shared_with_tls() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        Self::share(&SHARED, true)
    }

    /// The cluster that is running, or a new one. The last test that lets go of it stops it: a member that still ran when
    /// the process exits would use what RocksDB's own exit takes away.
    fn share(shared: &Mutex<Weak<Self>>, tls: bool) -> Arc<Self> {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start(tls));
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    /// Starts a cluster and waits until it has a leader. May be called on a runtime's thread.
    pub fn start(tls: bool) -> Self {
        Self::start_with(tls, |_| {})
    }

    /// As [`Self::start`], with changed options.
    pub fn start_with(tls: bool, change: impl Fn(&mut Options) + Send + 'static) -> Self {
        std::thread::spawn(move || Self::start_here(tls, change)).join().expect("the cluster starts")
    }

    fn start_here(tls: bool, change: impl Fn(&mut Options)) -> Self {
        let folder = TempDir::new().expect("a folder");
        let authority = Authority::new(folder.path(), "cluster");
        let addresses = free_addresses::<{ 3 * MEMBERS }>();
        let (peer_addresses, addresses) = addresses.split_at(MEMBERS);
        let (store_addresses, metrics_addresses) = addresses.split_at(MEMBERS);
        let names: Vec<String> = (1..=MEMBERS).map(|i| format!("m{i}")).collect();
        let peers: Vec<Peer> = names
            .iter()
            .zip(peer_addresses)
            .map(|(name, address)| Peer { name: name.clone(), address: address.to_string() })
            .collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .thread_name("cluster")
            .build()
            .expect("a runtime");
        let members = runtime.block_on(async {
            let mut members = Vec::new();
            for (i, name) in names.iter().enumerate() {
                let mut options = Options::new(
                    name,
                    folder.path().join(name),
                    peers.clone(),
                    peer_addresses[i],
                    store_addresses[i],
                    authority.issue(name),
                );
                options.insecure_store = !tls;
                options.store_tls = tls.then(|| authority.issue(&format!("{name}-store")));
                (options.election_timeout_min, options.election_timeout_max) = ELECTION;
                change(&mut options);
                let store_tls = options.store_tls.clone();
                options.listen_metrics = vec![metrics_addresses[i]];
                let (handle, service) = Store::open(options).await.expect("a member opens");
                let stop = CancellationToken::new();
                let service = tokio::spawn(service.run(stop.clone()));
                let (address, metrics_address) = (store_addresses[i], metrics_addresses[i]);
                members.push(Member { handle, address, store_tls, metrics_address, stop, service });
            }
            for member in &members {
                let mut leadership = member.handle.leadership();
                let led = leadership.wait_for(|now| now.leader_id.is_some());
                tokio::time::timeout(PATIENCE, led).await.expect("a leader in time").expect("the member runs");
                // The leader is of use when it answers reads.
                eventually("a first read", || async { member.handle.read_barrier().await.ok() }).await;
                // A member tells of itself once it takes part. One that does not yet cannot replace another.
                eventually("a sign of every member", || async {
                    let members = member.handle.members();
                    members.iter().all(|member| !member.client_urls.is_empty()).then_some(())
                })
                .await;
            }
            members
        });
        let client_tls = tls.then(|| authority.issue("client"));
        Self { members, client_tls, runtime: Some(runtime), _folder: folder }
    }

    /// A connection to one member.
    pub async fn channel(&self, member: usize) -> Channel {
        let scheme = if self.client_tls.is_some() { "https" } else { "http" };
        let mut endpoint =
            Endpoint::from_shared(format!("{scheme}://{}", self.members[member].address)).expect("a good address");
        if let Some(tls) = &self.client_tls {
            endpoint = endpoint.tls_config(client_config(tls)).expect("a good configuration");
        }
        endpoint.connect().await.expect("the member listens")
    }

    pub async fn kv(&self, member: usize) -> KvClient<Channel> {
        KvClient::new(self.channel(member).await).max_decoding_message_size(usize::MAX)
    }

    pub async fn watch(&self, member: usize) -> WatchClient<Channel> {
        WatchClient::new(self.channel(member).await).max_decoding_message_size(usize::MAX)
    }

    pub async fn lease(&self, member: usize) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel(member).await)
    }

    pub async fn maintenance(&self, member: usize) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel(member).await)
    }

    pub async fn cluster(&self, member: usize) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel(member).await)
    }

    pub async fn election(&self, member: usize) -> ElectionClient<Channel> {
        ElectionClient::new(self.channel(member).await)
    }

    pub async fn lock(&self, member: usize) -> LockClient<Channel> {
        LockClient::new(self.channel(member).await)
    }

    /// The places of the leader and of a follower.
    pub async fn leader_and_follower(&self) -> (usize, usize) {
        let leader = eventually("a leader", || async {
            let leads = |member: &Member| member.handle.leadership().borrow().leading;
            self.members.iter().position(leads)
        })
        .await;
        (leader, (leader + 1) % MEMBERS)
    }

    /// Stops all members but one that was a follower; it is the only one of `members` then.
    pub async fn keep_a_follower(&mut self) {
        let (_, follower) = self.leader_and_follower().await;
        let kept = self.members.swap_remove(follower);
        for gone in std::mem::replace(&mut self.members, vec![kept]) {
            gone.stop.cancel();
            gone.service.await.expect("the member does not panic").expect("it stops in order");
        }
    }

    /// Stops all members but the first, and waits until they have: until then, one of them may still be elected with the first's vote.
    pub async fn stop_others(&mut self) {
        for member in &self.members[1..] {
            member.stop.cancel();
        }
        while self.members.len() > 1 {
            self.stopped(1).await;
        }
    }

    /// Waits until a member that was told to stop has done so; it is none of `members` then.
    pub async fn stopped(&mut self, member: usize) {
        let gone = self.members.swap_remove(member);
        let ended = tokio::time::timeout(PATIENCE, gone.service).await.expect("it stops in time");
        ended.expect("the member does not panic").expect("it stops in order");
    }

    /// All etcd ports, as etcdctl's --endpoints takes them.
    pub fn endpoints(&self) -> String {
        let scheme = if self.client_tls.is_some() { "https" } else { "http" };
        let urls: Vec<String> = self.members.iter().map(|member| format!("{scheme}://{}", member.address)).collect();
        urls.join(",")
    }
}

impl Drop for Cluster {
    /// Stops all members at once, as a crash would, and waits until nothing of them runs.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not be waited for on another runtime's thread.
            let stopped = std::thread::spawn(move || runtime.shutdown_timeout(PATIENCE)).join();
            if stopped.is_err() {
                eprintln!("a test cluster did not stop cleanly");
            }
        }
    }
}

/// What a client with this certificate speaks.
pub fn client_config(tls: &Tls) -> ClientTlsConfig {
    let read = |path| std::fs::read(path).expect("the file is there");
    ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&tls.ca)))
        .identity(Identity::from_pem(read(&tls.certificate), read(&tls.key)))
        .domain_name("localhost")
}
