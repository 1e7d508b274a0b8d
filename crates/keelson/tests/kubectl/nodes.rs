//! Commands that take a node out of use, and back.

use crate::Kubectl;
use crate::running::{lines, wait_in};

impl Kubectl<'_> {
    /// Not for any other node than this.
    pub fn nodes(&self, node: &str) {
        self.taints(node);
        self.cordons(node);
        self.drains(node);
    }

    fn taints(&self, node: &str) {
        let taints = format!("get node {node} -o jsonpath={{.spec.taints}}");
        self.says(&format!("taint node {node} use=tests:NoSchedule"), &format!("node/{node} tainted"));
        self.says(&taints, r#"[{"effect":"NoSchedule","key":"use","value":"tests"}]"#);
        self.fails(&format!("taint node {node} use=others:NoSchedule"), "--overwrite is false");
        self.says(&format!("taint node {node} use=others:NoSchedule --overwrite"), &format!("node/{node} modified"));
        self.says(&taints, r#"[{"effect":"NoSchedule","key":"use","value":"others"}]"#);
        self.says(&format!("taint node {node} use-"), &format!("node/{node} untainted"));
        self.says(&taints, "");
        self.fails(&format!("taint node {node} use-"), "taint \"use\" not found");
    }

    fn cordons(&self, node: &str) {
        self.says(&format!("cordon {node}"), &format!("node/{node} cordoned"));
        self.shows(&format!("get node {node}"), &["Ready,SchedulingDisabled"]);
        self.says(&format!("cordon {node}"), &format!("node/{node} already cordoned"));
        self.says(&format!("uncordon {node}"), &format!("node/{node} uncordoned"));
        self.says(&format!("get node {node} -o jsonpath={{.spec.unschedulable}}"), "");
    }

    /// Pods of a Deployment go elsewhere, one that nobody made again goes when forced, and one with a budget when that allows it.
    fn drains(&self, node: &str) {
        self.run(&["create", "deployment", "moved", "--image=nginx:1", "--replicas=6"]);
        let there = format!(r#"--overrides={{"spec":{{"nodeName":"{node}"}}}}"#);
        self.run(&["run", "alone", "--image=nginx:1", &there]);
        self.run(&["run", "kept", "--image=nginx:1", "--labels=app=kept", &there]);
        self.run(&["create", "poddisruptionbudget", "kept", "--selector=app=kept", "--min-available=1"]);
        let allows = |count: u32| {
            let status = format!(
                r#"{{"status":{{"observedGeneration":1,"disruptionsAllowed":{count},"currentHealthy":1,"desiredHealthy":1,"expectedPods":1}}}}"#
            );
            self.run(&["patch", "pdb", "kept", "--subresource=status", "--type=merge", "-p", &status]);
        };
        allows(0);
        self.shows("rollout status deployment moved --timeout=120s", &["successfully rolled out"]);
        // A pod that does not run yet has no budget to violate.
        self.run(&["wait", "--for=condition=Ready", "--timeout=120s", "pod/alone", "pod/kept"]);
        self.fails(&format!("drain {node}"), "cannot delete");

        let mut draining = self.start(&["drain", node, "--force", "--ignore-daemonsets", "--timeout=120s"]);
        let told = lines(draining.0.stderr.take().expect("is piped"));
        let why = "Cannot evict pod as it would violate the pod's disruption budget";
        let line = wait_in(&told, why).unwrap_or_else(|read| panic!("it is not held up, but {read}"));
        assert!(line.contains("\"kept\""), "{line}");
        allows(1);
        let said = lines(draining.0.stdout.take().expect("is piped"));
        wait_in(&said, &format!("node/{node} drained")).unwrap_or_else(|read| panic!("it does not end, but {read}"));
        assert!(draining.0.wait().expect("ends").success());
        for gone in ["alone", "kept"] {
            self.fails(&format!("get pod {gone}"), "not found");
        }
        self.shows("rollout status deployment moved --timeout=120s", &["successfully rolled out"]);
        let hosts = self.run(&["get", "pods", "-l", "app=moved", "-o", "jsonpath={.items[*].spec.nodeName}"]);
        assert!(!hosts.is_empty() && !hosts.contains(node), "{hosts}");
        self.run(&["uncordon", node]);
        self.run(&["delete", "deployment", "moved"]);
    }
}
