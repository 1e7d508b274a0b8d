//! One run: start, hurt while clients work, heal, converge, judge.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, Parts};
use crate::entropy;
use crate::faults::{self, Faults};
use crate::invariants::{Invariants, Violation, converge};
use crate::mutant::Mutant;
use crate::random::Random;
use crate::trace::Trace;
use crate::workload::{self, Client, auditors, operator, watchers};
use crate::world::SPEED_PPM;

/// A folder here is in memory, and syncs cost nothing.
const MEMORY: &str = "/dev/shm";
/// No client takes longer to end.
const CLIENTS_TIMEOUT: Duration = Duration::from_secs(60);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    /// What did not hold.
    pub violation: Option<Violation>,
    /// Checksum and number of the trace's lines.
    pub trace: (u64, u64),
    pub simulated: Duration,
    /// Faults, operations on registers, acknowledged writes and applied entries.
    pub counts: [u64; 4],
}

/// Places for members that are added.
const SPARE: usize = 3;
/// Runs of 10,000 in which members come and go.
const CHANGES: u32 = 6000;
/// Those of them, of 10,000, in which the first change comes while the cluster starts.
const HASTY: u32 = 3000;

/// Runs of 10,000 in which no two clocks are equally fast.
const DRIFTS: u32 = 5000;
/// By how much they are fast or slow at most.
const WRONG_BY_PPM: u32 = 100_000;

/// What happens in a run besides what happens in all.
struct Plan {
    /// A member may lose its disk.
    wipes: bool,
    changes: Option<operator::Plan>,
    /// How fast each clock is.
    speeds_ppm: Vec<u32>,
}

impl Plan {
    fn new(seed: u64, size: usize) -> Self {
        let random = Random::new(seed, "plan");
        let (changes, shrinks) = (random.chance(CHANGES), random.chance(5000));
        // Losing the only disk, or one of two, loses the data.
        let wipes = size >= 3 && !(changes && shrinks);
        let voters_min = if wipes { 3 } else { 1 };
        let speeds = if random.chance(DRIFTS) { size + SPARE } else { 0 };
        let wrong = || u32::try_from(random.number(0..=2 * u64::from(WRONG_BY_PPM))).unwrap_or(WRONG_BY_PPM);
        let speeds_ppm = (0..speeds).map(|_| SPEED_PPM - WRONG_BY_PPM + wrong()).collect();
        let hasty = random.chance(HASTY);
        Self { wipes, changes: changes.then_some(operator::Plan { voters_min, hasty }), speeds_ppm }
    }
}

/// Makes the run of a seed. Call it once in a process.
///
/// # Panics
/// When the real machine fails.
pub fn run(seed: u64, mutant: Option<Mutant>, print: bool) -> Outcome {
    let thread = std::thread::Builder::new().name(format!("seed {seed}"));
    let run = thread.spawn(move || {
        entropy::seed_this_thread(seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(live(seed, mutant, print))
    });
    run.expect("a thread starts").join().expect("a run does not panic")
}

async fn live(seed: u64, mutant: Option<Mutant>, print: bool) -> Outcome {
    let trace = Trace::new(print);
    let random = Random::new(seed, "run");
    let size = random.pick(&[3, 3, 3, 3, 3, 3, 3, 5, 5, 1]).unwrap_or(3);
    let plan = Plan::new(seed, size);
    let fastest_ppm = plan.speeds_ppm.iter().copied().fold(SPEED_PPM, u32::max);
    let invariants = Arc::new(Invariants::new(trace.clone(), mutant, fastest_ppm));
    report_panics(&invariants);
    let memory = std::path::Path::new(MEMORY);
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a temporary folder");
    let parts = Parts {
        seed,
        size,
        spare: if plan.changes.is_some() { SPARE } else { 0 },
        speeds_ppm: plan.speeds_ppm,
        folder: folder.path(),
        trace: trace.clone(),
        invariants: Arc::clone(&invariants),
        mutant,
    };
    let cluster = Arc::new(Cluster::new(parts));
    (0..size).for_each(|member| cluster.start(member).expect("the real disk works"));

    let mut faults = Faults::new(Arc::clone(&cluster), seed, trace.clone(), plan.wipes);
    let client = Client {
        cluster: Arc::clone(&cluster),
        invariants: Arc::clone(&invariants),
        random,
        trace: trace.clone(),
        mutant,
        stop: CancellationToken::new(),
        pause_max: Duration::from_millis(200),
    };
    let mut count = 0;
    let whole = async {
        let mut clients = workload::start(&client, seed);
        clients.extend(plan.changes.map(|plan| workload::operate(&client, seed, plan)));
        // With this mutant they would see it before the invariant that it is there for.
        let watchers = if mutant == Some(Mutant::CorruptedState) { vec![] } else { watchers::start(&client, seed) };
        let deadline = Instant::now() + faults::duration(&client.random);
        count = faults.run(deadline).await.expect("the real disk works");
        faults.heal().expect("the real disk works");
        client.stop.cancel();
        let ended = tokio::time::timeout(CLIENTS_TIMEOUT, futures::future::join_all(clients)).await;
        if ended.is_err() {
            invariants.violated("converge", "clients got no answers".to_owned());
        }
        converge::check(&cluster, &invariants).await;
        while !auditors::read_back(&client).await {}
        watchers.iter().for_each(tokio::task::JoinHandle::abort);
        invariants.registers.check();
    };
    tokio::select! {
        biased;
        () = invariants.any_violated() => {}
        () = whole => {}
    }
    for member in 0..cluster.size() {
        drop(cluster.crash(member));
    }
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let (registers, acknowledged) = (invariants.registers.count(), number(invariants.acknowledged.count()));
    Outcome {
        seed,
        violation: invariants.violation(),
        trace: trace.checksum(),
        simulated: trace.elapsed(),
        counts: [count, registers, acknowledged, number(invariants.log.length())],
    }
}

/// A task that panics is a bug of the store, even where tokio catches it.
fn report_panics(invariants: &Arc<Invariants>) {
    let invariants = Arc::downgrade(invariants);
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        default(panic);
        if let Some(invariants) = invariants.upgrade() {
            invariants.violated("panic", panic.to_string());
        }
    }));
}
