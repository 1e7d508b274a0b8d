//! kubectl as people use it, without a flag that is there for us: what is made by arguments is sent as protobuf.

use std::path::{Path, PathBuf};
use std::process::Command;

use keelson::dev::{Scratch, Spec};

#[tokio::test(flavor = "multi_thread")]
async fn everyday_commands_work_by_every_kubectl() {
    let cluster = Scratch::start(Spec::default()).await.expect("the cluster becomes ready");
    for name in ["kubectl-1.32", "kubectl-1.36", "kubectl-1.37"] {
        let kubectl = Kubectl { program: tools().join(name), cluster: &cluster, namespace: name.replace('.', "-") };
        kubectl.everyday();
        kubectl.server_side_apply();
        kubectl.explains();
    }
}

fn tools() -> PathBuf {
    std::env::var_os("KEELSON_TOOLS").map(PathBuf::from).expect("KEELSON_TOOLS names the folder; `make test` sets it")
}

struct Kubectl<'a> {
    program: PathBuf,
    cluster: &'a Scratch,
    namespace: String,
}

impl Kubectl<'_> {
    /// Runs it; whether it succeeded, and what it printed.
    fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let variables = self.cluster.environment().into_iter().filter_map(|(name, value)| Some((name, value?)));
        // To name one for what is in none makes kubectl warn.
        let place = if arguments.get(1) == Some(&"namespace") { &[][..] } else { &["--namespace", &self.namespace] };
        let output = Command::new(&self.program)
            .args(place)
            .args(arguments)
            .envs(variables)
            .env("KUBECACHEDIR", self.cluster.layout().home().join("kubectl-cache"))
            .output()
            .unwrap_or_else(|error| panic!("{} does not run: {error}", self.program.display()));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), printed)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let (well, printed) = self.try_run(arguments);
        assert!(well, "{} {arguments:?}: {printed}", self.program.display());
        printed
    }

    /// Runs a command line that must print exactly this.
    #[track_caller]
    fn says(&self, line: &str, expected: &str) {
        let arguments: Vec<&str> = line.split(' ').collect();
        assert_eq!(self.run(&arguments).trim_end(), expected, "{} {line}", self.program.display());
    }

    fn everyday(&self) {
        let namespace = self.namespace.as_str();
        self.says(&format!("create namespace {namespace}"), &format!("namespace/{namespace} created"));
        let (well, twice) = self.try_run(&["create", "namespace", namespace]);
        assert!(!well && twice.contains("(AlreadyExists)") && twice.contains("already exists"), "{twice}");

        self.says("create configmap m --from-literal=a=1 --from-literal=b=größe", "configmap/m created");
        self.says("get configmap m -o jsonpath={.data.a}{.data.b}", "1größe");
        self.says("create secret generic s --from-literal=password=x", "secret/s created");
        self.says("get secret s -o jsonpath={.type}:{.data.password}", "Opaque:eA==");
        self.says("create serviceaccount robot", "serviceaccount/robot created");
        self.says("create deployment d --image=nginx:1 --replicas=2 --port=80", "deployment.apps/d created");
        self.says("create service clusterip c --tcp=80:8080", "service/c created");
        self.says("get service c -o jsonpath={.spec.ports[0].targetPort}", "8080");
        self.says("run p --image=nginx:1 --labels=app=p --port=80", "pod/p created");
        self.says("expose deployment d --port=80 --target-port=8080", "service/d exposed");
        self.says("get service d -o jsonpath={.spec.selector.app}", "d");

        self.says("scale deployment d --replicas=3", "deployment.apps/d scaled");
        self.says("scale deployment d --current-replicas=3 --replicas=1", "deployment.apps/d scaled");
        self.says("get deployment d -o jsonpath={.spec.replicas}", "1");
        self.says("annotate configmap m why=so", "configmap/m annotated");
        self.says("label configmap m is=here", "configmap/m labeled");
        self.says("get configmap m -o jsonpath={.metadata.annotations.why}{.metadata.labels.is}", "sohere");
        self.says("set image deployment d nginx=nginx:2", "deployment.apps/d image updated");
        let rolled = self.run(&["rollout", "status", "deployment", "d"]);
        assert!(rolled.contains("successfully rolled out"), "{rolled}");
        let history = self.run(&["rollout", "history", "deployment", "d"]);
        assert!(history.contains("REVISION"), "{history}");
        self.says("rollout undo deployment d", "deployment.apps/d rolled back");
        self.says("wait --for=condition=Available --timeout=60s deployment d", "deployment.apps/d condition met");
        let described = self.run(&["describe", "deployment", "d"]);
        assert!(described.contains("nginx:1") && described.contains("1 desired"), "{described}");
        let described = self.run(&["describe", "configmap", "m"]);
        assert!(described.contains("größe"), "{described}");
        self.a_dry_run();

        self.says("delete pod p --now", &format!("pod \"p\" deleted{}", self.place()));
        self.says("delete deployment d", &format!("deployment.apps \"d\" deleted{}", self.place()));
        self.says("delete service c d", &format!("service \"c\" deleted{0}\nservice \"d\" deleted{0}", self.place()));
        self.says("delete configmap m", &format!("configmap \"m\" deleted{}", self.place()));
        let (well, gone) = self.try_run(&["get", "configmap", "m"]);
        assert!(!well && gone.contains("configmaps \"m\" not found"), "{gone}");
        self.says(&format!("delete namespace {namespace}"), &format!("namespace \"{namespace}\" deleted"));
    }

    fn server_side_apply(&self) {
        let namespace = format!("{}-apply", self.namespace);
        self.says(&format!("create namespace {namespace}"), &format!("namespace/{namespace} created"));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("deployment.yaml");
        let write = |replicas: u32, image: &str, more: &str| std::fs::write(&file, manifest(replicas, image, more));
        let path = file.to_string_lossy();
        let kubectl = Kubectl { program: self.program.clone(), cluster: self.cluster, namespace };
        let apply =
            |arguments: &[&str]| kubectl.try_run(&[&["apply", "--server-side", "-f", &path], arguments].concat());

        write(1, "nginx:1", "- {name: extra, image: \"extra:1\"}").expect("is written");
        for _ in 0..2 {
            assert_eq!(apply(&[]), (true, "deployment.apps/d serverside-applied\n".to_owned()));
        }
        let shown = kubectl.run(&["get", "deployment", "d", "-o", "yaml", "--show-managed-fields"]);
        assert!(shown.contains("manager: kubectl\n") && shown.contains("k:{\"name\":\"extra\"}:"), "{shown}");

        kubectl.says("scale deployment d --replicas=2", "deployment.apps/d scaled");
        let (well, refused) = apply(&[]);
        assert!(!well && refused.contains("Apply failed with 1 conflict"), "{refused}");
        assert!(refused.contains(".spec.replicas") && refused.contains("--force-conflicts"), "{refused}");
        let (well, other) = apply(&["--field-manager=other"]);
        // `kubectl scale` does not say who it is; then the name of the program counts.
        let scaler = kubectl.program.file_name().unwrap_or_default();
        let conflict = format!("conflict with {scaler:?} with subresource \"scale\" using apps/v1: .spec.replicas");
        assert!(!well && other.contains(&conflict), "{other}");
        assert!(apply(&["--force-conflicts", "--dry-run=server"]).0);
        kubectl.says("get deployment d -o jsonpath={.spec.replicas}", "2");
        assert!(apply(&["--force-conflicts"]).0);
        kubectl.says("get deployment d -o jsonpath={.spec.replicas}", "1");
        write(1, "nginx:1", "").expect("is written");
        assert!(apply(&[]).0);
        kubectl.says("get deployment d -o jsonpath={.spec.template.spec.containers[*].name}", "main");
        kubectl.says("delete deployment d", &format!("deployment.apps \"d\" deleted{}", kubectl.place()));

        // From client-side apply to server-side, with other values than before.
        let (well, printed) = kubectl.try_run(&["apply", "-f", &path]);
        assert!(well && printed == "deployment.apps/d created\n", "{printed}");
        write(2, "nginx:2", "").expect("is written");
        for _ in 0..2 {
            assert_eq!(apply(&[]), (true, "deployment.apps/d serverside-applied\n".to_owned()));
        }
        kubectl.says("get deployment d -o jsonpath={.spec.template.spec.containers[0].image}", "nginx:2");
        write(3, "nginx:2", "").expect("is written");
        let (same, difference) = kubectl.try_run(&["diff", "-f", &path]);
        assert!(
            !same && difference.contains("-  replicas: 2") && difference.contains("+  replicas: 3"),
            "{difference}"
        );
        let shown = kubectl.run(&["get", "deployment", "d", "-o", "yaml", "--show-managed-fields"]);
        assert!(!shown.contains("manager: kubectl-client-side-apply"), "{shown}");
        kubectl.says(
            &format!("delete namespace {}", kubectl.namespace),
            &format!("namespace \"{}\" deleted", kubectl.namespace),
        );
    }

    fn explains(&self) {
        let containers = self.run(&["explain", "deployment.spec.template.spec.containers"]);
        for field in ["KIND:       Deployment", "image\t<string>", "livenessProbe\t<Probe>", "ports\t<[]ContainerPort>"]
        {
            assert!(containers.contains(field), "{field:?} is not in {containers}");
        }
        let port = self.run(&["explain", "pod.spec.containers.livenessProbe.httpGet.port"]);
        assert!(port.contains("<IntOrString>"), "{port}");
        let (well, unknown) = self.try_run(&["explain", "pod.spec.nonsense"]);
        assert!(!well && unknown.contains("field \"nonsense\" does not exist"), "{unknown}");
    }

    fn a_dry_run(&self) {
        self.says("create configmap dry --from-literal=a=1 --dry-run=server", "configmap/dry created (server dry run)");
        let (well, gone) = self.try_run(&["get", "configmap", "dry"]);
        assert!(!well && gone.contains("not found"), "{gone}");
    }

    /// Newer ones say from where something was deleted.
    fn place(&self) -> String {
        if is_before(&self.program, "1.34") { String::new() } else { format!(" from {} namespace", self.namespace) }
    }
}

fn manifest(replicas: u32, image: &str, more: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n  replicas: {replicas}\n  selector:\n    \
         matchLabels: {{app: d}}\n  template:\n    metadata:\n      labels: {{app: d}}\n    spec:\n      containers:\n      \
         - {{name: main, image: \"{image}\"}}\n      {more}\n"
    )
}

fn is_before(program: &Path, version: &str) -> bool {
    let minor = |text: &str| text.rsplit('.').next().and_then(|minor| minor.parse::<u32>().ok());
    minor(&program.to_string_lossy()) < minor(version)
}
