//! The members, each on a machine of its own while it runs.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use keelson_store::machine::Machine;
use keelson_store::{Handle, Options, Peer, Store, Tls};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::disk::Disk;
use crate::invariants::Invariants;
use crate::mutant::Mutant;
use crate::network::Network;
use crate::random::Random;
use crate::trace::Trace;
use crate::world::{MemberWorld, address_of};

/// Longer than any request may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// A cluster.
pub struct Cluster {
    pub network: Network,
    members: Vec<Member>,
    invariants: Arc<Invariants>,
    random: Random,
    trace: Trace,
}

struct Member {
    options: Options,
    disk: Arc<Disk>,
    world: Arc<MemberWorld>,
    running: Mutex<Option<Running>>,
}

#[derive(Clone)]
struct Running {
    machine: Machine,
    /// None until the member's folder is opened.
    handle: Option<Handle>,
    /// Cancelled when the machine stops.
    gone: CancellationToken,
    paused: bool,
}

/// What a run is made of.
pub struct Parts<'a> {
    pub seed: u64,
    pub size: usize,
    pub folder: &'a Path,
    pub trace: Trace,
    pub invariants: Arc<Invariants>,
    pub mutant: Option<Mutant>,
}

impl Cluster {
    /// A cluster of which no member runs.
    pub fn new(parts: Parts<'_>) -> Self {
        let Parts { seed, size, folder, trace, invariants, mutant } = parts;
        let random = |name: &str| Random::new(seed, name);
        let network = Network::new(random("network"), trace.clone(), mutant);
        let peers: Vec<Peer> = (0..size).map(|i| Peer { name: format!("m{i}"), address: address_of(i) }).collect();
        let tuning = random("options");
        let members = (0..size).map(|i| {
            let data_dir = folder.join(format!("m{i}"));
            let disk = Arc::new(Disk::new(i, data_dir.clone(), random(&format!("disk {i}")), trace.clone(), mutant));
            let world = Arc::new(MemberWorld {
                member: i,
                network: network.clone(),
                disk: Arc::clone(&disk),
                invariants: Arc::clone(&invariants),
                turns: random(&format!("turns {i}")),
                trace: trace.clone(),
                mutant,
                wrong_by_ms: AtomicI64::new(0),
            });
            let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let no_tls = Tls { ca: "ca".into(), certificate: "certificate".into(), key: "key".into() };
            let mut options = Options::new(format!("m{i}"), data_dir, peers.clone(), nowhere, nowhere, no_tls);
            options.insecure_store = true;
            options.min_free_disk_bytes = 0;
            options.snapshot_every_entries = tuning.number(20..=300);
            options.log_entries_to_keep = tuning.number(0..=100);
            options.flush_interval = tuning.millis(1000..=30_000);
            options.log_cache_bytes = 1 << tuning.number(10..=20);
            options.log_segment_bytes = 1 << tuning.number(10..=20);
            options.block_cache_bytes = 1 << 20;
            options.write_buffer_bytes = 1 << 20;
            Member { options, disk, world, running: Mutex::new(None) }
        });
        let members = members.collect();
        Self { network, members, invariants, random: random("clients"), trace }
    }

    /// How many members there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Starts a member that does not run.
    pub fn start(self: &Arc<Self>, i: usize) {
        let member = &self.members[i];
        let mut running = member.running.lock();
        if running.is_some() {
            return;
        }
        self.trace.line(format_args!("member {i} starts"));
        self.invariants.log.restarted(i);
        let world: Arc<MemberWorld> = Arc::clone(&member.world);
        let machine = Machine::new(world);
        let gone = CancellationToken::new();
        self.network.attach(i, machine.clone(), gone.clone());
        *running = Some(Running { machine: machine.clone(), handle: None, gone: gone.clone(), paused: false });
        drop(running);
        let (cluster, options) = (Arc::clone(self), member.options.clone());
        machine.spawn(async move {
            let (handle, service) = match Store::open(options).await {
                Ok(opened) => opened,
                Err(error) => {
                    cluster.trace.line(format_args!("member {i} does not start"));
                    if !cluster.members[i].disk.has_failed() {
                        cluster.invariants.violated("start", format!("member {i} does not start: {error:?}"));
                    }
                    return;
                }
            };
            if let Some(running) = cluster.members[i].running.lock().as_mut() {
                running.handle = Some(handle);
            }
            let ended = service.run(CancellationToken::new()).await;
            cluster.trace.line(format_args!("member {i} stops by itself"));
            if !cluster.members[i].disk.has_failed() {
                cluster.invariants.violated("start", format!("member {i} stopped by itself: {ended:?}"));
            }
        });
    }

    /// Stops a member as a power failure would.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn crash(&self, i: usize) -> io::Result<()> {
        let member = &self.members[i];
        let Some(running) = member.running.lock().take() else { return Ok(()) };
        self.trace.line(format_args!("member {i} crashes"));
        self.network.detach(i);
        let machine = running.machine.clone();
        let gone = running.gone.clone();
        drop(running);
        member.disk.crash(|| machine.crash())?;
        gone.cancel();
        Ok(())
    }

    /// Removes all that a stopped member has.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn wipe(&self, i: usize) -> io::Result<()> {
        self.trace.line(format_args!("member {i} loses its disk"));
        self.members[i].disk.wipe()
    }

    /// Stops a member's process without ending it.
    pub fn pause(&self, i: usize) {
        if let Some(running) = self.members[i].running.lock().as_mut() {
            self.trace.line(format_args!("member {i} pauses"));
            running.paused = true;
            running.machine.pause();
        }
    }

    /// Lets it go on.
    pub fn resume(&self, i: usize) {
        if let Some(running) = self.members[i].running.lock().as_mut()
            && running.paused
        {
            self.trace.line(format_args!("member {i} goes on"));
            running.paused = false;
            running.machine.resume();
        }
    }

    /// Changes a member's time of day.
    pub fn set_clock(&self, i: usize, wrong_by_ms: i64) {
        self.trace.line(format_args!("the clock of member {i} is wrong by {wrong_by_ms} ms"));
        self.members[i].world.wrong_by_ms.store(wrong_by_ms, Ordering::Relaxed);
    }

    /// A member's disk.
    pub fn disk(&self, i: usize) -> &Disk {
        &self.members[i].disk
    }

    /// Members that were started and did not crash.
    pub fn up(&self) -> Vec<usize> {
        (0..self.size()).filter(|i| self.members[*i].running.lock().is_some()).collect()
    }

    /// Those of them that can be asked.
    pub fn answering(&self) -> Vec<usize> {
        let answers = |running: &Running| running.handle.is_some() && !running.paused;
        (0..self.size()).filter(|i| self.members[*i].running.lock().as_ref().is_some_and(answers)).collect()
    }

    /// One that runs, whether or not it answers.
    pub fn any_up(&self) -> Option<usize> {
        self.random.pick(&self.up())
    }

    /// A running member's handle, for what needs no waiting.
    pub fn handle(&self, i: usize) -> Option<Handle> {
        self.members[i].running.lock().as_ref()?.handle.clone()
    }

    /// Who believes to lead.
    pub fn leaders(&self) -> BTreeSet<usize> {
        let leads = |i: &usize| self.handle(*i).is_some_and(|handle| handle.leadership().borrow().leading);
        self.up().into_iter().filter(leads).collect()
    }

    /// Lets a member work on a request. None when it crashed meanwhile, does not run, or took too long.
    pub async fn call<T, F>(&self, i: usize, work: impl FnOnce(Handle) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let Running { machine, handle, gone, .. } = self.members[i].running.lock().clone()?;
        let mut answer = machine.spawn(work(handle?));
        drop(machine);
        tokio::select! {
            biased;
            answer = &mut answer => answer.ok(),
            () = gone.cancelled() => None,
            () = tokio::time::sleep(CALL_TIMEOUT) => {
                answer.abort();
                None
            }
        }
    }
}
