//! kubectl as people use it, without a flag that is there for us: what is made by arguments is sent as protobuf.

mod changes;
mod looks;
mod nodes;
mod pods;
mod running;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use keelson::dev::{Scratch, Spec};
use running::{PATIENCE, Running};

const LOOK_INTERVAL: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn everyday_commands_work_by_every_kubectl() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    for name in ["kubectl-1.32", "kubectl-1.35", "kubectl-1.37"] {
        let kubectl = Kubectl::new(tools().join(name), &cluster, name.replace('.', "-"));
        kubectl.everyday();
        kubectl.server_side_apply();
        kubectl.explains();
        kubectl.many_kinds();
        kubectl.access();
        kubectl.resizes();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_kinds_work_by_every_kubectl() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    for name in ["kubectl-1.32", "kubectl-1.35", "kubectl-1.37"] {
        let kubectl = Kubectl::new(tools().join(name), &cluster, name.replace('.', "-"));
        kubectl.custom_kinds();
    }
}

/// Every other command, each kubectl by another member and with a node of its own.
#[tokio::test(flavor = "multi_thread")]
async fn every_verb_works_by_every_kubectl() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    for (name, context, node) in [
        ("kubectl-1.32", "keelson", "node-1"),
        ("kubectl-1.35", "keelson-m2", "node-2"),
        ("kubectl-1.37", "keelson-m3", "node-3"),
    ] {
        let namespace = name.replace('.', "-");
        let kubectl = Kubectl { program: tools().join(name), cluster: &cluster, namespace, context };
        kubectl.run(&["create", "namespace", &kubectl.namespace]);
        kubectl.looks();
        kubectl.changes();
        kubectl.rolls_out();
        kubectl.pods();
        kubectl.nodes(node);
        kubectl.run(&["delete", "namespace", &kubectl.namespace]);
    }
}

fn tools() -> PathBuf {
    std::env::var_os("KEELSON_TOOLS").map(PathBuf::from).expect("KEELSON_TOOLS names the folder; `make test` sets it")
}

struct Kubectl<'a> {
    program: PathBuf,
    cluster: &'a Scratch,
    namespace: String,
    /// Which member it speaks to.
    context: &'static str,
}

impl<'a> Kubectl<'a> {
    fn new(program: PathBuf, cluster: &'a Scratch, namespace: String) -> Self {
        Self { program, cluster, namespace, context: "keelson" }
    }
}

impl Kubectl<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
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
    fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = self.command(arguments);
        let output =
            command.output().unwrap_or_else(|error| panic!("{} does not run: {error}", self.program.display()));
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &without_notes(&output.stderr);
        (output.status.success(), printed)
    }

    /// Runs it, again while the server says that it did nothing for want of a leader: one may be elected at any time on a busy machine.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (well, printed) = self.try_run(arguments);
            if well {
                return printed;
            }
            let again = printed.contains("(ServiceUnavailable)") && Instant::now() < deadline;
            assert!(again, "{} {arguments:?}: {printed}", self.program.display());
            pause();
        }
    }

    /// Runs a command line that must print exactly this.
    #[track_caller]
    fn says(&self, line: &str, expected: &str) {
        let arguments: Vec<&str> = line.split(' ').collect();
        assert_eq!(self.run(&arguments).trim_end(), expected, "{} {line}", self.program.display());
    }

    /// Runs a command line that must fail for a reason that is told in these words.
    #[track_caller]
    fn fails(&self, line: &str, why: &str) {
        let (well, told) = self.try_run(&line.split(' ').collect::<Vec<_>>());
        assert!(!well && told.contains(why), "{} {line} must tell {why:?}: {told}", self.program.display());
    }

    /// Runs a command line that must print all of these words, however wide its columns are.
    #[track_caller]
    fn shows(&self, line: &str, expected: &[&str]) {
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

    /// Runs a command line until what it prints is as wanted.
    #[track_caller]
    fn comes_to(&self, line: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.run(&line.split(' ').collect::<Vec<_>>());
            if wanted(&printed) {
                return;
            }
            assert!(Instant::now() < deadline, "{} {line} still prints {printed}", self.program.display());
            pause();
        }
    }

    /// Runs a command line until it prints exactly this.
    #[track_caller]
    fn comes_to_say(&self, line: &str, expected: &str) {
        self.comes_to(line, |printed| printed.trim_end() == expected);
    }

    /// Writes a file for it.
    fn write(&self, name: &str, text: &str) -> String {
        let file = self.cluster.layout().home().join(format!("{}-{name}", self.namespace));
        std::fs::write(&file, text).expect("is written");
        file.to_string_lossy().into_owned()
    }

    fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
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
        // What was never rolled out is no revision, to which one could go back.
        self.shows("rollout status deployment d --timeout=120s", &["successfully rolled out"]);
        self.says("set image deployment d nginx=nginx:2", "deployment.apps/d image updated");
        let rolled = self.run(&["rollout", "status", "deployment", "d"]);
        assert!(rolled.contains("successfully rolled out"), "{rolled}");
        let history = self.run(&["rollout", "history", "deployment", "d"]);
        assert!(history.contains("REVISION"), "{history}");
        self.says("rollout undo deployment d", "deployment.apps/d rolled back");
        self.says("wait --for=condition=Available --timeout=120s deployment d", "deployment.apps/d condition met");
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
        let kubectl = Kubectl::new(self.program.clone(), self.cluster, namespace);
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

    fn resizes(&self) {
        let namespace = format!("{}-resize", self.namespace);
        self.says(&format!("create namespace {namespace}"), &format!("namespace/{namespace} created"));
        let kubectl = Kubectl::new(self.program.clone(), self.cluster, namespace);
        let resources = r#"{"requests":{"cpu":"100m","memory":"64Mi"}}"#;
        let policy = r#"[{"resourceName":"memory","restartPolicy":"RestartContainer"}]"#;
        let container = format!(r#"{{"name":"p","image":"i:1","resources":{resources},"resizePolicy":{policy}}}"#);
        let spec = format!(r#"--overrides={{"spec":{{"containers":[{container}]}}}}"#);
        kubectl.run(&["run", "p", "--image=i:1", &spec]);
        kubectl.says("wait --for=condition=Ready --timeout=120s pod/p", "pod/p condition met");
        let resize = |requests: &str| {
            let patch =
                format!(r#"{{"spec":{{"containers":[{{"name":"p","resources":{{"requests":{requests}}}}}]}}}}"#);
            kubectl.run(&["patch", "pod", "p", "--subresource=resize", "--patch", &patch])
        };
        resize(r#"{"cpu":"200m"}"#);
        kubectl.says(
            "wait --for=jsonpath={.status.containerStatuses[0].resources.requests.cpu}=200m --timeout=120s pod/p",
            "pod/p condition met",
        );
        kubectl.says("get pod p -o jsonpath={.status.containerStatuses[0].restartCount}", "0");
        resize(r#"{"memory":"128Mi"}"#);
        kubectl.says(
            "wait --for=jsonpath={.status.containerStatuses[0].restartCount}=1 --timeout=120s pod/p",
            "pod/p condition met",
        );
        kubectl.says("wait --for=condition=Ready --timeout=120s pod/p", "pod/p condition met");
        kubectl.comes_to_say("get pod p -o jsonpath={.status.containerStatuses[0].allocatedResources.memory}", "128Mi");
        // More than the node has.
        resize(r#"{"cpu":"1000"}"#);
        kubectl.says("wait --for=condition=PodResizePending --timeout=120s pod/p", "pod/p condition met");
        kubectl.comes_to_say(&format!("get pod p -o {PENDING}"), "Infeasible");
        kubectl.says("get pod p -o jsonpath={.status.containerStatuses[0].resources.requests.cpu}", "200m");
        resize(r#"{"cpu":"100m"}"#);
        kubectl.says(
            "wait --for=jsonpath={.status.containerStatuses[0].resources.requests.cpu}=100m --timeout=120s pod/p",
            "pod/p condition met",
        );
        kubectl.comes_to_say(&format!("get pod p -o {PENDING}"), "");
        kubectl.says("get pod p --subresource=resize -o jsonpath={.spec.containers[0].resources.requests.cpu}", "100m");
        let removed = r#"{"spec":{"containers":[{"name":"p","resources":{"requests":{"cpu":null}}}]}}"#;
        let (well, told) = kubectl.try_run(&["patch", "pod", "p", "--subresource=resize", "--patch", removed]);
        assert!(!well && told.contains("resource requests cannot be removed"), "{told}");
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

    /// What is made by arguments of other kinds than the everyday ones.
    fn many_kinds(&self) {
        let namespace = format!("{}-kinds", self.namespace);
        self.says(&format!("create namespace {namespace}"), &format!("namespace/{namespace} created"));
        let kubectl = Kubectl::new(self.program.clone(), self.cluster, namespace);
        // Cluster-scoped objects of one kubectl must not meet those of another.
        let own = kubectl.namespace.as_str();
        kubectl.says("create job j --image=busybox:1 -- true", "job.batch/j created");
        kubectl.run(&["create", "cronjob", "cj", "--image=busybox:1", "--schedule=*/5 * * * *", "--", "true"]);
        kubectl.says("create job from --from=cronjob/cj", "job.batch/from created");
        kubectl.says(
            "create ingress i --class=web --rule=a.example/x*=s:80 --rule=b.example/=s:http,tls=t",
            "ingress.networking.k8s.io/i created",
        );
        kubectl.says("create quota q --hard=pods=3,requests.cpu=1", "resourcequota/q created");
        kubectl.says(
            "create poddisruptionbudget b --selector=app=x --min-available=1",
            "poddisruptionbudget.policy/b created",
        );
        kubectl.says(
            &format!("create priorityclass {own} --value=7"),
            &format!("priorityclass.scheduling.k8s.io/{own} created"),
        );
        kubectl.says(
            "create role r --verb=get,list --resource=pods,deployments.apps",
            "role.rbac.authorization.k8s.io/r created",
        );
        kubectl.says(
            "create rolebinding rb --role=r --user=jane --serviceaccount=default:robot",
            "rolebinding.rbac.authorization.k8s.io/rb created",
        );
        kubectl.says(
            &format!("create clusterrole {own} --verb=get --resource=nodes"),
            &format!("clusterrole.rbac.authorization.k8s.io/{own} created"),
        );
        kubectl.says(
            &format!("create clusterrolebinding {own} --clusterrole={own} --user=jane"),
            &format!("clusterrolebinding.rbac.authorization.k8s.io/{own} created"),
        );
        kubectl.says("create deployment d --image=nginx:1", "deployment.apps/d created");
        // The same percentage, by the flag of the time.
        let cpu = if is_before(&self.program, "1.34") { "--cpu-percent=70" } else { "--cpu=70%" };
        kubectl.run(&["autoscale", "deployment", "d", "--max=3", cpu]);

        for (what, expected) in [
            ("get job j", vec!["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE", "j", "Running", "0/1"]),
            ("get cronjob cj", vec!["SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "*/5", "<none>", "False"]),
            ("get ingress i", vec!["CLASS", "HOSTS", "web", "a.example,b.example", "80,", "443"]),
            ("get quota q", vec!["NAME", "REQUEST", "LIMIT", "q"]),
            ("get pdb b", vec!["MIN", "ALLOWED", "b", "1", "N/A", "0"]),
            (
                &format!("get priorityclass {own}"),
                vec!["VALUE", "GLOBAL-DEFAULT", "7", "false", "PreemptLowerPriority"],
            ),
            ("get role r", vec!["NAME", "CREATED", "r"]),
            ("get rolebinding rb -o wide", vec!["Role/r", "jane", "default/robot"]),
            ("get hpa d", vec!["REFERENCE", "TARGETS", "Deployment/d", "<unknown>/70%", "3"]),
            ("get horizontalpodautoscalers.v1.autoscaling d", vec!["REFERENCE", "Deployment/d"]),
            (
                "get all",
                vec!["job.batch/j", "cronjob.batch/cj", "horizontalpodautoscaler.autoscaling/d", "deployment.apps/d"],
            ),
        ] {
            let printed = kubectl.run(&what.split(' ').collect::<Vec<_>>());
            for word in expected {
                assert!(
                    printed.split_whitespace().any(|printed| printed == word),
                    "{what}: {word:?} is not in {printed}"
                );
            }
        }
        for what in ["job/j", "cronjob/cj", "ingress/i", "quota/q", "pdb/b", "role/r", "rolebinding/rb", "hpa/d"] {
            let described = kubectl.run(&["describe", what]);
            let (_, name) = what.split_once('/').expect("a kind and a name");
            assert!(described.contains("Name:") && described.contains(name), "{what}: {described}");
        }
        for gone in [format!("priorityclass/{own}"), format!("clusterrole/{own}"), format!("clusterrolebinding/{own}")]
        {
            kubectl.run(&["delete", &gone]);
        }
        kubectl.says(&format!("delete namespace {own}"), &format!("namespace \"{own}\" deleted"));
    }

    /// A kind that a user defines, from its definition to its end.
    fn custom_kinds(&self) {
        let namespace = format!("{}-custom", self.namespace);
        self.says(&format!("create namespace {namespace}"), &format!("namespace/{namespace} created"));
        let kubectl = Kubectl::new(self.program.clone(), self.cluster, namespace);
        // Each kubectl has a kind of its own, since they share a cluster.
        let group = format!("{}.example.com", self.namespace);
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).expect("is written");
            file.to_string_lossy().into_owned()
        };
        let definition = write("definition.yaml", CRON_TABS.replace("GROUP", &group));
        let object = write("object.yaml", CRON_TAB.replace("GROUP", &group));
        let crd = format!("customresourcedefinition.apiextensions.k8s.io/crontabs.{group}");
        let own = format!("crontab.{group}/a");

        kubectl.says(&format!("apply -f {definition}"), &format!("{crd} created"));
        kubectl
            .says(&format!("wait --for=condition=Established --timeout=120s {crd}"), &format!("{crd} condition met"));
        kubectl.says(&format!("apply -f {object}"), &format!("{own} created"));
        kubectl.says(&format!("apply -f {object}"), &format!("{own} unchanged"));
        kubectl.says(&format!("apply -f {definition}"), &format!("{crd} unchanged"));
        let (well, refused) =
            kubectl.try_run(&["patch", "ct", "a", "--type=merge", "-p", "{\"spec\":{\"replicas\":-1}}"]);
        assert!(
            !well && refused.contains("spec.replicas") && refused.contains("should be greater than or equal to 0"),
            "{refused}"
        );
        kubectl.says("scale ct a --replicas=3", &format!("{own} scaled"));
        kubectl.says("get crontab a -o jsonpath={.spec.replicas}{.spec.image}", "3busybox");
        for (what, expected) in [
            ("get ct", vec!["NAME", "SCHEDULE", "REPLICAS", "AGE", "a", "5", "3"]),
            ("get crontabs a -o wide", vec!["IMAGE", "busybox"]),
            ("get all", vec![own.as_str()]),
        ] {
            let printed = kubectl.run(&what.split(' ').collect::<Vec<_>>());
            for word in expected {
                assert!(printed.split_whitespace().any(|found| found == word), "{what}: {word:?} is not in {printed}");
            }
        }
        let named = kubectl.run(&["explain", "crontabs", "--recursive"]);
        assert!(named.contains("KIND:       CronTab") && named.contains("schedule\t<string>"), "{named}");
        let field = kubectl.run(&["explain", "crontab.spec.image"]);
        assert!(field.contains("What is run.") && field.contains("<string>"), "{field}");
        let (well, applied) = kubectl.try_run(&["apply", "--server-side", "--force-conflicts", "-f", &object]);
        assert!(well && applied.contains(&format!("{own} serverside-applied")), "{applied}");
        let described = kubectl.run(&["describe", "ct", "a"]);
        assert!(described.contains("CronTab") && described.contains("Schedule:"), "{described}");
        kubectl.says("delete ct a", &format!("crontab.{group} \"a\" deleted{}", kubectl.place()));

        kubectl.says(&format!("apply -f {object}"), &format!("{own} created"));
        kubectl.custom_owners(&group, write);
        kubectl.says(&format!("apply -f {object}"), &format!("{own} created"));
        kubectl.run(&["delete", "--timeout=120s", &crd]);
        let (well, unknown) = kubectl.try_run(&["get", &format!("crontabs.{group}")]);
        // By what it remembers of discovery, or by asking again.
        let words = ["the server doesn't have a resource type", "the server could not find the requested resource"];
        assert!(!well && words.iter().any(|words| unknown.contains(words)), "{unknown}");
        let namespace = &kubectl.namespace;
        kubectl.says(&format!("delete namespace {namespace}"), &format!("namespace \"{namespace}\" deleted"));
    }

    /// A custom object owns a ConfigMap, which owns a custom object: all go with the first one, which waits for the others.
    fn custom_owners(&self, group: &str, write: impl Fn(&str, String) -> String) {
        let owned = |file: &str, manifest: &str, name: &str, owner: &str| {
            let field = |path: &str| self.run(&["get", owner, "-o", &format!("jsonpath={{{path}}}")]);
            let owners = format!(
                "metadata: {{name: {name}, ownerReferences: [{{apiVersion: {}, kind: {}, name: {}, uid: {}, \
                 blockOwnerDeletion: true}}]}}",
                field(".apiVersion"),
                field(".kind"),
                field(".metadata.name"),
                field(".metadata.uid"),
            );
            let file = write(file, manifest.replace("metadata: {name: a}", &owners));
            self.run(&["apply", "-f", &file]);
        };
        owned(
            "map.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
            "owned",
            &format!("crontabs.{group}/a"),
        );
        owned("below.yaml", &CRON_TAB.replace("GROUP", group), "below", "configmap/owned");
        self.run(&["delete", "crontab", "a", "--cascade=foreground", "--timeout=120s"]);
        for gone in ["crontab/a", "configmap/owned", "crontab/below"] {
            let (well, told) = self.try_run(&["get", gone]);
            assert!(!well && told.contains("not found"), "{gone} went before its owner: {told}");
        }
        // Without anybody who waits, what is owned goes a moment later.
        self.run(&["apply", "-f", &write("again.yaml", CRON_TAB.replace("GROUP", group))]);
        owned(
            "map.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
            "owned",
            &format!("crontabs.{group}/a"),
        );
        self.run(&["delete", "crontab", "a"]);
        self.run(&["wait", "--for=delete", "configmap/owned", "--timeout=120s"]);
    }

    fn access(&self) {
        let namespace = format!("{}-access", self.namespace);
        self.says(&format!("create namespace {namespace}"), &format!("namespace/{namespace} created"));
        let kubectl = Kubectl::new(self.program.clone(), self.cluster, namespace);
        kubectl.says("create role r --verb=get,list --resource=pods", "role.rbac.authorization.k8s.io/r created");
        kubectl.says("create rolebinding rb --role=r --user=jane", "rolebinding.rbac.authorization.k8s.io/rb created");
        kubectl.says("auth can-i delete pods", "yes");
        kubectl.says("auth can-i list pods --as=jane", "yes");
        let (well, answer) = kubectl.try_run(&["auth", "can-i", "delete", "pods", "--as=jane"]);
        assert!(!well && answer.trim_end() == "no", "{answer}");
        let (well, answer) = kubectl.try_run(&["auth", "can-i", "list", "pods", "--as=jane", "-n", "default"]);
        assert!(!well && answer.trim_end() == "no", "{answer}");
        let list = kubectl.run(&["auth", "can-i", "--list", "--as=jane"]);
        assert!(list.contains("pods") && list.contains("[get list]") && list.contains("/version"), "{list}");
        let list = kubectl.run(&["auth", "can-i", "--list"]);
        assert!(list.contains("*.*"), "{list}");
        let me = kubectl.run(&["auth", "whoami"]);
        assert!(me.contains("system:masters") && me.contains("system:authenticated"), "{me}");
        let me = kubectl.run(&["auth", "whoami", "--as=jane"]);
        assert!(me.contains("jane"), "{me}");
        assert_eq!(
            kubectl.run(&["get", "pods", "--as=jane"]).trim_end(),
            format!("No resources found in {} namespace.", kubectl.namespace)
        );
        let (well, refused) = kubectl.try_run(&["get", "secrets", "--as=jane"]);
        let words =
            "secrets is forbidden: User \"jane\" cannot list resource \"secrets\" in API group \"\" in the namespace";
        assert!(!well && refused.contains("(Forbidden)") && refused.contains(words), "{refused}");
        let (well, refused) = kubectl.try_run(&["create", "configmap", "m", "--as=jane"]);
        assert!(!well && refused.contains("cannot create resource \"configmaps\""), "{refused}");
        kubectl.says(
            &format!("delete namespace {}", kubectl.namespace),
            &format!("namespace \"{}\" deleted", kubectl.namespace),
        );
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

/// What kubectl's own libraries note of their work, such as that they have waited, and no command prints.
fn without_notes(stderr: &[u8]) -> String {
    let is_note = |line: &str| {
        line.strip_prefix('I').is_some_and(|rest| rest.len() > 5 && rest.as_bytes()[..4].iter().all(u8::is_ascii_digit))
    };
    String::from_utf8_lossy(stderr).split_inclusive('\n').filter(|line| !is_note(line)).collect()
}

/// Between two looks: each is a process of its own, and what is waited for needs the processors, too.
#[expect(clippy::disallowed_methods, reason = "the test's own thread runs no tasks, and waits on a condition")]
fn pause() {
    std::thread::sleep(LOOK_INTERVAL);
}

/// Why a resize waits.
const PENDING: &str = "jsonpath={.status.conditions[?(@.type=='PodResizePending')].reason}";

const CRON_TABS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: crontabs, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Schedule, type: string, jsonPath: .spec.schedule}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Image, type: string, jsonPath: .spec.image, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              schedule: {type: string}
              replicas: {type: integer, minimum: 0}
              image: {type: string, default: busybox, description: What is run.}
          status:
            type: object
            properties:
              replicas: {type: integer}
"#;

const CRON_TAB: &str = r#"
apiVersion: GROUP/v1
kind: CronTab
metadata: {name: a}
spec: {schedule: "5", replicas: 1}
"#;

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
