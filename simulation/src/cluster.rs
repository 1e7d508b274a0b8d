//! The members, each on a machine of its own while it runs.
//!
//! There are more places for members than members: those who are added come to a place of their own, and to that of one who
//! was removed. Places are numbered, and so are their addresses and disks.

mod places;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use keelson_store::machine::Machine;
use keelson_store::{Handle, Options, Peer, Store, Tls};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::disk::Disk;
use crate::invariants::{Invariants, leaders};
use crate::mutant::Mutant;
use crate::network::Network;
use crate::random::Random;
use crate::trace::Trace;
use crate::world::{MemberWorld, SPEED_PPM, address_of};

pub use places::{Listed, url_of};

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
    options: Mutex<Options>,
    disk: Arc<Disk>,
    world: Arc<MemberWorld>,
    /// Somebody who may be a member lives here: it may be started.
    taken: AtomicBool,
    /// Who it was when it last ran.
    id: Mutex<Option<u64>>,
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
    /// It came to an end by itself.
    ended: bool,
}

/// What a run is made of.
pub struct Parts<'a> {
    pub seed: u64,
    /// Members at the beginning.
    pub size: usize,
    /// Places for more.
    pub spare: usize,
    /// How fast the clock of each place is; those that are not named are right.
    pub speeds_ppm: Vec<u32>,
    pub folder: &'a Path,
    pub trace: Trace,
    pub invariants: Arc<Invariants>,
    pub mutant: Option<Mutant>,
}

impl Cluster {
    /// A cluster of which no member runs.
    pub fn new(parts: Parts<'_>) -> Self {
        let Parts { seed, size, spare, speeds_ppm, folder, trace, invariants, mutant } = parts;
        let random = |name: &str| Random::new(seed, name);
        let network = Network::new(random("network"), trace.clone(), mutant);
        let peers: Vec<Peer> = (0..size).map(|i| Peer { name: format!("m{i}"), address: address_of(i) }).collect();
        let tuning = random("options");
        let wrong_by_ms: Arc<[AtomicI64]> = (0..size + spare).map(|_| AtomicI64::new(0)).collect();
        let members = (0..size + spare).map(|i| {
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
                wrong_by_ms: Arc::clone(&wrong_by_ms),
                speed_ppm: speeds_ppm.get(i).copied().unwrap_or(SPEED_PPM),
                trusted_ms: AtomicI64::new(0),
            });
            let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let no_tls = Tls { ca: "ca".into(), certificate: "certificate".into(), key: "key".into() };
            let mut options = Options::new(format!("m{i}"), data_dir, peers.clone(), nowhere, nowhere, no_tls);
            options.insecure_store = true;
            options.min_free_disk_bytes = 0;
            options.snapshot_every_entries = tuning.number(20..=300);
            options.log_entries_to_keep = tuning.number(0..=100);
            options.log_bytes_to_keep = 1 << tuning.number(10..=20);
            options.flush_interval = tuning.millis(1000..=30_000);
            options.log_cache_bytes = 1 << tuning.number(10..=20);
            options.log_segment_bytes = 1 << tuning.number(10..=16);
            options.block_cache_bytes = 1 << 20;
            options.write_buffer_bytes = 1 << 20;
            let (options, taken) = (Mutex::new(options), AtomicBool::new(i < size));
            Member { options, disk, world, taken, id: Mutex::new(None), running: Mutex::new(None) }
        });
        let members = members.collect();
        Self { network, members, invariants, random: random("clients"), trace }
    }

    /// How many places there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Starts a member that does not run.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn start(self: &Arc<Self>, i: usize) -> io::Result<()> {
        let member = &self.members[i];
        if !member.taken.load(Ordering::Relaxed) {
            return Ok(());
        }
        if member.running.lock().as_ref().is_some_and(|running| running.ended) {
            self.end(i)?;
        }
        let mut running = member.running.lock();
        if running.is_some() {
            return Ok(());
        }
        self.trace.line(format_args!("member {i} starts"));
        self.invariants.log.restarted(i);
        let world: Arc<MemberWorld> = Arc::clone(&member.world);
        let machine = Machine::new(world);
        let gone = CancellationToken::new();
        self.network.attach(i, machine.clone(), gone.clone());
        *running =
            Some(Running { machine: machine.clone(), handle: None, gone: gone.clone(), paused: false, ended: false });
        drop(running);
        tokio::spawn(Arc::clone(self).darken(i, gone));
        let (cluster, options) = (Arc::clone(self), member.options.lock().clone());
        machine.spawn(async move { cluster.live(i, options).await });
        Ok(())
    }

    /// What a member does from its start on.
    async fn live(self: Arc<Self>, i: usize, options: Options) {
        let joins = options.join;
        let result = match Store::open(options).await {
            Err(error) => Err(error),
            Ok((handle, service)) => {
                let id = handle.member_id();
                *self.members[i].id.lock() = Some(id);
                if !joins {
                    self.invariants.members.added(id);
                }
                let followed = leaders::follow(Arc::clone(&self.invariants), handle.clone());
                if let Some(running) = self.members[i].running.lock().as_mut() {
                    running.handle = Some(handle);
                }
                let run = service.run(CancellationToken::new());
                tokio::select! {
                    biased;
                    ended = run => ended,
                    () = followed => Ok(()),
                }
            }
        };
        if let Some(running) = self.members[i].running.lock().as_mut() {
            running.ended = true;
        }
        self.trace.line(format_args!("member {i} stops by itself"));
        if !self.members[i].disk.has_failed() && !self.may_end(i, &result) {
            self.invariants.violated("start", format!("member {i} stopped by itself: {result:?}"));
        }
    }

    /// Stops a member when its power fails.
    async fn darken(self: Arc<Self>, i: usize, gone: CancellationToken) {
        tokio::select! {
            biased;
            () = gone.cancelled() => {}
            () = self.members[i].disk.darkness() => self.crash(i).expect("the real disk works"),
        }
    }

    /// Clears away a member that has stopped by itself: the process only, or the power fails meanwhile.
    fn end(&self, i: usize) -> io::Result<()> {
        if !self.disk(i).has_failed() || self.random.chance(3000) {
            return self.crash(i);
        }
        self.stop(i, Disk::kill)
    }

    /// Stops a member as a power failure would.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn crash(&self, i: usize) -> io::Result<()> {
        self.stop(i, Disk::crash)
    }

    fn stop(&self, i: usize, how: impl FnOnce(&Disk, &mut dyn FnMut()) -> io::Result<()>) -> io::Result<()> {
        let member = &self.members[i];
        let Some(running) = member.running.lock().take() else { return Ok(()) };
        self.trace.line(format_args!("member {i} crashes"));
        self.network.detach(i);
        let machine = running.machine.clone();
        let gone = running.gone.clone();
        drop(running);
        how(&member.disk, &mut || machine.crash())?;
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
        self.members[i].world.wrong_by_ms[i].store(wrong_by_ms, Ordering::Relaxed);
    }

    /// A member's disk.
    pub fn disk(&self, i: usize) -> &Disk {
        &self.members[i].disk
    }

    /// Members that were started and neither crashed nor ended.
    pub fn up(&self) -> Vec<usize> {
        let runs = |running: &Running| !running.ended;
        (0..self.size()).filter(|i| self.members[*i].running.lock().as_ref().is_some_and(runs)).collect()
    }

    /// Those of them that can be asked.
    pub fn answering(&self) -> Vec<usize> {
        let answers = |running: &Running| running.handle.is_some() && !running.paused && !running.ended;
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
