//! Clients of Kubernetes that others wrote, as they are, against three members. What each does is written in its own language, in
//! its folder beside this file. Each has a cluster of its own, so that none finds what another has left.

mod helm;
mod javascript;
mod python;
mod rust;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use keelson::dev::{Scratch, Spec};

/// The contexts of the kubeconfig, one for each member.
const MEMBERS: [&str; 3] = ["keelson", "keelson-m2", "keelson-m3"];

async fn cluster() -> Scratch {
    Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready")
}

/// What `scripts/install test` has installed under this path.
fn tool(path: &str) -> PathBuf {
    std::env::var_os("KEELSON_TOOLS")
        .map(PathBuf::from)
        .expect("KEELSON_TOOLS names the folder; `make test` sets it")
        .join(path)
}

/// What lies beside this file.
fn beside(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(path)
}

/// A program of somebody else's.
struct Program<'a> {
    path: PathBuf,
    cluster: &'a Scratch,
}

impl Program<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let home = self.cluster.layout().home();
        let variables = self.cluster.environment().into_iter().filter_map(|(name, value)| Some((name, value?)));
        let mut command = Command::new(&self.path);
        command.args(arguments).envs(variables).stdin(Stdio::null());
        for (variable, folder) in [
            ("KUBECACHEDIR", "kubectl-cache"),
            ("HELM_CACHE_HOME", "helm-cache"),
            ("HELM_CONFIG_HOME", "helm-config"),
            ("HELM_DATA_HOME", "helm-data"),
        ] {
            command.env(variable, home.join(folder));
        }
        // A few seconds by itself, which may be too little on a busy machine.
        command.envs([("ETCDCTL_DIAL_TIMEOUT", "60s"), ("ETCDCTL_COMMAND_TIMEOUT", "60s")]);
        command
    }

    fn about(&self, arguments: &[&str]) -> String {
        format!("{} {}", self.path.display(), arguments.join(" "))
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap_or_else(|error| panic!("{}: {error}", self.about(arguments)))
    }

    /// Runs it; what it printed.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let (printed, told) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{}: {printed}{told}", self.about(arguments));
        printed
    }

    /// Runs it; it must fail and say why.
    #[track_caller]
    fn fails(&self, arguments: &[&str], why: &str) {
        let output = self.output(arguments);
        let told = text(&output.stdout) + &text(&output.stderr);
        assert!(!output.status.success() && told.contains(why), "{} must tell {why:?}: {told}", self.about(arguments));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
