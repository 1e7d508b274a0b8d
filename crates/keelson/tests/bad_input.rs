//! What goes wrong is told once, clearly, in the caller's own protocol, and leaves nothing half done.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use keelson::dev::{Cluster, Process, Scratch, Spec, ready, scratch};
use keelson::pki::{Authority, Subject};
use keelson_client::ListOptions;
use rustix::process::{Pid, Signal, kill_process};

/// What a program said: whether it succeeded, and everything that it printed.
struct Said {
    well: bool,
    text: String,
}

/// Runs a client against the cluster with `input` as its standard input.
fn run(cluster: &Cluster, program: &Path, arguments: &[&str], input: &str) -> Said {
    let variables = cluster.environment().into_iter().filter_map(|(name, value)| Some((name, value?)));
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables)
        .env("KUBECACHEDIR", cluster.layout().home().join("kubectl-cache"))
        // A few seconds by itself, which may be too little on a busy machine.
        .envs([("ETCDCTL_DIAL_TIMEOUT", "60s"), ("ETCDCTL_COMMAND_TIMEOUT", "60s")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not run: {error}", program.display()));
    // A program that refuses its arguments may end before it has read anything.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Said { well: output.status.success(), text }
}

fn tool(name: &str) -> PathBuf {
    let tools = std::env::var_os("KEELSON_TOOLS").map(PathBuf::from);
    tools.expect("KEELSON_TOOLS names the folder; `make test` sets it").join(name)
}

fn config_map(name: &str, extra: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{extra}\n")
}

fn deployment(change: impl Fn(String) -> String) -> String {
    change(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: bad\nspec:\n  replicas: 1\n  selector:\n    \
         matchLabels: {app: bad}\n  template:\n    metadata:\n      labels: {app: bad}\n    spec:\n      containers:\n      \
         - name: main\n        image: bad:1\n"
            .to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_is_told_clearly_and_leaves_nothing() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    objects(&cluster).await;
    stale_updates(&cluster);
    compacted_revisions(&cluster);
    foreign_certificates(&cluster);
    foreign_data(&cluster);
    ended_while_it_opens(&cluster);
}

/// Objects that are refused, by kubectl over REST and by keelctl over gRPC. Each text must be in what both print.
async fn objects(cluster: &Scratch) {
    let blob = format!("image: bad:1\n        env: [{{name: BLOB, value: {}}}]", "x".repeat(1_600_000));
    let cases: [(&str, String, &[&str]); 9] = [
        ("malformed YAML", "apiVersion: v1\nkind: [".to_owned(), &["error"]),
        ("an unknown kind", "apiVersion: v1\nkind: Podd\nmetadata: {name: bad}\n".to_owned(), &["Podd"]),
        ("an unknown field", config_map("bad", "dataa: {a: b}"), &["unknown field", "dataa"]),
        ("a wrongly typed field", deployment(|text| text.replace("replicas: 1", "replicas: many")), &["replicas"]),
        ("a missing field", deployment(|text| text.replace("        image: bad:1\n", "")), &["image", "Required"]),
        ("a huge object", deployment(|text| text.replace("image: bad:1", &blob)), &["too large"]),
        ("a name that is no DNS name", config_map("Bad_Name", ""), &["metadata.name", "RFC 1123"]),
        (
            "a selector that does not match",
            deployment(|text| text.replace("labels: {app: bad}", "labels: {app: other}")),
            &["does not match template", "spec.template.metadata.labels"],
        ),
        ("a negative number", deployment(|text| text.replace("replicas: 1", "replicas: -1")), &["spec.replicas"]),
    ];
    let clients = [tool("kubectl-1.32"), tool("kubectl-1.37"), scratch::program("keelctl").expect("keelctl is built")];
    for client in &clients {
        for (what, manifest, expected) in &cases {
            let said = run(cluster, client, &["create", "-f", "-"], manifest);
            let shown: String = said.text.chars().take(600).collect();
            assert!(!said.well, "{} accepted {what}: {shown}", client.display());
            for text in *expected {
                assert!(said.text.contains(text), "{}, {what}: {text:?} is not in: {shown}", client.display());
            }
        }
    }
    let api = ready::patient_client(cluster).expect("a client");
    let everything = ListOptions::default();
    let maps = api.list::<ConfigMap>("default", &everything).await.expect("a list").items;
    assert!(maps.iter().all(|map| map.metadata.name.as_deref() != Some("bad")), "something was left: {maps:?}");
    assert!(api.list::<Pod>("default", &everything).await.expect("a list").items.is_empty(), "pods were made");
}

fn stale_updates(cluster: &Cluster) {
    let kubectl = tool("kubectl-1.37");
    let created = run(cluster, &kubectl, &["create", "-f", "-", "-o", "yaml"], &config_map("stale", "data: {a: one}"));
    assert!(created.well, "{}", created.text);
    let changed = run(cluster, &kubectl, &["patch", "configmap", "stale", "-p", r#"{"data":{"a":"two"}}"#], "");
    assert!(changed.well, "{}", changed.text);
    let stale = run(cluster, &kubectl, &["replace", "-f", "-"], &created.text.replace("one", "three"));
    assert!(!stale.well && stale.text.contains("the object has been modified"), "{}", stale.text);
    let kept = run(cluster, &kubectl, &["get", "configmap", "stale", "-o", "jsonpath={.data.a}"], "");
    assert_eq!(kept.text, "two");
}

fn compacted_revisions(cluster: &Cluster) {
    let etcdctl = tool("etcd-3.5/etcdctl");
    for value in 0..5 {
        assert!(run(cluster, &etcdctl, &["put", "/bad/key", &value.to_string()], "").well);
    }
    let got = run(cluster, &etcdctl, &["get", "/bad/key", "--write-out=fields"], "");
    let field = |name: &str| {
        let line = got.text.lines().find_map(|line| line.strip_prefix(&format!("\"{name}\" : ")));
        line.and_then(|value| value.trim().parse::<i64>().ok()).unwrap_or_else(|| panic!("no {name} in {}", got.text))
    };
    let revision = field("ModRevision");
    assert!(run(cluster, &etcdctl, &["compaction", &revision.to_string()], "").well);
    let old = (revision - 2).to_string();
    let read = run(cluster, &etcdctl, &["get", "/bad/key", "--rev", &old], "");
    assert!(!read.well && read.text.contains("required revision has been compacted"), "{}", read.text);
    let watched = run(cluster, &etcdctl, &["watch", "/bad/key", "--rev", &old], "");
    assert!(watched.text.contains("required revision has been compacted"), "{}", watched.text);
}

/// A certificate of another authority, and none but an unknown token, get 401; the store's port does not even speak with them.
fn foreign_certificates(cluster: &Cluster) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = Authority::open_or_create(&folder.path().join("ca"), "another-ca").expect("an authority");
    let certificate = folder.path().join("admin");
    authority
        .certify(&certificate, &Subject::client("kubernetes-admin", Some("system:masters")))
        .expect("a certificate");
    let file = |extension: &str| certificate.with_extension(extension).to_string_lossy().into_owned();
    let server = format!("https://{}", cluster.spec().api_address(0));
    let (api_authority, ..) = cluster.api_certificate("admin");
    let api_authority = api_authority.to_string_lossy().into_owned();
    let nobody = folder.path().join("empty-kubeconfig").to_string_lossy().into_owned();
    std::fs::write(&nobody, "").expect("written");
    let base = [
        "--kubeconfig",
        &nobody,
        "--server",
        &server,
        "--certificate-authority",
        &api_authority,
        "get",
        "--raw",
        "/api/v1/pods",
    ];
    let kubectl = tool("kubectl-1.37");
    let foreign = ["--client-certificate", &file("crt"), "--client-key", &file("key")];
    for identity in [&["--token", "unknown"][..], &foreign[..]] {
        let said = run(cluster, &kubectl, &[&base[..], identity].concat(), "");
        assert!(!said.well && said.text.contains("Unauthorized"), "{identity:?}: {}", said.text);
    }
    let etcdctl = Command::new(tool("etcd-3.5/etcdctl"))
        .args(["get", "a", "--command-timeout=2s", "--endpoints", &cluster.spec().store_endpoints()[0]])
        .args([
            "--cacert",
            &cluster.store_certificate().0.to_string_lossy(),
            "--cert",
            &file("crt"),
            "--key",
            &file("key"),
        ])
        .env("ETCDCTL_API", "3")
        .output()
        .expect("etcdctl runs");
    assert!(!etcdctl.status.success(), "the store spoke with a stranger");
}

/// A member refuses a folder that is not its own, and a port that is taken, and says so in its last words.
fn foreign_data(cluster: &Cluster) {
    let member = cluster.member(2);
    member.stop().expect("it stops");
    let data = member.layout().data();
    let kept = data.with_extension("kept");
    std::fs::rename(&data, &kept).expect("renamed");
    copy(&kept, &data);
    let words = |token: &str, api: String| {
        let pki = member.layout().pki();
        let (peer, store) = (cluster.spec().peer_address(2).to_string(), cluster.spec().store_address(2).to_string());
        let output = Command::new(scratch::program("keelson").expect("keelson is built"))
            .args([
                "server",
                "--name",
                "m3",
                "--cluster-token",
                token,
                "--initial-cluster",
                &cluster.spec().initial_cluster(2),
            ])
            .args(["--data-dir".as_ref(), data.as_os_str(), "--pki-dir".as_ref(), pki.as_os_str()])
            .args(["--listen-peer", &peer, "--listen-store", &store, "--listen-api", &api])
            .output()
            .expect("keelson runs");
        assert!(!output.status.success(), "it went on with token {token} and API port {api}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let own_api = cluster.spec().api_address(2).to_string();
    let other = words("another-cluster", own_api.clone());
    assert!(other.contains("cluster"), "{other}");
    let taken = words("keelson-dev", cluster.spec().api_address(0).to_string());
    assert!(taken.contains("in use"), "{taken}");
    std::fs::remove_dir_all(&data).expect("removed");
    std::fs::rename(&kept, &data).expect("renamed back");
    cluster.start_member(2).expect("it starts with its own data");
    assert_running(&cluster.member(2));
}

/// A member that is told to end while it opens its store does not go on with that first.
fn ended_while_it_opens(cluster: &Cluster) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pki = cluster.member(2).layout().pki();
    let nobody = "127.0.0.1:1";
    let mut child = Command::new(scratch::program("keelson").expect("keelson is built"))
        .args(["server", "--name", "m4", "--initial-cluster-state", "existing"])
        .args(["--initial-cluster", &format!("m1={nobody},m4=127.0.0.1:2")])
        .args(["--data-dir".as_ref(), folder.path().as_os_str(), "--pki-dir".as_ref(), pki.as_os_str()])
        .args(["--listen-peer", "127.0.0.1:0", "--listen-store", "127.0.0.1:0", "--listen-api", "127.0.0.1:0"])
        .env_remove("KEELSON_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .expect("keelson runs");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map(|line| line.expect("text"));
    let mut said = Vec::new();
    while said.last().is_none_or(|line: &String| !line.contains("opening the store")) {
        said.push(lines.next().unwrap_or_else(|| panic!("it ended before: {said:?}")));
    }
    let id = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("it runs");
    kill_process(id, Signal::TERM).expect("it is signalled");
    said.extend(lines);
    // Nobody answers, so by itself it would end with an error after a while.
    assert!(child.wait().expect("it ends").success(), "{said:?}");
}

fn assert_running(process: &Process) {
    assert!(process.pid().is_some(), "{}", process.log_tail());
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(done.success());
}
