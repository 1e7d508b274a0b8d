//! One of the kubectls, how it is run, and what is asked of what it prints.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use keelson::dev::Scratch;

use crate::running::{PATIENCE, Running};

pub struct Kubectl<'a> {
    pub program: PathBuf,
    pub cluster: &'a Scratch,
    pub namespace: String,
    /// Which member it speaks to.
    pub context: &'static str,
}

impl<'a> Kubectl<'a> {
    pub fn new(program: PathBuf, cluster: &'a Scratch, namespace: String) -> Self {
        Self { program, cluster, namespace, context: "keelson" }
    }
}

impl Kubectl<'_> {
    pub fn command(&self, arguments: &[&str]) -> Command {
        let variables = self.cluster.environment().into_iter().filter_map(|(name, value)| Some((name, value?)));
        // To name one for what is in none makes kubectl warn; and nothing may come before what a shell asks for.
        let place = if arguments.get(1) == Some(&"namespace") || arguments[0].starts_with("__") {
            &[][..]
        } else {
            &["--context", self.context, "--namespace", &self.namespace]
        };
        let mut command = Command::new(&self.program);
        command.args(place).args(arguments).envs(variables);
        command.env("KUBECACHEDIR", self.cluster.layout().home().join("kubectl-cache"));
        command
    }

    /// Runs it; whether it succeeded, and what it printed.
    pub fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = self.command(arguments);
        let output =
            command.output().unwrap_or_else(|error| panic!("{} does not run: {error}", self.program.display()));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &without_notes(&output.stderr);
        (output.status.success(), printed)
    }

    /// Runs it, again while the server says that it did nothing for want of a leader: one may be elected at any time on a busy machine.
    /// kubectl itself waits as long as the answer asks before it gives up.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (well, printed) = self.try_run(arguments);
            if well {
                return printed;
            }
            let again = printed.contains("(ServiceUnavailable)") && Instant::now() < deadline;
            assert!(again, "{} {arguments:?}: {printed}", self.program.display());
        }
    }

    /// Runs a command line that must print exactly this.
    #[track_caller]
    pub fn says(&self, line: &str, expected: &str) {
        let arguments: Vec<&str> = line.split(' ').collect();
        assert_eq!(self.run(&arguments).trim_end(), expected, "{} {line}", self.program.display());
    }

    /// Runs a command line that must fail for a reason that is told in these words.
    #[track_caller]
    pub fn fails(&self, line: &str, why: &str) {
        let (well, told) = self.try_run(&line.split(' ').collect::<Vec<_>>());
        assert!(!well && told.contains(why), "{} {line} must tell {why:?}: {told}", self.program.display());
    }

    /// Runs a command line that must print all of these words, however wide its columns are.
    #[track_caller]
    pub fn shows(&self, line: &str, expected: &[&str]) {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let printed = self.run(&line.split(' ').collect::<Vec<_>>());
        let found = squeezed(&printed);
        for words in expected {
            assert!(
                found.contains(&squeezed(words)),
                "{} {line}: {words:?} is not in {printed}",
                self.program.display()
            );
        }
    }

    /// Runs a command line until what it prints is as wanted. Each look is a process of its own, which leaves the others time enough.
    #[track_caller]
    pub fn comes_to(&self, line: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.run(&line.split(' ').collect::<Vec<_>>());
            if wanted(&printed) {
                return;
            }
            assert!(Instant::now() < deadline, "{} {line} still prints {printed}", self.program.display());
        }
    }

    /// Runs a command line until it prints exactly this.
    #[track_caller]
    pub fn comes_to_say(&self, line: &str, expected: &str) {
        self.comes_to(line, |printed| printed.trim_end() == expected);
    }

    /// Writes a file for it.
    pub fn write(&self, name: &str, text: &str) -> String {
        let file = self.cluster.layout().home().join(format!("{}-{name}", self.namespace));
        std::fs::write(&file, text).expect("is written");
        file.to_string_lossy().into_owned()
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    /// Newer ones say from where something was deleted.
    pub fn place(&self) -> String {
        if is_before(&self.program, "1.34") { String::new() } else { format!(" from {} namespace", self.namespace) }
    }
}

/// Where the kubectls are.
pub fn tools() -> PathBuf {
    std::env::var_os("KEELSON_TOOLS").map(PathBuf::from).expect("KEELSON_TOOLS names the folder; `make test` sets it")
}

/// Whether a kubectl, which has its version in its name, is older.
pub fn is_before(program: &Path, version: &str) -> bool {
    let minor = |text: &str| text.rsplit('.').next().and_then(|minor| minor.parse::<u32>().ok());
    minor(&program.to_string_lossy()) < minor(version)
}

/// What kubectl's own libraries note of their work, such as that they have waited, and no command prints.
fn without_notes(stderr: &[u8]) -> String {
    let is_note = |line: &str| {
        line.strip_prefix('I').is_some_and(|rest| rest.len() > 5 && rest.as_bytes()[..4].iter().all(u8::is_ascii_digit))
    };
    String::from_utf8_lossy(stderr).split_inclusive('\n').filter(|line| !is_note(line)).collect()
}
