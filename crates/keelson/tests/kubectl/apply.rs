//! Server-side apply: managers, conflicts, and those who come from client-side apply.

use crate::harness::Kubectl;

impl Kubectl<'_> {
    pub fn server_side_apply(&self) {
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
}

fn manifest(replicas: u32, image: &str, more: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n  replicas: {replicas}\n  selector:\n    \
         matchLabels: {{app: d}}\n  template:\n    metadata:\n      labels: {{app: d}}\n    spec:\n      containers:\n      \
         - {{name: main, image: \"{image}\"}}\n      {more}\n"
    )
}
