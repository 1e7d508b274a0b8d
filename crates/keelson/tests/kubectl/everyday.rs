//! What people do every day.

use crate::harness::Kubectl;

impl Kubectl<'_> {
    pub fn everyday(&self) {
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

    fn a_dry_run(&self) {
        self.says("create configmap dry --from-literal=a=1 --dry-run=server", "configmap/dry created (server dry run)");
        let (well, gone) = self.try_run(&["get", "configmap", "dry"]);
        assert!(!well && gone.contains("not found"), "{gone}");
    }

    pub fn explains(&self) {
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
}
