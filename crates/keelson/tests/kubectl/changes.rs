//! Commands that change what is there: edit, replace, patch, set, rollout.

use crate::Kubectl;

/// For a certificate of jane's.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISU1IRUNBUUF3RHpFTk1Bc0dBMVVFQXd3RWFtRnVaVEJaTUJN\
    R0J5cUdTTTQ5QWdFR0NDcUdTTTQ5QXdFSApBMElBQk5VSnA3dlF3cXM2RCs3T1RUbmJPZXB0dHBzbktzbTVKdy9xNWhGZVhWR0FQ\
    U3NlVW1uc1JJVnJmNnZlCm43bjZEalFkVjMzeE5YVVJLWUxDU2JjZnlBcWdBREFLQmdncWhrak9QUVFEQWdOSEFEQkVBaUJZN2V2\
    RThrQkIKRGdvOVJoc2ZMV0VOUzJhRExlV0w0cnhJWERIbE52NTRPUUlnU0l4cVkzTXYyelIrU0RtY1ZnbUNTeEtEQng2Uwo0WTdQ\
    cE9ScmxFd2NvUk09Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
const IMAGE: &str = "jsonpath={.spec.template.spec.containers[0].image}";

impl Kubectl<'_> {
    pub fn changes(&self) {
        self.run(&["create", "deployment", "d", "--image=nginx:1", "--replicas=2"]);
        self.run(&["create", "configmap", "m", "--from-literal=a=1"]);
        self.edits();
        self.replaces();
        self.patches();
        self.sets();
        self.asks_subresources();
        self.approves();
        self.run(&["delete", "deployment", "d", "--cascade=foreground"]);
    }

    fn edits(&self) {
        let edit = |editor: &str, arguments: &[&str]| {
            let mut command = self.command(&[&["edit"], arguments].concat());
            let output = command.env("KUBE_EDITOR", editor).output().expect("kubectl runs");
            let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            (output.status.success(), told)
        };
        let (well, told) = edit("sed -i s/nginx:1/nginx:2/", &["deployment", "d"]);
        assert!(well && told.contains("deployment.apps/d edited"), "{told}");
        self.says(&format!("get deployment d -o {IMAGE}"), "nginx:2");
        self.shows("get deployment d -o yaml --show-managed-fields", &["manager: kubectl-edit\n"]);
        let (well, told) = edit("true", &["deployment", "d"]);
        assert!(well && told.contains("Edit cancelled, no changes made."), "{told}");
        // It opens the editor again with what was wrong.
        let (well, told) = edit("sed -i s/replicas:.2$/replicas:\\ -2/", &["deployment", "d"]);
        let words = ["deployments.apps \"d\" is invalid", "Edit cancelled, no valid changes were saved."];
        assert!(!well && words.iter().all(|words| told.contains(words)), "{told}");
        self.says("get deployment d -o jsonpath={.spec.replicas}", "2");
        let (well, told) = edit("sed -i s/\\ a:.*/\\ a:\\ edited/", &["configmap", "m", "-o", "json"]);
        assert!(well && told.contains("no changes made"), "as JSON, there is no such line: {told}");
        let (well, told) = edit("sed -i s/\\ a:.*/\\ a:\\ edited/", &["configmap", "m"]);
        assert!(well && told.contains("configmap/m edited"), "{told}");
        self.says("get configmap m -o jsonpath={.data.a}", "edited");
    }

    fn replaces(&self) {
        let old = self.write("m.yaml", &self.run(&["get", "configmap", "m", "-o", "yaml"]));
        self.run(&["patch", "configmap", "m", "-p", r#"{"data":{"b":"kept"}}"#]);
        self.fails(&format!("replace -f {old}"), "the object has been modified");
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: \"replaced\"}\n";
        let new = self.write("new.yaml", text);
        self.says(&format!("replace -f {new}"), "configmap/m replaced");
        self.says("get configmap m -o jsonpath={.data}", r#"{"a":"replaced"}"#);
        self.shows("get configmap m -o yaml --show-managed-fields", &["manager: kubectl-replace\n"]);
        let uid = self.run(&["get", "configmap", "m", "-o", "jsonpath={.metadata.uid}"]);
        self.shows(&format!("replace --force -f {new}"), &["configmap \"m\" deleted", "configmap/m replaced"]);
        let again = self.run(&["get", "configmap", "m", "-o", "jsonpath={.metadata.uid}"]);
        assert!(!uid.is_empty() && uid != again, "{uid} is another object");
        let nobody = self.write("nobody.yaml", &text.replace("name: m", "name: nobody"));
        self.fails(&format!("replace -f {nobody}"), "configmaps \"nobody\" not found");
        self.says(&format!("create -f {nobody}"), "configmap/nobody created");
    }

    /// Of what the program itself knows, in all three ways.
    fn patches(&self) {
        let container = r#"{"name":"second","image":"busybox:1"}"#;
        let patch = |arguments: &[&str]| self.try_run(&[&["patch", "deployment", "d"], arguments].concat());
        let spec = |containers: &str| format!(r#"{{"spec":{{"template":{{"spec":{{"containers":{containers}}}}}}}}}"#);
        let (well, told) = patch(&["-p", &spec(&format!("[{container}]"))]);
        assert!(well && told == "deployment.apps/d patched\n", "{told}");
        let names = "get deployment d -o jsonpath={.spec.template.spec.containers[*].name}";
        let both = self.run(&names.split(' ').collect::<Vec<_>>());
        assert!(both.contains("nginx") && both.contains("second"), "a strategic patch adds: {both}");
        let (well, told) = patch(&["--type=merge", "-p", &spec(&format!("[{container}]"))]);
        assert!(well, "{told}");
        self.says(names, "second");
        let rename = r#"[{"op":"test","path":"/spec/template/spec/containers/0/name","value":"second"},
            {"op":"replace","path":"/spec/template/spec/containers/0","value":{"name":"nginx","image":"nginx:2"}}]"#;
        let (well, told) = patch(&["--type=json", "-p", rename]);
        assert!(well, "{told}");
        self.says(names, "nginx");
        let (well, told) = patch(&["--type=json", "-p", rename]);
        assert!(!well && told.contains("test"), "the test fails now: {told}");
        // It compares with what it has read before, and the controller may write its status in between.
        self.shows("rollout status deployment d --timeout=120s", &["successfully rolled out"]);
        let same = r#"patch deployment d --type=merge -p {"spec":{"replicas":2}}"#;
        self.comes_to_say(same, "deployment.apps/d patched (no change)");
        let file = self.write("patch.yaml", "spec: {minReadySeconds: 1}\n");
        let (well, told) = patch(&["--patch-file", &file]);
        assert!(well, "{told}");
        self.says("get deployment d -o jsonpath={.spec.minReadySeconds}", "1");
        self.shows("get deployment d -o yaml --show-managed-fields", &["manager: kubectl-patch\n"]);
    }

    fn sets(&self) {
        self.says("set image deployment d *=nginx:3", "deployment.apps/d image updated");
        self.says(&format!("get deployment d -o {IMAGE}"), "nginx:3");
        self.says("set env deployment d COLOR=blue SHADE=dark", "deployment.apps/d env updated");
        self.shows("set env deployment d --list", &["COLOR=blue", "SHADE=dark"]);
        self.says("set env deployment d SHADE-", "deployment.apps/d env updated");
        self.run(&["set", "env", "deployment", "d", "--from=configmap/m", "--prefix=MAP_"]);
        let variables = "jsonpath={.spec.template.spec.containers[0].env[*].name}";
        self.says(&format!("get deployment d -o {variables}"), "COLOR MAP_A");
        let updated = "deployment.apps/d resource requirements updated";
        self.says("set resources deployment d --limits=cpu=1,memory=64Mi --requests=cpu=100m", updated);
        let resources = "jsonpath={.spec.template.spec.containers[0].resources.limits.memory}";
        self.says(&format!("get deployment d -o {resources}"), "64Mi");
        self.run(&["create", "serviceaccount", "robot"]);
        self.says("set serviceaccount deployment d robot", "deployment.apps/d serviceaccount updated");
        self.says("get deployment d -o jsonpath={.spec.template.spec.serviceAccountName}", "robot");
        self.run(&["create", "service", "clusterip", "s", "--tcp=80:80"]);
        self.says("set selector service s app=other", "service/s selector updated");
        self.says("get service s -o jsonpath={.spec.selector}", r#"{"app":"other"}"#);
        self.run(&["create", "rolebinding", "rb", "--role=r", "--user=jane"]);
        self.says(
            "set subject rolebinding rb --user=june",
            "rolebinding.rbac.authorization.k8s.io/rb subjects updated",
        );
        self.says("get rolebinding rb -o jsonpath={.subjects[*].name}", "jane june");
    }

    fn asks_subresources(&self) {
        let scale = "jsonpath={.kind}:{.spec.replicas}:{.status.selector}";
        self.says(&format!("get deployment d --subresource=scale -o {scale}"), "Scale:2:app=d");
        self.shows("get deployment d --subresource=scale", &["NAME", "DESIRED", "AVAILABLE", "AGE"]);
        self.says("get deployment d --subresource=status -o jsonpath={.kind}:{.metadata.name}", "Deployment:d");
        let replicas = r#"{"spec":{"replicas":3}}"#;
        self.run(&["patch", "deployment", "d", "--subresource=scale", "--type=merge", "-p", replicas]);
        self.says("get deployment d -o jsonpath={.spec.replicas}", "3");
        // By its status, a specification is not changed.
        let spec = r#"{"spec":{"replicas":5}}"#;
        self.run(&["patch", "deployment", "d", "--subresource=status", "-p", spec]);
        self.says("get deployment d -o jsonpath={.spec.replicas}", "3");
    }

    fn approves(&self) {
        for (verb, condition) in [("approve", "Approved"), ("deny", "Denied")] {
            let name = format!("{}-{verb}", self.namespace);
            let spec = format!("{{request: {REQUEST}, signerName: example.com/any, usages: [client auth]}}");
            let text = format!(
                "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{name: {name}}}\nspec: {spec}\n"
            );
            let file = self.write("request.yaml", &text);
            let what = format!("certificatesigningrequest.certificates.k8s.io/{name}");
            self.says(&format!("create -f {file}"), &format!("{what} created"));
            self.shows(&format!("certificate {verb} {name}"), &[&what]);
            self.says(&format!("get csr {name} -o jsonpath={{.status.conditions[*].type}}"), condition);
            self.run(&["delete", "csr", &name]);
        }
    }

    pub fn rolls_out(&self) {
        self.run(&["create", "deployment", "r", "--image=nginx:1", "--replicas=2"]);
        self.shows("rollout status deployment r --timeout=120s", &["deployment \"r\" successfully rolled out"]);
        self.says("rollout pause deployment r", "deployment.apps/r paused");
        self.fails("rollout pause deployment r", "deployments.apps \"r\" is already paused");
        self.fails("rollout restart deployment r", "can't restart paused deployment");
        self.run(&["set", "image", "deployment", "r", "nginx=nginx:2"]);
        let observed = "jsonpath={.status.observedGeneration}={.metadata.generation}:{.status.updatedReplicas}";
        let is_seen = |printed: &str| {
            printed
                .split_once(':')
                .and_then(|(generations, _)| generations.split_once('='))
                .is_some_and(|(a, b)| a == b)
        };
        self.comes_to(&format!("get deployment r -o {observed}"), is_seen);
        self.says("get replicasets -l app=r -o jsonpath={.items[*].spec.template.spec.containers[0].image}", "nginx:1");
        self.says("rollout resume deployment r", "deployment.apps/r resumed");
        self.shows("rollout status deployment r --timeout=120s", &["successfully rolled out"]);
        self.says("rollout restart deployment r", "deployment.apps/r restarted");
        self.shows("rollout status deployment r --timeout=120s", &["successfully rolled out"]);
        self.shows("get deployment r -o yaml", &["kubectl.kubernetes.io/restartedAt: "]);
        self.run(&["annotate", "deployment", "r", "kubernetes.io/change-cause=third time"]);
        self.comes_to("rollout history deployment r", |printed| printed.contains("third time"));
        let history = self.run(&["rollout", "history", "deployment", "r"]);
        let revisions: Vec<_> = history.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(revisions, ["deployment.apps/r", "REVISION", "1", "2", "3"]);
        self.shows("rollout history deployment r --revision=2", &["with revision #2", "Image:\tnginx:2"]);
        self.fails("rollout undo deployment r --to-revision=7", "unable to find specified revision 7 in history");
        self.says("rollout undo deployment r --to-revision=1", "deployment.apps/r rolled back");
        self.says(&format!("get deployment r -o {IMAGE}"), "nginx:1");
        self.shows("rollout status deployment r --timeout=120s", &["successfully rolled out"]);
        self.says("rollout undo deployment r", "deployment.apps/r rolled back");
        self.shows("get deployment r -o yaml", &["kubectl.kubernetes.io/restartedAt: ", "image: nginx:2"]);
        self.run(&["delete", "deployment", "r"]);
    }
}
