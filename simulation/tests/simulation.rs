//! Runs seeds, each in a process of its own, and prints how fast simulated time passes.
//!
//! `KEELSON_SIM_SEED=n` runs one seed only and prints its trace; `KEELSON_SIM_SEEDS=n` runs so many. In the process of a run,
//! `RUST_LOG` prints what the members log.

use std::collections::BTreeMap;
use std::env;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keelson_simulation::{Mutant, run};
use libtest_mimic::{Arguments, Failed, Trial};

/// The first argument of a process that makes one run: the seed and `print` or `quiet` follow, and perhaps a mutant.
const ONE: &str = "--one-run";
const SEEDS: u64 = 1000;
/// Each mutant must be seen within so many seeds.
const SEEDS_FOR_A_MUTANT: u64 = 80;
/// Seeds that found something once. They stay.
///
/// - 150: a leader stopped because a replication that was given up for a snapshot still read what had been purged meanwhile; and
///   then sent nothing to that member any more, because that replication went on for ever.
/// - 18: a leader that did not know the address of a member which was removed, but which consensus still needed, did nothing
///   but ask for it, for ever; and whoever started then had no way to reach it.
/// - 37: a leader that removed itself was told to be out before it was, and consensus still needed it.
/// - 48: a member that was added, and stopped before it had applied anything, knew the others by their addresses only when it
///   started again, asked for members of other ids there, and never joined.
/// - 235: a member was removed while the rest needed the vote of one that had lost its disk, and which then could not come back.
/// - 479: a member that was added before the founders were written down was taken for the only one.
/// - 643: a follower named the leader of a later term beside an earlier one, while it stored the later one's vote.
/// - 651, 921 and 990: members of a cluster that had just grown did not find each other after a power failure, because where the new
///   one is was in the log only, and nobody could be elected.
/// - 960: a member did not start after a power failure that had left its last write half in zeros.
const REGRESSIONS: [u64; 11] = [18, 37, 48, 150, 235, 479, 643, 651, 921, 960, 990];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    if arguments.get(1).is_some_and(|first| first == ONE) {
        return one_run(&arguments[2..]);
    }
    let mut trials = vec![Trial::test("every_invariant_holds_for_every_seed", every_seed)];
    if number("KEELSON_SIM_SEED").is_none() {
        trials.push(Trial::test("a_seed_replays_exactly", replay));
        let mutants = Mutant::ALL.into_iter();
        trials.extend(
            mutants.map(|(mutant, by)| Trial::test(format!("the_mutant_{mutant}_is_seen"), move || seen(mutant, by))),
        );
    }
    // Each runs on all cores itself.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable}={value} is not a number")))
}

/// Makes the run that the arguments name and prints what it came to.
fn one_run(arguments: &[String]) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::OFF.into());
    drop(tracing_subscriber::fmt().with_env_filter(filter.from_env_lossy()).with_writer(std::io::stderr).try_init());
    let (Some(Ok(seed)), Some(print)) = (arguments.first().map(|seed| seed.parse()), arguments.get(1)) else {
        return ExitCode::from(2);
    };
    let mutant = arguments.get(2).map(|name| name.parse().expect("a mutant"));
    let outcome = run(seed, mutant, print == "print");
    let [faults, operations, acknowledged, entries] = outcome.counts;
    let (hash, lines) = outcome.trace;
    println!(
        "simulated_ms={} faults={faults} operations={operations} acknowledged={acknowledged} entries={entries} \
         trace={hash:016x} lines={lines}",
        outcome.simulated.as_millis()
    );
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("violated={} {}", violation.invariant, violation.what);
            ExitCode::FAILURE
        }
    }
}

/// What a run printed.
struct Ran {
    seed: u64,
    figures: BTreeMap<String, String>,
    /// The invariant, and what was seen; or how the process ended.
    violated: Option<(String, String)>,
}

fn start(seed: u64, mutant: Option<Mutant>, print: bool) -> Ran {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args([ONE, &seed.to_string(), if print { "print" } else { "quiet" }]);
    command.args(mutant.map(|mutant| mutant.to_string()));
    command.stderr(if print { Stdio::inherit() } else { Stdio::piped() });
    let output = command.output().expect("this program runs again");
    read(seed, &output)
}

fn read(seed: u64, output: &Output) -> Ran {
    let text = String::from_utf8_lossy(&output.stdout);
    let pairs = text.lines().next().unwrap_or_default().split_whitespace().filter_map(|pair| pair.split_once('='));
    let figures = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let violated = match text.split_once("violated=") {
        Some((_, violated)) => {
            let (invariant, what) = violated.split_once(' ').unwrap_or((violated, ""));
            Some((invariant.to_owned(), what.trim_end().to_owned()))
        }
        None if output.status.success() => None,
        None => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Some(("process".to_owned(), format!("{}\n{errors}", output.status)))
        }
    };
    Ran { seed, figures, violated }
}

/// Runs seeds on all cores until there are none, or one gave the answer.
fn on_all_cores<T: Send>(seeds: &[u64], run: impl Fn(u64) -> Option<T> + Sync) -> Option<T> {
    let next = AtomicU64::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let place = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok()?;
                let seed = seeds.get(place)?;
                if let Some(answer) = run(*seed) {
                    next.store(u64::MAX / 2, Ordering::Relaxed);
                    return Some(answer);
                }
            }
        };
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        running.into_iter().filter_map(|thread| thread.join().expect("a thread ends")).next()
    })
}

fn every_seed() -> Result<(), Failed> {
    if let Some(seed) = number("KEELSON_SIM_SEED") {
        return failed(start(seed, None, true)).map_or(Ok(()), Err);
    }
    let count = number("KEELSON_SIM_SEEDS").unwrap_or(SEEDS);
    let seeds: Vec<u64> = REGRESSIONS.into_iter().filter(|seed| *seed > count).chain(1..=count).collect();
    let begin = Instant::now();
    let simulated_ms = AtomicU64::new(0);
    let found = on_all_cores(&seeds, |seed| {
        let ran = start(seed, None, false);
        let figure = ran.figures.get("simulated_ms").and_then(|figure| figure.parse().ok());
        simulated_ms.fetch_add(figure.unwrap_or(0), Ordering::Relaxed);
        failed(ran)
    });
    let simulated = Duration::from_millis(simulated_ms.into_inner());
    let (hours, wall) = (simulated.as_secs_f64() / 3600.0, begin.elapsed());
    let rate = hours / (wall.as_secs_f64() / 3600.0);
    println!(
        "{} seeds from 1: {hours:.1} simulated hours in {:.0} s, {rate:.0} simulated hours per hour",
        seeds.len(),
        wall.as_secs_f64()
    );
    found.map_or(Ok(()), Err)
}

fn failed(ran: Ran) -> Option<Failed> {
    let (invariant, what) = ran.violated?;
    Some(
        format!("seed {} violates {invariant}: {what}\nrun it again by KEELSON_SIM_SEED={}", ran.seed, ran.seed).into(),
    )
}

/// Two runs of a seed have the same trace, and no two seeds do.
fn replay() -> Result<(), Failed> {
    let seeds: Vec<u64> = (1..=20).collect();
    let found = on_all_cores(&seeds, |seed| {
        let traces = [0, 1].map(|_| start(seed, None, false).figures.remove("trace"));
        let other = start(seed + 1, None, false).figures.remove("trace");
        (traces[0].is_none() || traces[0] != traces[1] || traces[0] == other)
            .then(|| format!("seed {seed} has the traces {traces:?}, and the next one {other:?}"))
    });
    found.map_or(Ok(()), |what| Err(what.into()))
}

/// Some seed makes one of the expected invariants see a mutant, and none makes another see it first.
fn seen(mutant: Mutant, by: &[&str]) -> Result<(), Failed> {
    let seeds: Vec<u64> = (1..=SEEDS_FOR_A_MUTANT).collect();
    let found = on_all_cores(&seeds, |seed| Some((seed, start(seed, Some(mutant), false).violated?)));
    match found {
        Some((_, (invariant, _))) if by.contains(&invariant.as_str()) => Ok(()),
        Some((seed, (invariant, what))) => {
            Err(format!("seed {seed}: {invariant} saw it instead of {by:?}: {what}").into())
        }
        None => Err(format!("nobody saw it in {} seeds", seeds.len()).into()),
    }
}
