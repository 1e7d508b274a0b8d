//! Pods that are resized where they run.

use crate::harness::Kubectl;

/// Why a resize waits.
const PENDING: &str = "jsonpath={.status.conditions[?(@.type=='PodResizePending')].reason}";

impl Kubectl<'_> {
    pub fn resizes(&self) {
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
}
