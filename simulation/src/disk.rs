//! A member's disk: syncs that take time, stall or fail, and what a crash leaves of the files.
//!
//! The files are real, in a folder that lives in memory where there is one. A crash takes an image of them before the member's
//! database is dropped, since closing it would write what a crash does not. Of the log, whatever was not synced is in the image or
//! not: each sector of a write, each name, each removal.
//!
//! The power may fail at each [`Step`] of making and removing files, too. Then nothing that the member does there goes on until it
//! is crashed, which happens in the same moment.

mod image;
mod pending;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keelson_store::machine::Step;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::mutant::Mutant;
use crate::random::Random;
use crate::trace::Trace;
use pending::Pending;

/// Syncs that a disk which lies about them loses at a crash.
const LOST_BY_A_LIE: usize = 6;

/// A disk. It outlives the machines that use it.
#[derive(Debug)]
pub struct Disk {
    member: usize,
    folder: PathBuf,
    state: Mutex<State>,
    pending: Mutex<Pending>,
    /// Told when the power fails.
    dark: Notify,
    random: Random,
    trace: Trace,
    mutant: Option<Mutant>,
}

#[derive(Debug, Default)]
struct State {
    /// The longest that a sync usually takes.
    sync_max_ms: u64,
    stalled_until: Option<Instant>,
    fails: Option<Failure>,
    /// Steps until the power fails.
    steps_to_dark: Option<usize>,
    /// There is no power.
    is_dark: bool,
    /// It has answered with an error since the last start.
    has_failed: bool,
    /// The write to the log that is being synced.
    unsynced: Option<Write>,
    /// Those that were synced since the start.
    synced: Vec<Write>,
}

/// How a disk fails, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of the next write is written.
    Write,
    /// A part of it is.
    HalfWrite,
    /// All of it is, and can be read until the power fails.
    Sync,
    /// The next step of making or removing a file is not taken.
    Step,
}

impl Failure {
    /// All.
    pub const ALL: [Self; 4] = [Self::Write, Self::HalfWrite, Self::Sync, Self::Step];
}

/// A part of a file of the log.
#[derive(Clone, Debug)]
struct Write {
    file: PathBuf,
    range: Range<u64>,
}

impl Disk {
    /// A disk with nothing on it in `folder`.
    pub fn new(member: usize, folder: PathBuf, random: Random, trace: Trace, mutant: Option<Mutant>) -> Self {
        let pending = Mutex::new(Pending::new(&folder, mutant));
        Self { member, folder, state: Mutex::default(), pending, dark: Notify::new(), random, trace, mutant }
    }

    /// Where the member keeps its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How long syncs take at most, usually.
    pub fn speed(&self, sync_max_ms: u64) {
        self.state.lock().sync_max_ms = sync_max_ms;
    }

    /// Lets no sync end for a while.
    pub fn stall(&self, time: Duration) {
        self.state.lock().stalled_until = Some(Instant::now() + time);
    }

    /// Fails at the next occasion.
    pub fn fail(&self, failure: Failure) {
        self.state.lock().fails = Some(failure);
    }

    /// Lets the power fail after so many more steps of making and removing files.
    pub fn darken(&self, steps: usize) {
        self.state.lock().steps_to_dark = Some(steps);
    }

    /// Waits until the power has failed.
    pub async fn darkness(&self) {
        while !self.state.lock().is_dark {
            self.dark.notified().await;
        }
    }

    /// Whether it answered with an error since its member started.
    pub fn has_failed(&self) -> bool {
        self.state.lock().has_failed
    }

    /// All is well again.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        (state.stalled_until, state.fails, state.steps_to_dark) = (None, None, None);
    }

    /// See [`keelson_store::machine::World::before_step`].
    ///
    /// # Errors
    /// Those that were asked for, and the real disk's.
    pub fn before_step(&self, step: &Step<'_>) -> io::Result<()> {
        let mut state = self.state.lock();
        state.steps_to_dark = match state.steps_to_dark {
            Some(0) => {
                self.trace.line(format_args!("the power of member {} fails before {}", self.member, name(step)));
                // Whatever ends because of it may.
                (state.is_dark, state.has_failed) = (true, true);
                self.dark.notify_one();
                None
            }
            steps => steps.map(|steps| steps - 1),
        };
        if state.is_dark {
            return Err(io::Error::other("there is no power"));
        }
        state.failure(&[Failure::Step]).map_err(|(_, error)| error)?;
        drop(state);
        self.pending.lock().take(step)
    }

    /// See [`keelson_store::machine::World::before_sync`].
    ///
    /// # Errors
    /// Those that were asked for.
    pub async fn before_sync(&self, file: PathBuf, range: Range<u64>) -> io::Result<()> {
        let bytes = range.end - range.start;
        self.trace.line(format_args!("disk {} writes {bytes} bytes", self.member));
        self.wait().await;
        let mut state = self.state.lock();
        state.failure(&[Failure::Write]).map_err(|(_, error)| error)?;
        let write = Write { file, range };
        self.pending.lock().replaced(&write);
        state.unsynced = Some(write);
        Ok(())
    }

    /// See [`keelson_store::machine::World::after_sync`].
    ///
    /// # Errors
    /// Those that were asked for, and the real disk's.
    pub async fn after_sync(&self) -> io::Result<()> {
        self.wait().await;
        let mut state = self.state.lock();
        let failure = state.failure(&[Failure::HalfWrite, Failure::Sync]);
        let Some(write) = state.unsynced.take() else { return failure.map_err(|(_, error)| error) };
        let mut pending = self.pending.lock();
        match failure {
            Ok(()) => {
                pending.take(&Step::Sync { file: &write.file })?;
                state.synced.push(write);
                Ok(())
            }
            Err((Failure::HalfWrite, error)) => {
                image::lose_sectors(&write, || self.random.chance(5000))?;
                pending.unsynced(write);
                Err(error)
            }
            Err((_, error)) => {
                pending.forgotten(write);
                Err(error)
            }
        }
    }

    async fn wait(&self) {
        let (usual, stalled_until, is_dark) = {
            let state = self.state.lock();
            (state.sync_max_ms, state.stalled_until, state.is_dark)
        };
        if is_dark {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.random.millis(0..=usual)).await;
        if let Some(until) = stalled_until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Loses what was not synced. `stop` must close all files, and may write to them.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn crash(&self, stop: &mut dyn FnMut()) -> io::Result<()> {
        let State { synced, unsynced, .. } = self.freeze(stop)?;
        if self.mutant == Some(Mutant::AckBeforeSync) {
            let lost = synced.len().saturating_sub(LOST_BY_A_LIE);
            // What a purge has removed was not lost.
            let first = synced[lost..].iter().find(|write| write.file.exists());
            return first.map_or(Ok(()), image::lose_all_from);
        }
        let mut pending = self.pending.lock();
        if let Some(write) = unsynced {
            pending.unsynced(write);
        }
        if pending.is_empty() {
            return Ok(());
        }
        let lost_of_3 = self.random.below(4);
        self.trace.line(format_args!("disk {} loses {lost_of_3} of 3 of {pending}", self.member));
        pending.undo(|| self.random.below(3) < lost_of_3, || self.random.chance(5000))
    }

    /// Ends the process as `stop` does, and nothing else: what was written can be read, also what was not synced.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn kill(&self, stop: &mut dyn FnMut()) -> io::Result<()> {
        let state = self.freeze(stop)?;
        if let Some(write) = state.unsynced {
            self.pending.lock().unsynced(write);
        }
        Ok(())
    }

    /// Brings the files back to what they were before `stop`.
    fn freeze(&self, stop: &mut dyn FnMut()) -> io::Result<State> {
        // A member may not have come to write anything.
        let image = if self.folder.exists() { Some(image::take(&self.folder)?) } else { None };
        stop();
        if let Some(image) = image {
            std::fs::remove_dir_all(&self.folder)?;
            std::fs::rename(&image, &self.folder)?;
        }
        let mut state = self.state.lock();
        let sync_max_ms = state.sync_max_ms;
        Ok(std::mem::replace(&mut *state, State { sync_max_ms, ..State::default() }))
    }

    /// Loses everything.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn wipe(&self) -> io::Result<()> {
        self.pending.lock().forget()?;
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl State {
    /// Fails, if this is an occasion for it.
    fn failure(&mut self, occasions: &[Failure]) -> Result<(), (Failure, io::Error)> {
        match self.fails.filter(|failure| occasions.contains(failure)) {
            None => Ok(()),
            Some(failure) => {
                (self.fails, self.has_failed) = (None, true);
                Err((failure, io::Error::other("an error of the disk")))
            }
        }
    }
}

/// What is not taken, or lost.
fn name(step: &Step<'_>) -> &'static str {
    match step {
        Step::Write { .. } => "a file is written",
        Step::Rewrite { .. } => "the end of the log is written again",
        Step::Sync { .. } => "a file is synced",
        Step::Rename { .. } => "a file is named",
        Step::Remove { .. } => "a file is removed",
        Step::SyncFolder { .. } => "a folder is synced",
    }
}
