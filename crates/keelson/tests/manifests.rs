//! Real manifests, as they are, by real clients: applied, applied again, edited and applied, removed. Each client works in a
//! namespace of its own, which is deleted at the end with everything in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use keelson::dev::{Scratch, Spec, ready, scratch};
use keelson_client::{Client, Event, ListOptions, WatchOptions};
use tokio::sync::oneshot::Sender;

const WITHIN: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The objects that a file makes, as the clients name them, and how many pods run in the end.
const FILES: [(&str, &[&str], usize); 5] = [
    ("nginx-pod.yaml", &["pod/nginx"], 1),
    // The same object again, in JSON.
    ("nginx-pod.json", &[], 1),
    ("env-pod.yaml", &["configmap/edu-msa-configmap", "secret/edu-msa-secret", "pod/edu-msa-pod"], 2),
    ("msa-board.yaml", &["deployment.apps/edu-msa-board", "service/edu-msa-board"], 3),
    ("springboot.yaml", &["deployment.apps/springboot-kotlin-app", "service/springboot-kotlin-service"], 5),
];

#[tokio::test(flavor = "multi_thread")]
async fn manifests_work_as_they_are_by_every_client() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    let api = ready::patient_client(&cluster).expect("a client");
    let tools = tools();
    let clients = [
        ("kubectl-1-32", tools.join("kubectl-1.32")),
        ("kubectl-1-35", tools.join("kubectl-1.35")),
        ("kubectl-1-37", tools.join("kubectl-1.37")),
        ("keelctl", scratch::program("keelctl").expect("keelctl is built")),
    ];
    for (name, program) in clients {
        let client = Tool { program, cluster: &cluster, namespace: format!("by-{name}") };
        client.all_manifests(&api).await;
    }
}

struct Tool<'a> {
    program: PathBuf,
    cluster: &'a Scratch,
    namespace: String,
}

impl Tool<'_> {
    /// Runs it and returns what it printed; panics with its errors when it fails.
    fn run(&self, arguments: &[&str]) -> String {
        let cache = self.cluster.layout().home().join("kubectl-cache");
        let variables = self.cluster.environment().into_iter().filter_map(|(name, value)| Some((name, value?)));
        let output = Command::new(&self.program)
            .args(arguments)
            .envs(variables)
            .env("KUBECACHEDIR", cache)
            .output()
            .unwrap_or_else(|error| panic!("{} does not run: {error}", self.program.display()));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{} {arguments:?} failed\n{printed}{errors}", self.program.display());
        assert!(!errors.contains("Warning"), "{arguments:?} warned: {errors}");
        printed
    }

    fn apply(&self, file: &Path) -> String {
        self.run(&["apply", "-n", &self.namespace, "-f", &file.to_string_lossy()])
    }

    async fn all_manifests(&self, api: &Client) {
        let namespace = self.namespace.as_str();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let own = folder.path().join("namespace.yaml");
        std::fs::write(&own, format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n"))
            .expect("written");
        assert_eq!(self.run(&["apply", "-f", &own.to_string_lossy()]), format!("namespace/{namespace} created\n"));
        for (file, objects, pods) in FILES {
            let path = manifests().join(file);
            let lines = |outcome: &str| objects.iter().map(|name| format!("{name} {outcome}\n")).collect::<String>();
            let created = self.apply(&path);
            if !objects.is_empty() {
                assert_eq!(created, lines("created"), "{file} the first time");
                assert_eq!(self.apply(&path), lines("unchanged"), "{file} the second time");
            }
            until(&format!("{pods} pods run after {file}"), async || running(api, namespace).await == pods).await;
        }
        self.services_are_right(api).await;
        self.an_edit_is_rolled_out(api, folder.path()).await;
        self.run(&["delete", "namespace", namespace]);
        until("the namespace is gone", async || {
            api.get_opt::<Namespace>("", namespace).await.is_ok_and(|namespace| namespace.is_none())
        })
        .await;
        let left = api.list::<Pod>(namespace, &ListOptions::default()).await.expect("a list").items.len();
        assert_eq!(left, 0, "pods are left in {namespace}");
    }

    async fn services_are_right(&self, api: &Client) {
        let get = async |name: &str| {
            api.get::<Service>(&self.namespace, name).await.expect("the service").spec.expect("spec")
        };
        let board = get("edu-msa-board").await;
        assert_eq!(board.type_.as_deref(), Some("NodePort"));
        assert_eq!(board.ports.expect("ports")[0].node_port, Some(30201));
        let springboot = get("springboot-kotlin-service").await;
        assert_eq!(springboot.type_.as_deref(), Some("LoadBalancer"));
        let node_port = springboot.ports.expect("ports")[0].node_port.expect("a node port is allocated");
        assert!((30_000..=32_767).contains(&node_port) && node_port != 30201, "{node_port}");
        assert_ne!(board.cluster_ip, springboot.cluster_ip);
        for (service, endpoints, port) in [("edu-msa-board", 1, 28082), ("springboot-kotlin-service", 2, 8080)] {
            until(&format!("{service} has {endpoints} ready endpoints"), async || {
                let selector = ListOptions::default().labels(format!("kubernetes.io/service-name={service}"));
                let Ok(slices) = api.list::<EndpointSlice>(&self.namespace, &selector).await else { return false };
                let ready = slices.items.iter().flat_map(|slice| slice.endpoints.iter().flatten()).filter(|endpoint| {
                    endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true))
                });
                let ports_match = slices
                    .items
                    .iter()
                    .all(|slice| slice.ports.iter().flatten().map(|found| found.port).eq([Some(port)]));
                ready.count() == endpoints && ports_match
            })
            .await;
        }
    }

    /// Two replicas and 25 % unavailable mean that two pods are ready at every moment.
    async fn an_edit_is_rolled_out(&self, api: &Client, folder: &Path) {
        let text = std::fs::read_to_string(manifests().join("springboot.yaml")).expect("the manifest");
        let edited = folder.join("edited.yaml");
        std::fs::write(&edited, text.replace("springboot-kotlin-app:latest", "springboot-kotlin-app:2.0"))
            .expect("written");
        let (begun, begins) = tokio::sync::oneshot::channel();
        let watched = tokio::spawn(fewest_ready(api.clone(), self.namespace.clone(), begun));
        tokio::time::timeout(WITHIN, begins).await.expect("the pods are listed").expect("no panic");
        let printed = self.apply(&edited);
        assert_eq!(
            printed,
            "deployment.apps/springboot-kotlin-app configured\nservice/springboot-kotlin-service unchanged\n"
        );
        let status = self.run(&["rollout", "status", "-n", &self.namespace, "deployment/springboot-kotlin-app"]);
        assert!(status.contains("successfully rolled out"), "{status}");
        let (fewest, looks) = tokio::time::timeout(WITHIN, watched).await.expect("the new pods run").expect("no panic");
        assert!(looks > 3, "only {looks} states of the pods were seen");
        assert!(fewest >= 2, "only {fewest} pods were ready during the rollout");
    }
}

/// Watches the pods until both of the new image are ready and no old one is left; the fewest that were ready at once, and
/// how many states of them were seen. Tells when it has seen what there is.
async fn fewest_ready(api: Client, namespace: String, begun: Sender<()>) -> (usize, usize) {
    let options = WatchOptions::default().labels("app=springboot-kotlin-app");
    let mut changes = api.watch::<Pod>(&namespace, &options).await.expect("a watch");
    let (mut pods, mut fewest, mut looks, mut begun) = (BTreeMap::new(), usize::MAX, 0, Some(begun));
    loop {
        let batch = changes.next().await.expect("changes").expect("the watch goes on");
        // However many come at once, each is a state of its own.
        for event in batch.events {
            let name = event.object().metadata.name.clone();
            match event {
                Event::Added(pod) | Event::Modified(pod) => drop(pods.insert(name, pod)),
                Event::Deleted(_) => drop(pods.remove(&name)),
            }
            if begun.is_some() {
                continue;
            }
            let ready: Vec<&Pod> = pods.values().filter(|pod| is_ready(pod)).collect();
            fewest = fewest.min(ready.len());
            looks += 1;
            let new = ready.iter().filter(|pod| image(pod) == Some("springboot-kotlin-app:2.0")).count();
            if new == 2 && pods.len() == 2 {
                return (fewest, looks);
            }
        }
        if batch.initial_events_end
            && let Some(begun) = begun.take()
        {
            begun.send(()).expect("the test goes on");
        }
    }
}

fn image(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.containers.first()?.image.as_deref()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

async fn running(api: &Client, namespace: &str) -> usize {
    let Ok(pods) = api.list::<Pod>(namespace, &ListOptions::default()).await else { return usize::MAX };
    let phase = |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    pods.items.iter().filter(phase).count()
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests")
}

/// Where `scripts/install test` puts the clients.
fn tools() -> PathBuf {
    std::env::var_os("KEELSON_TOOLS").map(PathBuf::from).expect("KEELSON_TOOLS names the folder; `make test` sets it")
}
