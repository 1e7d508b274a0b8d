//! Kinds that users define.

use crate::harness::Kubectl;

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

impl Kubectl<'_> {
    /// A kind that a user defines, from its definition to its end.
    pub fn custom_kinds(&self) {
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
}
