//! A member's disk: syncs that take time, stall or fail, and what a crash leaves of the files.
//!
//! The files are real, in a folder that lives in memory where there is one. A crash takes an image of them before the member's
//! database is dropped, since closing it would write what a crash does not. Of the last write to the log, when nobody was told of its
//! sync, each sector is in the image or not.

mod image;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::mutant::Mutant;
use crate::random::Random;
use crate::trace::Trace;

/// Syncs that a disk which lies about them loses at a crash.
const LOST_BY_A_LIE: usize = 6;

/// A disk. It outlives the machines that use it.
#[derive(Debug)]
pub struct Disk {
    member: usize,
    folder: PathBuf,
    state: Mutex<State>,
    random: Random,
    trace: Trace,
    mutant: Option<Mutant>,
}

#[derive(Debug, Default)]
struct State {
    /// The longest that a sync usually takes.
    sync_max_ms: u64,
    stalled_until: Option<Instant>,
    fails: bool,
    /// It has answered with an error since the last start.
    has_failed: bool,
    /// The write to the log that is being synced.
    unsynced: Option<Write>,
    /// Those that were synced since the start.
    synced: Vec<Write>,
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
        Self { member, folder, state: Mutex::default(), random, trace, mutant }
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

    /// Answers the next sync with an error.
    pub fn fail(&self) {
        self.state.lock().fails = true;
    }

    /// Whether it answered with an error since its member started.
    pub fn has_failed(&self) -> bool {
        self.state.lock().has_failed
    }

    /// All is well again.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        (state.stalled_until, state.fails) = (None, false);
    }

    /// See [`keelson_store::machine::World::before_sync`].
    pub async fn before_sync(&self, file: PathBuf, range: Range<u64>) -> io::Result<()> {
        let bytes = range.end - range.start;
        self.trace.line(format_args!("disk {} writes {bytes} bytes", self.member));
        self.wait().await;
        let mut state = self.state.lock();
        if std::mem::take(&mut state.fails) {
            state.has_failed = true;
            return Err(io::Error::other("an error of the disk"));
        }
        state.unsynced = Some(Write { file, range });
        Ok(())
    }

    /// See [`keelson_store::machine::World::after_sync`].
    pub async fn after_sync(&self) -> io::Result<()> {
        self.wait().await;
        let mut state = self.state.lock();
        let write = state.unsynced.take();
        state.synced.extend(write);
        Ok(())
    }

    async fn wait(&self) {
        let (usual, stalled_until) = {
            let state = self.state.lock();
            (state.sync_max_ms, state.stalled_until)
        };
        tokio::time::sleep(self.random.millis(0..=usual)).await;
        if let Some(until) = stalled_until {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Loses what was not synced. `stop` must close all files, and may write to them.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn crash(&self, stop: impl FnOnce()) -> io::Result<()> {
        if !self.folder.exists() {
            // It has not come to write anything.
            stop();
            return Ok(());
        }
        let image = image::take(&self.folder)?;
        stop();
        std::fs::remove_dir_all(&self.folder)?;
        std::fs::rename(&image, &self.folder)?;
        let state = std::mem::take(&mut *self.state.lock());
        self.state.lock().sync_max_ms = state.sync_max_ms;
        if self.mutant == Some(Mutant::AckBeforeSync) {
            let lost = state.synced.len().saturating_sub(LOST_BY_A_LIE);
            // What a purge has removed was not lost.
            let first = state.synced[lost..].iter().find(|write| write.file.exists());
            return first.map_or(Ok(()), image::lose_all_from);
        }
        let Some(write) = state.unsynced else { return Ok(()) };
        let bytes = write.range.end - write.range.start;
        let lost_of_3 = self.random.below(4);
        self.trace.line(format_args!("disk {} loses {lost_of_3} of 3 of {bytes} unsynced bytes", self.member));
        image::lose_sectors(&write, || self.random.below(3) < lost_of_3)
    }

    /// Loses everything.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn wipe(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
