//! Members of a cluster in this process: real TCP, real mutual TLS, real folders.
//!
//! Each member has a runtime of its own, so that it can be killed at any point as a crash would, and started again.

#![allow(dead_code, reason = "each test file uses a part of this")]

#[path = "../etcd_v3/ports.rs"]
pub mod ports;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keelson_store::{Handle, Options, Peer, Store, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub use ports::free_address;

/// Far longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A member that runs.
pub struct Running {
    pub handle: Handle,
    stop: CancellationToken,
    service: tokio::task::JoinHandle<Result<(), keelson_store::service::Error>>,
    runtime: Runtime,
}

/// A cluster whose members can be started, stopped and killed one by one.
pub struct Cluster {
    folder: tempfile::TempDir,
    options: Vec<Options>,
    members: Vec<Option<Running>>,
}

/// Makes an authority, and a certificate of it that may serve on the loopback and act as a client.
pub fn certify(folder: &Path, name: &str) -> Tls {
    std::fs::create_dir_all(folder).expect("the folder of the certificates");
    let at = |file: &str| folder.join(file);
    let authority_key_path = at("ca.key");
    let authority = if authority_key_path.exists() {
        let key = std::fs::read_to_string(&authority_key_path).expect("the authority's key");
        let certificate = std::fs::read_to_string(at("ca.crt")).expect("the authority's certificate");
        let key = KeyPair::from_pem(&key).expect("a key");
        Issuer::from_ca_cert_pem(&certificate, key).expect("an authority")
    } else {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("an authority");
        std::fs::write(&authority_key_path, key.serialize_pem()).expect("writes the key");
        std::fs::write(at("ca.crt"), certificate.pem()).expect("writes the certificate");
        Issuer::new(params, key)
    };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = vec![
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::DnsName("localhost".try_into().expect("a DNS name")),
    ];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &authority).expect("a certificate");
    let (certificate_path, key_path) = (at(&format!("{name}.crt")), at(&format!("{name}.key")));
    std::fs::write(&certificate_path, certificate.pem()).expect("writes the certificate");
    std::fs::write(&key_path, key.serialize_pem()).expect("writes the key");
    Tls { ca: at("ca.crt"), certificate: certificate_path, key: key_path }
}

/// Logs of the members go to the test's output when `RUST_LOG` asks for them.
fn log() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    drop(tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init());
}

impl Cluster {
    /// A cluster of `size` members, none of which runs.
    pub fn stopped(size: usize) -> Self {
        Self::stopped_with(size, |_| {})
    }

    /// As [`Self::stopped`], with changed options.
    pub fn stopped_with(size: usize, change: impl Fn(&mut Options)) -> Self {
        log();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let addresses: Vec<(SocketAddr, SocketAddr)> = (0..size).map(|_| (free_address(), free_address())).collect();
        let peers: Vec<Peer> = (addresses.iter().enumerate())
            .map(|(i, (peer, _))| Peer { name: format!("m{}", i + 1), address: peer.to_string() })
            .collect();
        let options = (addresses.iter().enumerate())
            .map(|(i, (peer, store))| {
                let name = format!("m{}", i + 1);
                let tls = certify(&folder.path().join("pki"), &name);
                let data_dir = folder.path().join(&name);
                let mut options = Options::new(name, data_dir, peers.clone(), *peer, *store, tls.clone());
                options.store_tls = Some(tls);
                options.min_free_disk_bytes = 0;
                change(&mut options);
                options
            })
            .collect();
        Self { folder, options, members: (0..size).map(|_| None).collect() }
    }

    /// A cluster of `size` members that run and have a leader.
    pub fn start(size: usize) -> Self {
        Self::start_with(size, |_| {})
    }

    /// As [`Self::start`], with changed options.
    pub fn start_with(size: usize, change: impl Fn(&mut Options)) -> Self {
        let mut cluster = Self::stopped_with(size, change);
        for i in 0..size {
            cluster.start_member(i);
        }
        let leader = cluster.leader();
        // A member tells of itself once it takes part. One that does not yet cannot replace another.
        let handle = cluster.handle(leader);
        let told = || handle.members().iter().all(|member| !member.client_urls.is_empty()).then_some(());
        eventually("a sign of every member", told);
        drop(handle);
        cluster
    }

    /// Prepares one more member, which does not run and which the cluster has not been told of; gives its place.
    pub fn prepare_joiner(&mut self) -> usize {
        let (peer, store) = (free_address(), free_address());
        let place = self.options.len();
        let name = format!("m{}", place + 1);
        let tls = certify(&self.folder.path().join("pki"), &name);
        let mut peers = self.options[0].peers.clone();
        peers.push(Peer { name: name.clone(), address: peer.to_string() });
        let data_dir = self.folder.path().join(&name);
        let mut options = Options::new(name, data_dir, peers, peer, store, tls.clone());
        options.store_tls = Some(tls);
        options.min_free_disk_bytes = 0;
        options.join = true;
        self.options.push(options);
        self.members.push(None);
        place
    }

    /// The peer URL with which a member is added.
    pub fn peer_url(&self, member: usize) -> String {
        format!("https://{}", self.options[member].listen_peer)
    }

    /// Waits until a running member ends by itself, and says why.
    pub fn ended(&mut self, member: usize) -> String {
        let running = self.members[member].take().expect("the member runs");
        let ended = running.runtime.block_on(async { tokio::time::timeout(PATIENCE, running.service).await });
        let error = ended.expect("it ends in time").expect("the service does not panic").expect_err("with an error");
        drop(running.handle);
        running.runtime.shutdown_timeout(PATIENCE);
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificates of a member.
    pub fn tls(&self, member: usize) -> &Tls {
        &self.options[member].peer_tls
    }

    /// Where a member serves the etcd API.
    pub fn store_address(&self, member: usize) -> SocketAddr {
        self.options[member].listen_store
    }

    /// A member's data folder.
    pub fn data_dir(&self, member: usize) -> PathBuf {
        self.options[member].data_dir.clone()
    }

    /// A member's options, to be changed before it is started.
    pub fn options(&mut self, member: usize) -> &mut Options {
        &mut self.options[member]
    }

    /// Starts a member that does not run.
    pub fn start_member(&mut self, member: usize) {
        assert!(self.members[member].is_none(), "the member runs already");
        let deadline = Instant::now() + PATIENCE;
        // A killed member's last thread may hold the folder for a moment.
        let running = loop {
            match self.try_start(member) {
                Ok(running) => break running,
                Err(error) if Instant::now() > deadline => panic!("the member does not start: {error:?}"),
                Err(_) => pause(),
            }
        };
        self.members[member] = Some(running);
    }

    /// Tries to start a member once.
    pub fn try_start(&self, member: usize) -> Result<Running, keelson_store::service::Error> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let options = self.options[member].clone();
        let opened = runtime.block_on(async { Store::open(options).await });
        let (handle, service) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                runtime.shutdown_timeout(PATIENCE);
                return Err(error);
            }
        };
        let stop = CancellationToken::new();
        let service = runtime.spawn(service.run(stop.clone()));
        Ok(Running { handle, stop, service, runtime })
    }

    /// Opens a member's folder, and crashes before it says or hears anything.
    pub fn open_and_crash(&self, member: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        drop(runtime.block_on(Store::open(self.options[member].clone())).expect("it opens"));
        runtime.shutdown_timeout(PATIENCE);
    }

    /// Ends a member as a crash would: nothing is flushed or handed over.
    pub fn kill(&mut self, member: usize) {
        let running = self.members[member].take().expect("the member runs");
        drop(running.handle);
        running.runtime.shutdown_timeout(PATIENCE);
    }

    /// Stops a member in order.
    pub fn stop(&mut self, member: usize) {
        let running = self.members[member].take().expect("the member runs");
        running.stop.cancel();
        let ended = running.runtime.block_on(running.service).expect("the service does not panic");
        ended.expect("the service stops in order");
        drop(running.handle);
        running.runtime.shutdown_timeout(PATIENCE);
    }

    /// Removes a stopped member's data.
    pub fn wipe(&mut self, member: usize) {
        assert!(self.members[member].is_none(), "the member runs");
        std::fs::remove_dir_all(self.data_dir(member)).expect("the data is removed");
    }

    /// A running member's handle.
    pub fn handle(&self, member: usize) -> Handle {
        self.members[member].as_ref().expect("the member runs").handle.clone()
    }

    /// The members that run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|member| self.members[*member].is_some()).collect()
    }

    /// Waits for a leader that has caught up, and says which member it is.
    pub fn leader(&self) -> usize {
        eventually("a leader", || {
            let leading = |member: &usize| self.handle(*member).leadership().borrow().leading;
            self.running().into_iter().find(leading)
        })
    }

    /// Some member that runs and does not lead.
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        self.running().into_iter().find(|member| *member != leader).expect("a follower")
    }

    /// Starts a future on a member's runtime.
    pub fn spawn<T: Send + 'static>(
        &self,
        member: usize,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.members[member].as_ref().expect("the member runs").runtime.spawn(future)
    }

    /// Runs a future to its end on a member's runtime.
    pub fn on<T>(&self, member: usize, future: impl Future<Output = T>) -> T {
        self.members[member].as_ref().expect("the member runs").runtime.block_on(future)
    }
}

impl Drop for Cluster {
    /// Waits for what is still under way: a thread inside RocksDB does not survive the end of the process.
    fn drop(&mut self) {
        for running in self.members.iter_mut().filter_map(Option::take) {
            drop(running.handle);
            running.runtime.shutdown_timeout(PATIENCE);
        }
    }
}

/// What an error says, and what caused it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Looks until `probe` finds something.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come in time");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own thread runs no tasks, and waits on a condition")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
