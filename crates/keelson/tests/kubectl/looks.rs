//! Commands that only look: versions, discovery, lists, watches, what kubectl passes through, what a shell completes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::Kubectl;
use crate::running::{http, lines, wait_in};

impl Kubectl<'_> {
    pub fn looks(&self) {
        self.knows_the_cluster();
        self.lists();
        self.watches();
        self.passes_through();
        self.completes();
    }

    fn knows_the_cluster(&self) {
        self.shows("version", &["Client Version: v1.", "Server Version: v1.36."]);
        self.shows("version -o json", &["\"serverVersion\"", "\"minor\": \"36\"", "keelson"]);
        let versions = self.run(&["api-versions"]);
        for version in ["v1", "apps/v1", "autoscaling/v1", "autoscaling/v2", "policy/v1", "events.k8s.io/v1"] {
            assert!(versions.lines().any(|line| line == version), "{version}: {versions}");
        }
        let resources = self.run(&["api-resources", "--api-group=apps", "--verbs=list,watch", "-o", "wide"]);
        let deployments = resources.lines().find(|line| line.starts_with("deployments")).expect("is listed");
        let words: Vec<_> = deployments.split_whitespace().collect();
        let verbs = "create,delete,deletecollection,get,list,patch,update,watch";
        assert_eq!(words, ["deployments", "deploy", "apps/v1", "true", "Deployment", verbs, "all"]);
        let global = self.run(&["api-resources", "--namespaced=false", "-o", "name"]);
        assert!(global.lines().any(|line| line == "nodes") && !global.lines().any(|line| line == "pods"), "{global}");

        self.shows("cluster-info", &["Kubernetes control plane", "is running at https://127.0.0.1:"]);
        // What says of itself that it is the cluster's own.
        let own = self.namespace.as_str();
        self.run(&["create", "service", "clusterip", own, "--tcp=80:80", "--namespace=kube-system"]);
        self.run(&["label", "service", own, "kubernetes.io/cluster-service=true", "--namespace=kube-system"]);
        let address = format!("/api/v1/namespaces/kube-system/services/{own}:80-80/proxy");
        self.shows("cluster-info --namespace=kube-system", &[&address]);
        self.run(&["delete", "service", own, "--namespace=kube-system"]);
        let dump = self.cluster.layout().home().join(format!("{own}-dump"));
        self.run(&["cluster-info", "dump", "--output-directory", &dump.to_string_lossy(), "--namespaces", own]);
        let nodes = std::fs::read_to_string(dump.join("nodes.json")).expect("is written");
        assert!(nodes.contains("node-1"), "{nodes}");
    }

    fn lists(&self) {
        for (name, order) in [("x", "2"), ("y", "3"), ("z", "1")] {
            self.run(&["create", "configmap", name, &format!("--from-literal=order={order}")]);
        }
        // Every namespace has a ConfigMap besides, that nobody asked for.
        self.run(&["label", "configmap", "x", "y", "z", "own=yes"]);
        self.run(&["label", "configmap", "x", "z", "half=yes"]);
        let names = |line: &str| -> Vec<String> {
            let printed = self.run(&line.split(' ').collect::<Vec<_>>());
            printed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
        };
        assert_eq!(names("get configmaps -l own --sort-by=.data.order --no-headers"), ["z", "x", "y"]);
        assert_eq!(names("get configmaps -l own --sort-by={.metadata.name}"), ["NAME", "x", "y", "z"]);
        assert_eq!(names("get configmaps -l own --chunk-size=1 --no-headers"), ["x", "y", "z"], "in pages");
        assert_eq!(names("get configmaps -l half=yes -o name"), ["configmap/x", "configmap/z"]);
        assert_eq!(names("get configmaps -l own --field-selector=metadata.name!=x --no-headers"), ["y", "z"]);
        self.says("get configmap y -o custom-columns=A:.metadata.name,B:.data.order", "A     B\ny     3");
        self.shows("get configmaps -A --show-labels", &[&self.namespace, "half=yes"]);
        self.says("get configmap x --ignore-not-found -o jsonpath={.data.order}", "2");
        self.says("get configmap none --ignore-not-found", "");
    }

    fn watches(&self) {
        self.run(&["create", "configmap", "watched", "--from-literal=a=1"]);
        let mut running =
            self.start(&["get", "configmaps", "--field-selector=metadata.name=watched", "-w", "--output-watch-events"]);
        let rows = lines(running.0.stdout.take().expect("is piped"));
        let row = |event: &str, data: &str| {
            let row = wait_in(&rows, event).unwrap_or_else(|read| panic!("no {event}, but {read}"));
            assert_eq!(row.split_whitespace().take(3).collect::<Vec<_>>(), [event, "watched", data]);
        };
        row("ADDED", "1");
        self.run(&["patch", "configmap", "watched", "-p", r#"{"data":{"b":"2"}}"#]);
        row("MODIFIED", "2");
        self.run(&["delete", "configmap", "watched"]);
        row("DELETED", "2");
        assert!(running.0.try_wait().expect("is known").is_none(), "it goes on");
    }

    fn passes_through(&self) {
        let path = format!("/api/v1/namespaces/{}/configmaps/y", self.namespace);
        self.shows(&format!("get --raw {path}"), &["\"kind\":\"ConfigMap\"", "\"order\":\"3\""]);
        self.shows("get --raw /readyz?verbose", &["readyz check passed"]);
        for (path, expected) in [("/livez", "ok"), ("/healthz", "ok")] {
            self.says(&format!("get --raw {path}"), expected);
        }
        self.shows("get --raw /metrics", &["apiserver_storage_objects{resource=\"configmaps\"}"]);
        self.fails("get --raw /nowhere", "could not find the requested resource");

        let mut proxy = self.start(&["proxy", "--port=0"]);
        let said = lines(proxy.0.stdout.take().expect("is piped"));
        let line = wait_in(&said, "Starting to serve on 127.0.0.1:").expect("it serves");
        let port = line.rsplit(':').next().and_then(|port| port.trim().parse().ok()).expect("says the port");
        let ask = |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
            http(port, request.as_bytes())
        };
        let got = ask(&path);
        assert!(got.starts_with("HTTP/1.1 200") && got.contains("\"order\":\"3\""), "{got}");
        let none = ask("/api/v1/namespaces/none");
        assert!(none.starts_with("HTTP/1.1 404") && none.contains("\"reason\":\"NotFound\""), "{none}");
    }

    fn completes(&self) {
        self.shows("completion bash", &["__start_kubectl"]);
        let here = format!("--namespace={}", self.namespace);
        let kinds = self.run(&["__complete", "get", "deploy"]);
        assert!(kinds.contains("deployments.apps"), "{kinds}");
        let names = self.run(&["__complete", "get", "configmap", &here, ""]);
        assert!(["x", "y", "z"].iter().all(|name| names.lines().any(|line| line == *name)), "{names}");
        self.run(&["delete", "configmaps", "--all"]);
        self.says("get configmaps -l own -o name", "");
        self.publishes_its_authority();
    }

    /// What was deleted with the rest a moment ago comes back, and nobody changes it for long.
    fn publishes_its_authority(&self) {
        let trusted = self.run(&[
            "config",
            "view",
            "--raw",
            "--minify",
            "-o=jsonpath={.clusters[0].cluster.certificate-authority-data}",
        ]);
        let trusted = BASE64.decode(trusted.trim()).expect("is base64");
        let trusted = String::from_utf8(trusted).expect("is PEM");
        let look = r"get configmap kube-root-ca.crt --ignore-not-found -o jsonpath={.data.more}{.data.ca\.crt}";
        self.comes_to_say(look, trusted.trim_end());
        self.run(&["patch", "configmap", "kube-root-ca.crt", "-p", r#"{"data":{"ca.crt":"none","more":"1"}}"#]);
        self.comes_to_say(look, trusted.trim_end());
    }
}
