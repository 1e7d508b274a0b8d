//! One process of a local cluster: started detached, found again by later commands, signalled, ended.
//!
//! **Invariant**: no signal ever reaches a process that this module did not start. A pid is reused by the system, so the
//! pid file also holds the kernel's start time of the process, and both must match.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::layout::ProcessLayout;

/// How long a process has to end after SIGTERM before it is killed: a leader hands over within a heartbeat or two, and a
/// flush of full memtables takes about a second.
const TERMINATION_GRACE: Duration = Duration::from_secs(10);
/// A killed process ends when the kernel has written what it was about to write, which a busy disk may hold up.
const KILLED_WITHIN: Duration = Duration::from_secs(120);
/// How often a process is looked at while its end is awaited.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// What the kernel counts processor time in for programs: a hundredth of a second, whatever it was built with.
const TICK_MILLISECONDS: u64 = 10;
/// How much of the end of a log is shown when a process ended on its own.
const LOG_TAIL_BYTES: u64 = 4 * 1024;

/// Why a process could not be started or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program could not be executed.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file of the process could not be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A signal could not be sent.
    #[error("cannot signal process {pid}")]
    Signal {
        /// The process.
        pid: i32,
        /// The system's answer.
        #[source]
        source: rustix::io::Errno,
    },
    /// The process is not there.
    #[error("{0} is not running")]
    NotRunning(String),
    /// Even SIGKILL did not end the process in time.
    #[error("process {0} does not end")]
    Unkillable(i32),
}

/// What a pid file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks after boot.
    start_ticks: u64,
}

/// A named process with its files.
#[derive(Clone, Debug)]
pub struct Process {
    name: String,
    layout: ProcessLayout,
}

impl Process {
    /// The process called `name` whose files are `layout`.
    #[must_use]
    pub fn new(name: impl Into<String>, layout: ProcessLayout) -> Self {
        Self { name: name.into(), layout }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its files.
    #[must_use]
    pub fn layout(&self) -> &ProcessLayout {
        &self.layout
    }

    /// Starts `program` in a session of its own, its output appended to the log. Does nothing when it runs already.
    ///
    /// # Errors
    /// When the program cannot be executed or a file cannot be written.
    pub fn start(&self, program: &Path, arguments: &[String]) -> Result<(), Error> {
        if self.pid().is_some() {
            return Ok(());
        }
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { path, source }
        };
        fs::create_dir_all(self.layout.folder()).map_err(file_error(self.layout.folder()))?;
        let log_path = self.layout.log();
        let log = fs::OpenOptions::new().create(true).append(true).open(&log_path).map_err(file_error(&log_path))?;
        let log_too = log.try_clone().map_err(file_error(&log_path))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log).stderr(log_too);
        // A group of its own: an interrupt typed at the terminal must not reach it.
        command.process_group(0);
        let child = command.spawn().map_err(|source| Error::Start { program: program.to_owned(), source })?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        reap(child);
        let Some(start_ticks) = start_ticks(pid) else {
            return Err(Error::NotRunning(self.name.clone()));
        };
        let pid_path = self.layout.pid();
        let identity = serde_json::to_vec(&Identity { pid, start_ticks }).unwrap_or_default();
        fs::write(&pid_path, identity).map_err(file_error(&pid_path))
    }

    /// The id of the process while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        let identity: Identity = serde_json::from_slice(&fs::read(self.layout.pid()).ok()?).ok()?;
        (start_ticks(identity.pid)? == identity.start_ticks).then_some(identity.pid)
    }

    /// Resident memory in bytes while it runs.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<u64> {
        resident_bytes(u32::try_from(self.pid()?).ok()?)
    }

    /// The most resident memory in bytes that it had since its start, or since [`Self::forget_peak`].
    #[must_use]
    pub fn peak_resident_bytes(&self) -> Option<u64> {
        status_bytes(u32::try_from(self.pid()?).ok()?, "VmHWM:")
    }

    /// From now on the peak of its memory is counted anew.
    ///
    /// # Errors
    /// When it does not run, or the kernel cannot do that.
    pub fn forget_peak(&self) -> Result<(), Error> {
        let pid = self.pid().ok_or_else(|| Error::NotRunning(self.name.clone()))?;
        let path = PathBuf::from(format!("/proc/{pid}/clear_refs"));
        // 5 resets the peak alone; see proc(5).
        fs::write(&path, "5").map_err(|source| Error::File { path, source })
    }

    /// The processor time that it has taken since its start.
    #[must_use]
    pub fn processor_time(&self) -> Option<Duration> {
        processor_time(u32::try_from(self.pid()?).ok()?)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it does not run or may not be signalled.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = self.pid().ok_or_else(|| Error::NotRunning(self.name.clone()))?;
        let Some(target) = Pid::from_raw(pid) else {
            return Err(Error::NotRunning(self.name.clone()));
        };
        kill_process(target, signal).map_err(|source| Error::Signal { pid, source })
    }

    /// Kills it at once, as a power failure would, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn kill(&self) -> Result<(), Error> {
        self.signal(Signal::KILL)?;
        self.wait_for_end(KILLED_WITHIN)
    }

    /// Asks it to end and kills it when it does not. Does nothing when it does not run.
    ///
    /// # Errors
    /// When it cannot be signalled or does not end.
    pub fn stop(&self) -> Result<(), Error> {
        if self.pid().is_none() {
            return Ok(());
        }
        self.signal(Signal::TERM)?;
        // A process that was paused handles the signal only when it goes on.
        let _ = self.signal(Signal::CONT);
        match self.wait_for_end(TERMINATION_GRACE) {
            Ok(()) => Ok(()),
            Err(_) => self.kill(),
        }
    }

    /// The last lines that it wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let read = || {
            let mut file = fs::File::open(self.layout.log())?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    fn wait_for_end(&self, within: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + within;
        while let Some(pid) = self.pid() {
            if Instant::now() > deadline {
                return Err(Error::Unkillable(pid));
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "a command of the shell, on its own thread, waits for the kernel"
            )]
            std::thread::sleep(POLL_INTERVAL);
        }
        let _ = fs::remove_file(self.layout.pid());
        Ok(())
    }
}

/// Resident memory of a process in bytes, while it runs.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The processor time that a process has taken since its start, while it runs.
#[must_use]
pub fn processor_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(Duration::from_millis(processor_ticks(&stat)? * TICK_MILLISECONDS))
}

/// A size that the kernel tells in kB.
fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
}

/// Collects the child's exit, so that it does not stay a zombie as long as this process lives.
fn reap(mut child: std::process::Child) {
    // Nothing waits for the thread: it ends with the child or with this process.
    std::thread::spawn(move || child.wait());
}

/// Ticks in user mode and in the kernel, of all threads: the fields 14 and 15 of `/proc/<pid>/stat`.
fn processor_ticks(stat: &str) -> Option<u64> {
    // The second field is the command in parentheses and may itself contain spaces and parentheses.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let (user, system) = (times.next()?, times.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

/// When the process started, or `None` when it does not exist or has ended and was not yet collected.
fn start_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses and may itself contain spaces and parentheses.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    // The first thread of a killed process is a zombie while others still hold its ports: it has ended with the last one.
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    if state == "X" || (state == "Z" && threads() <= 1) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::*;

    fn sleeper() -> (tempfile::TempDir, Process) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = Process::new("sleeper", Layout::new(folder.path()).process("sleeper"));
        process.start(Path::new("sleep"), &["60".to_owned()]).expect("sleep starts");
        (folder, process)
    }

    #[test]
    fn a_started_process_is_found_again_and_killed() {
        let (folder, process) = sleeper();
        let again = Process::new("sleeper", Layout::new(folder.path()).process("sleeper"));
        assert_eq!(again.pid(), process.pid());
        assert!(again.pid().is_some());
        again.kill().expect("it is killed");
        assert_eq!(process.pid(), None);
    }

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 900 0 0 0 130 20 3 4 20 0 9 0 77 1 2";
        assert_eq!(processor_ticks(stat), Some(150));
    }

    #[test]
    fn memory_and_its_peak_are_told_while_the_process_runs() {
        let (_folder, process) = sleeper();
        process.forget_peak().expect("the kernel can");
        let peak = process.peak_resident_bytes().expect("it runs");
        assert!(peak > 0 && process.resident_bytes().is_some_and(|now| now > 0));
        assert!(process.processor_time().is_some());
        process.kill().expect("it is killed");
        assert_eq!((process.peak_resident_bytes(), process.processor_time()), (None, None));
    }

    #[test]
    fn a_reused_pid_is_not_taken_for_the_process() {
        let (_folder, process) = sleeper();
        let pid = process.pid().expect("it runs");
        let forged = Identity { pid, start_ticks: 1 };
        fs::write(process.layout().pid(), serde_json::to_vec(&forged).expect("JSON")).expect("written");
        assert_eq!(process.pid(), None);
        assert!(matches!(process.signal(Signal::KILL), Err(Error::NotRunning(_))));
        let real = Identity { pid, start_ticks: start_ticks(pid).expect("it still runs") };
        fs::write(process.layout().pid(), serde_json::to_vec(&real).expect("JSON")).expect("written");
        process.stop().expect("it stops");
    }
}
