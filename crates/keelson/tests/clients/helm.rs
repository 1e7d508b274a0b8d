//! helm 3 and helm 4 with the chart in `chart`: it has hooks, a `lookup`, a schema of its values, a test, and a kind of
//! its own. Each step goes to another
//! member than the one before it.

use std::cell::Cell;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{MEMBERS, Program, beside, cluster, text, tool};

/// What may take so long on a busy machine at most.
const PATIENCE: &str = "120s";
/// The same for what is looked at until it is so.
const WITHIN: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn charts_live_their_life_by_helm_3_and_helm_4() {
    let cluster = cluster().await;
    let folder = tempfile::tempdir().expect("a folder");
    // They wait most of the time, so they do it together.
    let life = |name: &'static str| {
        let helm = Helm {
            program: Program { path: tool(name), cluster: &cluster },
            kubectl: Program { path: tool("kubectl-1.35"), cluster: &cluster },
            namespace: name,
            chart: chart_of(name, folder.path()).to_string_lossy().into_owned(),
            steps: Cell::new(0),
        };
        helm.lives_and_goes();
        helm.refuses();
        helm.fails_and_recovers();
        helm.meets_other_writers();
        helm.renders();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| life("helm-3"));
        life("helm-4");
    });
}

/// The chart as this helm installs it: with a kind in a group of its own, since kinds are of the whole cluster.
fn chart_of(name: &str, folder: &Path) -> PathBuf {
    fn copy(from: &Path, to: &Path, name: &str) {
        std::fs::create_dir_all(to).expect("is created");
        for entry in std::fs::read_dir(from).expect("is read") {
            let entry = entry.expect("is read");
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_dir() {
                copy(&from, &to, name);
            } else {
                let text = std::fs::read_to_string(&from).expect("is text");
                std::fs::write(to, text.replace(GROUP, &group(name))).expect("is written");
            }
        }
    }
    let chart = folder.join(name);
    copy(&beside("chart"), &chart, name);
    chart
}

struct Helm<'a> {
    program: Program<'a>,
    kubectl: Program<'a>,
    namespace: &'static str,
    chart: String,
    steps: Cell<usize>,
}

impl Helm<'_> {
    /// The words of a line; `CHART` is the chart.
    fn words<'a>(&'a self, line: &'a str) -> Vec<&'a str> {
        let step = self.steps.replace(self.steps.get() + 1);
        let place = ["--namespace", self.namespace, "--kube-context", MEMBERS[step % MEMBERS.len()]];
        let words = line.split(' ').map(|word| if word == "CHART" { &self.chart } else { word });
        words.chain(place).collect()
    }

    #[track_caller]
    fn run(&self, line: &str) -> String {
        self.program.run(&self.words(line))
    }

    #[track_caller]
    fn waits(&self, line: &str) -> String {
        self.run(&format!("{line} --wait --timeout {PATIENCE}"))
    }

    #[track_caller]
    fn fails(&self, line: &str, why: &str) {
        self.program.fails(&self.words(line), why);
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{line} --output json"))).expect("prints JSON")
    }

    /// The status of each revision, oldest first.
    fn history(&self, release: &str) -> Vec<String> {
        let history = self.json(&format!("history {release}"));
        let revisions = history.as_array().expect("a list").iter();
        revisions.map(|revision| revision["status"].as_str().expect("a string").to_owned()).collect()
    }

    /// A part of an object in the cluster.
    #[track_caller]
    fn get(&self, object: &str, path: &str) -> String {
        self.kubectl.run(&["--namespace", self.namespace, "get", object, "-o", &format!("jsonpath={{{path}}}")])
    }

    /// What a controller writes behind what helm waits for.
    #[track_caller]
    fn comes_to_say(&self, object: &str, path: &str, expected: &str) {
        let deadline = Instant::now() + WITHIN;
        while Instant::now() < deadline && self.get(object, path) != expected {}
        self.says(object, path, expected);
    }

    #[track_caller]
    fn says(&self, object: &str, path: &str, expected: &str) {
        assert_eq!(self.get(object, path), expected, "{}: {object} {path}", self.namespace);
    }

    /// The custom resource of a release.
    fn greeting(&self, release: &str) -> String {
        format!("greetings.{}/{release}", group(self.namespace))
    }

    /// Installed, upgraded, rolled back, tested, removed.
    fn lives_and_goes(&self) {
        let installed = self.waits("install g CHART --create-namespace");
        assert!(installed.contains("STATUS: deployed") && installed.contains("greets with hello"), "{installed}");
        self.comes_to_say("deployment/g", ".status.readyReplicas", "2");
        self.says("pod/g-pre-install", ".status.phase", "Succeeded");
        self.says("configmap/g", ".data.api", "true");
        self.says(&self.greeting("g"), ".spec.text", "hello");
        self.says(&self.greeting("g"), ".spec.times", "1");
        let password = self.get("secret/g", ".data.password");
        assert!(password.len() >= 16, "{password:?}");

        let upgraded = self.waits("upgrade g CHART --set replicas=3,greeting=ahoy");
        assert!(upgraded.contains("REVISION: 2") && upgraded.contains("greets with ahoy"), "{upgraded}");
        self.comes_to_say("deployment/g", ".status.readyReplicas", "3");
        self.says("configmap/g", ".data.greeting", "ahoy");
        self.says(&self.greeting("g"), ".spec.text", "ahoy");
        self.says("pod/g-post-upgrade", ".status.phase", "Succeeded");
        // The chart looks it up, so an upgrade makes no new one.
        self.says("secret/g", ".data.password", &password);
        let values = self.json("get values g");
        assert_eq!(values["greeting"], "ahoy");

        self.waits("rollback g 1");
        assert_eq!(self.history("g"), ["superseded", "superseded", "deployed"]);
        self.comes_to_say("deployment/g", ".status.readyReplicas", "2");
        self.says("configmap/g", ".data.greeting", "hello");
        self.says(&self.greeting("g"), ".spec.text", "hello");

        let tested = self.run(&format!("test g --timeout {PATIENCE}"));
        assert!(tested.contains("Phase:          Succeeded"), "{tested}");
        let listed = self.json("list");
        assert_eq!(listed[0]["name"], "g");
        assert_eq!(listed[0]["revision"], "3");
        assert!(self.run("get all g").contains("kind: RoleBinding"));
        let status = self.run("status g");
        assert!(status.contains("STATUS: deployed"), "{status}");

        let removed = self.waits("uninstall g");
        assert!(removed.contains("release \"g\" uninstalled"), "{removed}");
        assert_eq!(self.json("list"), serde_json::json!([]));
        let kinds = format!("{KINDS},greetings.{}", group(self.namespace));
        let left =
            || self.kubectl.run(&["--namespace", self.namespace, "get", "-l", "app.kubernetes.io/instance=g", &kinds]);
        // What nobody has made but a controller goes behind its owner.
        let deadline = Instant::now() + WITHIN;
        while Instant::now() < deadline && !left().is_empty() {}
        assert_eq!(left(), "", "only the pods of its hooks stay, which are nobody's");
    }

    fn refuses(&self) {
        self.fails("install r CHART --set replicas=none", "values don't meet the specifications of the schema");
        // Past helm, the server looks.
        let refused = "spec.replicas: Invalid value: -1: must be greater than or equal to 0";
        self.fails("install r CHART --skip-schema-validation --set replicas=-1", refused);
        assert_eq!(self.history("r"), ["failed"]);
        self.run("uninstall r");
        self.fails("install r CHART --set greeting=", "spec.text: Invalid value");
        self.run("uninstall r");
        self.fails("upgrade none CHART", "has no deployed releases");
        self.waits("install r CHART");
        self.fails("install r CHART", "name that is still in use");
        self.run("uninstall r --keep-history");
        assert_eq!(self.history("r"), ["uninstalled"]);
        self.run("uninstall r");
    }

    fn fails_and_recovers(&self) {
        self.waits("install f CHART");
        self.fails(
            &format!("upgrade f CHART --atomic --timeout {PATIENCE} --set hookExitCode=1,greeting=never"),
            "pod f-post-upgrade failed",
        );
        assert_eq!(self.history("f"), ["superseded", "failed", "deployed"]);
        self.says("configmap/f", ".data.greeting", "hello");
        self.fails("upgrade f CHART --set hookExitCode=1", "pod f-post-upgrade failed");
        self.fails(&format!("test f --timeout {PATIENCE}"), "pod f-test failed");
        self.waits("upgrade f CHART --install");
        assert_eq!(self.history("f").last().map(String::as_str), Some("deployed"));
        let tried = self.run("upgrade f CHART --dry-run=server --set greeting=maybe");
        assert!(tried.contains("greets with maybe"), "{tried}");
        self.says("configmap/f", ".data.greeting", "hello");
        self.run("uninstall f");
    }

    /// Between two upgrades somebody else writes.
    fn meets_other_writers(&self) {
        self.waits("install o CHART");
        self.kubectl.run(&["--namespace", self.namespace, "scale", "deployment/o", "--replicas=5"]);
        self.kubectl.run(&["--namespace", self.namespace, "label", "deployment/o", "whose=theirs"]);
        if self.namespace == "helm-4" {
            // It applies on the server's side.
            self.fails("upgrade o CHART --set replicas=3", ".spec.replicas");
            self.waits("upgrade o CHART --set replicas=3 --force-conflicts");
        } else {
            // It patches what differs from what it has put there before.
            self.waits("upgrade o CHART --set replicas=3");
        }
        self.says("deployment/o", ".spec.replicas", "3");
        self.says("deployment/o", ".metadata.labels.whose", "theirs");
        self.run("uninstall o");
    }

    /// What helm only renders, kubectl applies.
    fn renders(&self) {
        let rendered = self.run("template t CHART --set greeting=rendered --no-hooks");
        for arguments in [&["apply", "-f", "-"][..], &["delete", "-f", "-"]] {
            let mut command = self.kubectl.command(&["--namespace", self.namespace]);
            let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut kubectl = piped.spawn().expect("kubectl runs");
            kubectl.stdin.take().expect("is piped").write_all(rendered.as_bytes()).expect("is read");
            let output = kubectl.wait_with_output().expect("ends");
            assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
            if arguments[0] == "apply" {
                self.says("configmap/t", ".data.greeting", "rendered");
            }
        }
    }
}

/// Kinds that the chart has, but for pods and its own.
const KINDS: &str = "deployments,replicasets,services,configmaps,secrets,serviceaccounts,roles,rolebindings";
/// The group of the chart's own kind.
const GROUP: &str = "guestbook.example.com";

fn group(helm: &str) -> String {
    format!("{helm}.{GROUP}")
}
