//! Sessions with pods: commands, logs, forwarded ports.

use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::{ContainerPort, EnvVar, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess, LogParams, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_pod_running;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::cluster::{Cluster, causes, container, in_time, map, named, refused, until_it};

/// More than any window or buffer on the way.
const MUCH: usize = 1 << 20;

pub fn pod(annotations: &[(&str, &str)]) -> Pod {
    let mut container = container("c");
    container.ports = Some(vec![ContainerPort { container_port: 8080, ..ContainerPort::default() }]);
    container.env =
        Some(vec![EnvVar { name: "COLOR".to_owned(), value: Some("blue".to_owned()), ..EnvVar::default() }]);
    let mut metadata = named("p");
    metadata.annotations = Some(map(annotations));
    let spec = PodSpec { containers: vec![container], restart_policy: Some("Never".to_owned()), ..PodSpec::default() };
    Pod { metadata, spec: Some(spec), ..Pod::default() }
}

async fn with_pod(namespace: &str) -> Cluster {
    let cluster = Cluster::with_namespace(namespace).await;
    cluster.pods(0).create(&PostParams::default(), &pod(&[])).await.expect("is made");
    until_it("the pod runs", cluster.pods(1), "p", is_pod_running()).await;
    cluster
}

/// What a command printed to both its outputs, and how it ended.
async fn outcome(mut process: AttachedProcess) -> (String, String, Status) {
    let (mut stdout, mut stderr) = (process.stdout().expect("is asked for"), process.stderr().expect("is asked for"));
    let status = process.take_status().expect("is taken once");
    let (mut printed, mut told) = (String::new(), String::new());
    in_time("the command ends", async {
        let both = futures::future::join(stdout.read_to_string(&mut printed), stderr.read_to_string(&mut told));
        let (printed, told) = both.await;
        printed.and(told).expect("is text");
    })
    .await;
    let status = in_time("the outcome is told", status).await.expect("an outcome");
    (printed, told, status)
}

#[tokio::test]
async fn commands_are_executed() {
    let cluster = with_pod("commands-are-executed").await;
    for member in 0..3 {
        let command = ["sh", "-c", "echo $COLOR; hostname"];
        let process = cluster.pods(member).exec("p", command, &AttachParams::default()).await.expect("begins");
        let (printed, told, status) = outcome(process).await;
        assert_eq!((printed.as_str(), told.as_str(), status.status.as_deref()), ("blue\np\n", "", Some("Success")));
    }
    let command = ["sh", "-c", "echo out; echo err >&2; exit 3"];
    let process = cluster.pods(1).exec("p", command, &AttachParams::default()).await.expect("begins");
    let (printed, told, status) = outcome(process).await;
    assert_eq!(
        (printed.as_str(), told.as_str(), status.reason.as_deref()),
        ("out\n", "err\n", Some("NonZeroExitCode"))
    );
    let causes = status.details.and_then(|details| details.causes).expect("causes");
    assert_eq!(causes[0].message.as_deref(), Some("3"));

    let none = AttachParams::default().container("none");
    let refused = cluster.pods(2).exec("p", ["true"], &none).await.err().expect("there is no such container");
    assert!(refused.to_string().contains("400"), "{refused}");
}

#[tokio::test]
async fn commands_are_spoken_to() {
    let cluster = with_pod("commands-are-spoken-to").await;
    let with_input = AttachParams::default().stdin(true).stderr(false);
    let mut process = cluster.pods(2).exec("p", ["wc", "-c"], &with_input).await.expect("begins");
    let mut stdin = process.stdin().expect("is asked for");
    in_time("much is sent", async {
        stdin.write_all(&vec![b'x'; MUCH]).await.expect("is read");
        // The end of input reaches the command, by version 5 of the protocol.
        stdin.shutdown().await.expect("ends");
    })
    .await;
    drop(stdin);
    let mut counted = String::new();
    let mut stdout = process.stdout().expect("is asked for");
    in_time("the command ends", stdout.read_to_string(&mut counted)).await.expect("is text");
    assert_eq!(counted.trim(), MUCH.to_string());

    let mut terminal = cluster.pods(0).exec("p", ["sh"], &AttachParams::interactive_tty()).await.expect("begins");
    let (mut stdin, mut stdout) = (terminal.stdin().expect("a terminal"), terminal.stdout().expect("a terminal"));
    stdin.write_all(b"echo $((6 * 7)) $COLOR; exit\n").await.expect("is read");
    let mut shown = String::new();
    in_time("the shell ends", stdout.read_to_string(&mut shown)).await.expect("is text");
    assert!(shown.contains("blue\r\n"), "{shown:?}");
}

#[tokio::test]
async fn logs_are_read_and_followed() {
    let cluster = Cluster::with_namespace("logs-are-read").await;
    let ends = pod(&[("simulation.keelson.dev/exit-after", "300ms")]);
    cluster.pods(0).create(&PostParams::default(), &ends).await.expect("is made");
    let begun = |found: Option<&Pod>| {
        let phase = found.and_then(|pod| pod.status.as_ref()).and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Running" | "Succeeded"))
    };
    until_it("the pod has begun", cluster.pods(1), "p", begun).await;
    let follow = LogParams { follow: true, ..LogParams::default() };
    let lines = cluster.pods(2).log_stream("p", &follow).await.expect("a log").lines();
    let followed: Vec<_> = in_time("the log ends", lines.map(|line| line.expect("text")).collect()).await;
    assert!(followed.last().is_some_and(|line| line.ends_with("ended with code 0")), "{followed:?}");
    let tail = LogParams { tail_lines: Some(followed.len() as i64), ..LogParams::default() };
    let read = cluster.pods(0).logs("p", &tail).await.expect("a log");
    assert_eq!(read.lines().collect::<Vec<_>>(), followed);
}

#[tokio::test]
async fn ports_are_forwarded() {
    let cluster = with_pod("ports-are-forwarded").await;
    for member in 0..3 {
        let mut forwarder = cluster.pods(member).portforward("p", &[8080]).await.expect("is forwarded");
        let mut stream = forwarder.take_stream(8080).expect("is taken once");
        let sent = vec![b'x'; MUCH];
        let head = format!("POST / HTTP/1.1\r\nHost: p\r\nConnection: close\r\nContent-Length: {MUCH}\r\n\r\n");
        let (mut reading, mut writing) = tokio::io::split(&mut stream);
        let mut answer = Vec::new();
        in_time("the answer", async {
            let write = async {
                writing.write_all(head.as_bytes()).await?;
                writing.write_all(&sent).await
            };
            let (written, read) = futures::future::join(write, reading.read_to_end(&mut answer)).await;
            written.and(read.map(|_| ())).expect("is forwarded");
        })
        .await;
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(&sent), "{} bytes", answer.len());
        forwarder.abort();
    }
}

#[tokio::test]
async fn pods_are_debugged_and_resized() {
    let cluster = with_pod("pods-are-debugged").await;
    let debugger = json!({"spec": {"ephemeralContainers": [{"name": "debugger", "image": "busybox:1"}]}});
    let params = PatchParams::default();
    cluster.pods(0).patch_ephemeral_containers("p", &params, &Patch::Strategic(debugger)).await.expect("is added");
    let runs = |found: Option<&Pod>| {
        let statuses =
            found.and_then(|pod| pod.status.as_ref()).and_then(|status| status.ephemeral_container_statuses.as_ref());
        let mut states = statuses.into_iter().flatten().filter_map(|status| status.state.as_ref());
        states.any(|state| state.running.is_some())
    };
    until_it("the debugger runs", cluster.pods(1), "p", runs).await;
    let inside = AttachParams::default().container("debugger");
    let process = cluster.pods(2).exec("p", ["hostname"], &inside).await.expect("begins");
    assert_eq!(outcome(process).await.0, "p\n");

    let resources = |cpu: &str| json!({"limits": {"cpu": "1"}, "requests": {"cpu": cpu, "memory": "64Mi"}});
    let resize = |container: &str, cpu: &str| {
        Patch::Strategic(json!({"spec": {"containers": [{"name": container, "resources": resources(cpu)}]}}))
    };
    let best_effort = cluster.pods(1).patch_resize("p", &params, &resize("c", "100m")).await;
    assert_eq!(causes(&refused(best_effort)), ["spec"], "the class of its quality of service would change");

    let mut sized = pod(&[]);
    sized.metadata = named("sized");
    let containers = &mut sized.spec.as_mut().expect("a specification").containers;
    containers[0].resources = serde_json::from_value(resources("100m")).expect("resources");
    cluster.pods(0).create(&PostParams::default(), &sized).await.expect("is made");
    until_it("the pod runs", cluster.pods(1), "sized", is_pod_running()).await;
    let resized = cluster.pods(2).patch_resize("sized", &params, &resize("c", "200m")).await.expect("is resized");
    assert_eq!(resized.metadata.generation, Some(2));
    let has = |found: Option<&Pod>| {
        let statuses = found.and_then(|pod| pod.status.as_ref()).and_then(|status| status.container_statuses.as_ref());
        let mut amounts =
            statuses.into_iter().flatten().filter_map(|status| status.resources.as_ref()?.requests.as_ref());
        amounts.any(|requests| requests.get("cpu").is_some_and(|cpu| cpu.0 == "200m"))
    };
    until_it("its container has what it asks for", cluster.pods(0), "sized", has).await;
}
