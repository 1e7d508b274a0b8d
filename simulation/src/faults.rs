//! What is done to the cluster, at random, for as long as it lasts.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::disk::Failure;
use crate::network::Weather;
use crate::random::Random;
use crate::trace::Trace;

/// Between two faults.
const PAUSE_MS: u64 = 2500;
/// The time of day is wrong by up to a month.
const WRONG_BY_MS: u64 = 30 * 24 * 3600 * 1000;
/// Faults of 10,000 before which a disk fails besides.
const DISKS_FAIL: u32 = 1000;
/// Those before which a member's power is to fail while it makes or removes files.
const POWER_FAILS: u32 = 2000;
/// It takes fewer steps than this: about as many as a start or a rotation has.
const STEPS_TO_DARK: usize = 6;
/// Runs of 10,000 at whose end all members lose power at once.
const BLACKOUTS: u32 = 5000;

/// Hurts a cluster.
pub struct Faults {
    cluster: Arc<Cluster>,
    random: Random,
    /// For what disks do, so that it changes nothing else about a seed.
    disks: Random,
    trace: Trace,
    /// A disk may be lost. At most one is in a run: more than half of the others must have theirs.
    wipes: bool,
}

/// How many faults there were.
pub type Count = u64;

impl Faults {
    /// Faults of a seed.
    pub fn new(cluster: Arc<Cluster>, seed: u64, trace: Trace, wipes: bool) -> Self {
        Self { cluster, random: Random::new(seed, "faults"), disks: Random::new(seed, "disk faults"), trace, wipes }
    }

    /// Hurts until `deadline`.
    ///
    /// # Errors
    /// When the real disk fails.
    pub async fn run(&mut self, deadline: Instant) -> io::Result<Count> {
        let mut count = 0;
        loop {
            let next = Instant::now() + self.random.millis(0..=PAUSE_MS);
            if next >= deadline {
                tokio::time::sleep_until(deadline).await;
                return Ok(count);
            }
            tokio::time::sleep_until(next).await;
            self.hurt().await?;
            count += 1;
        }
    }

    async fn hurt(&mut self) -> io::Result<()> {
        let cluster = Arc::clone(&self.cluster);
        let member = self.random.below(cluster.size());
        self.hurt_disks();
        match self.random.below(16) {
            0 | 1 => self.isolate(member),
            2 => self.cut_some(),
            3 | 4 => cluster.network.cut(BTreeSet::new()),
            5 | 6 => cluster.crash(member)?,
            7 if self.random.chance(3000) => {
                for member in 0..cluster.size() {
                    cluster.crash(member)?;
                }
            }
            7..=9 => self.start_stopped()?,
            10 => {
                cluster.pause(member);
                tokio::time::sleep(self.random.millis(0..=3000)).await;
                cluster.resume(member);
            }
            11 => {
                let time = self.random.millis(50..=4000);
                self.trace.line(format_args!("disk {member} stalls for {time:?}"));
                cluster.disk(member).stall(time);
            }
            12 => self.fail_disk(),
            13 => self.transfer(),
            14 => {
                let jump = i64::try_from(self.random.number(0..=2 * WRONG_BY_MS)).unwrap_or(0);
                cluster.set_clock(member, jump - i64::try_from(WRONG_BY_MS).unwrap_or(0));
            }
            _ => {
                if self.random.chance(2000) {
                    self.wipe(member)?;
                } else {
                    self.change_weather();
                }
            }
        }
        Ok(())
    }

    /// All is well again, and all members run.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn heal(&self) -> io::Result<()> {
        if self.disks.chance(BLACKOUTS) {
            self.trace.line(format_args!("all lose power"));
            for member in 0..self.cluster.size() {
                self.cluster.crash(member)?;
            }
        }
        self.trace.line(format_args!("everything heals"));
        self.cluster.network.cut(BTreeSet::new());
        self.cluster.network.weather(Weather::CALM);
        for member in 0..self.cluster.size() {
            self.cluster.resume(member);
            if self.cluster.disk(member).has_failed() {
                self.cluster.crash(member)?;
            }
            self.cluster.disk(member).heal();
            self.cluster.start(member)?;
        }
        Ok(())
    }

    /// Cuts one member off, in one direction or both.
    fn isolate(&self, member: usize) {
        let directions = self.random.below(3);
        let others = (0..self.cluster.size()).filter(|other| *other != member);
        let mut cut = BTreeSet::new();
        for other in others {
            if directions != 0 {
                cut.insert((member, other));
            }
            if directions != 1 {
                cut.insert((other, member));
            }
        }
        self.trace.line(format_args!("cut: {cut:?}"));
        self.cluster.network.cut(cut);
    }

    /// Cuts some directions between any two.
    fn cut_some(&self) {
        let size = self.cluster.size();
        let pairs = (0..size).flat_map(|from| (0..size).map(move |to| (from, to)));
        let cut: BTreeSet<_> = pairs.filter(|(from, to)| from != to && self.random.chance(4000)).collect();
        self.trace.line(format_args!("cut: {cut:?}"));
        self.cluster.network.cut(cut);
    }

    fn start_stopped(&self) -> io::Result<()> {
        for member in 0..self.cluster.size() {
            if self.random.chance(7000) {
                self.cluster.start(member)?;
            }
        }
        Ok(())
    }

    /// Besides everything else.
    fn hurt_disks(&self) {
        if self.disks.chance(DISKS_FAIL) {
            self.fail_disk();
        }
        if self.disks.chance(POWER_FAILS)
            && let Some(member) = self.disks.pick(&self.cluster.up())
        {
            let steps = self.disks.below(STEPS_TO_DARK);
            self.trace.line(format_args!("the power of member {member} is to fail after {steps} steps of its disk"));
            self.cluster.disk(member).darken(steps);
        }
    }

    /// A member stops, and starts again when it is its turn.
    fn fail_disk(&self) {
        let Some(member) = self.disks.pick(&self.cluster.up()) else { return };
        let failure = self.disks.pick(&Failure::ALL).unwrap_or(Failure::Write);
        self.trace.line(format_args!("disk {member} fails: {failure:?}"));
        self.cluster.disk(member).fail(failure);
    }

    fn transfer(&self) {
        let Some(asked) = self.cluster.any_up() else { return };
        let Some(handle) = self.cluster.handle(asked) else { return };
        let target = handle.members().get(self.random.below(self.cluster.size())).map(|member| member.id);
        let target = if self.random.chance(3000) { None } else { target };
        let (cluster, trace) = (Arc::clone(&self.cluster), self.trace.clone());
        drop(handle);
        tokio::spawn(async move {
            let moved = cluster.call(asked, move |handle| async move { handle.move_leader(target).await }).await;
            trace.line(format_args!("leadership moved: {moved:?}"));
        });
    }

    fn wipe(&mut self, member: usize) -> io::Result<()> {
        if !std::mem::take(&mut self.wipes) {
            return Ok(());
        }
        self.cluster.crash(member)?;
        self.cluster.wipe(member)
    }

    fn change_weather(&self) {
        let weather = Weather {
            delay_max_ms: self.random.pick(&[0, 1, 2, 5, 20, 60]).unwrap_or(1),
            slow: self.random.pick(&[0, 50, 500]).unwrap_or(0),
            broken: self.random.pick(&[0, 0, 10, 100, 300]).unwrap_or(0),
        };
        self.trace.line(format_args!("{weather:?}"));
        self.cluster.network.weather(weather);
        for member in 0..self.cluster.size() {
            self.cluster.disk(member).speed(self.random.pick(&[0, 1, 5, 30]).unwrap_or(0));
        }
    }
}

/// How long a run is hurt.
pub fn duration(random: &Random) -> Duration {
    random.millis(10_000..=40_000)
}
