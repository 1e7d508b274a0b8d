//! Who may do what.

use crate::harness::Kubectl;

impl Kubectl<'_> {
    pub fn access(&self) {
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
}
