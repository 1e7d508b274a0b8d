//! Kinds beside the everyday ones, made by arguments.

use crate::harness::{Kubectl, is_before};

impl Kubectl<'_> {
    pub fn many_kinds(&self) {
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
}
