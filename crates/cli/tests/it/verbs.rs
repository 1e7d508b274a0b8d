//! What people know from kubectl, with its words.

use serde_json::json;

use crate::api::Api;
use crate::{Run, keelctl, keelctl_with};

const THINGS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {app: web}}
data: {x: one}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: 'nginx:1', ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
";

async fn started() -> Api {
    let api = Api::start().await;
    let made = keelctl(Some(api.address), &["apply", "-f", "-"], THINGS).await;
    assert_eq!(made.code, Some(0), "{}", made.err);
    api
}

async fn run(api: &Api, line: &str) -> Run {
    let words: Vec<&str> = line.split(' ').collect();
    keelctl(Some(api.address), &words, "").await
}

/// Lines in order, each with what it must print.
async fn says(api: &Api, lines: &[(&str, &str)]) {
    for (line, printed) in lines {
        let ran = run(api, line).await;
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), *printed), "{line}: {}", ran.err);
    }
}

#[tokio::test]
async fn labels_and_annotations_are_set_and_removed() {
    let api = started().await;
    says(
        &api,
        &[
            ("label cm/a tier=front", "configmap/a labeled\n"),
            ("label cm/a tier=front", "configmap/a not labeled\n"),
            ("label cm --all tier=back --overwrite", "configmap/a labeled\n"),
            ("label cm -l app=web tier-", "configmap/a unlabeled\n"),
            ("annotate deployment/web owner=shop", "deployment.apps/web annotated\n"),
            ("get cm/a -o jsonpath={.metadata.labels}", "{\"app\":\"web\"}"),
            ("get deploy web -o jsonpath={.metadata.annotations.owner}", "shop"),
        ],
    )
    .await;
    let refused = run(&api, "label cm/a app=db").await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("'app' already has a value (web), and --overwrite is false"), "{}", refused.err);
    assert_eq!(run(&api, "label cm/a").await.code, Some(2));
    assert_eq!(run(&api, "label cm x=y").await.code, Some(2));
}

#[tokio::test]
async fn patches_and_nodes_change() {
    let api = started().await;
    says(
        &api,
        &[
            ("patch deploy/web -p {\"spec\":{\"replicas\":3}}", "deployment.apps/web patched\n"),
            (
                "patch deploy/web --type merge -p {\"spec\":{\"replicas\":3}}",
                "deployment.apps/web patched (no change)\n",
            ),
            (
                "get deploy web -o custom-columns=NAME:.metadata.name,REPLICAS:spec.replicas",
                "NAME   REPLICAS\nweb    3\n",
            ),
            ("cordon n1", "node/n1 cordoned\n"),
            ("cordon node/n1", "node/n1 already cordoned\n"),
            ("get node n1 -o jsonpath={.spec.unschedulable}", "true"),
            ("uncordon n1", "node/n1 uncordoned\n"),
            ("drain n1", "node/n1 cordoned\nnode/n1 drained\n"),
        ],
    )
    .await;
    assert_eq!(run(&api, "patch deploy/web").await.code, Some(2));
    assert_eq!(run(&api, "get cm -o jsonpath={.a[").await.code, Some(2));
}

#[tokio::test]
async fn pods_and_services_are_made() {
    let api = started().await;
    says(
        &api,
        &[
            ("run p --image nginx:1 --port 80 --env A=1 -- sleep 5", "pod/p created\n"),
            ("get pod p -o jsonpath={.spec.containers[0].args}{.metadata.labels.run}", "[\"sleep\",\"5\"]p"),
            ("expose deployment web --port 80 --target-port 8080", "service/web exposed\n"),
            ("get svc web -o jsonpath={.spec.selector.app}:{.spec.ports[0].targetPort}", "web:8080"),
            ("expose deployment/web --name other", "service/other exposed\n"),
            ("get svc other -o jsonpath={.spec.ports[0].port}", "8080"),
            ("set image deployment/web main=nginx:2", "deployment.apps/web image updated\n"),
            ("get deploy web -o jsonpath={.spec.template.spec.containers[*].image}", "nginx:2"),
            ("set resources deploy/web --limits cpu=1", "deployment.apps/web resource requirements updated\n"),
            ("set env deploy/web COLOR=blue", "deployment.apps/web env updated\n"),
            ("set env deploy/web --list", "# deployment.apps/web, container main\nCOLOR=blue\n"),
        ],
    )
    .await;
    let missing = run(&api, "set image deployment/web nope=nginx:2").await;
    assert!(
        missing.code == Some(1) && missing.err.contains("unable to find container named \"nope\""),
        "{}",
        missing.err
    );
    assert_eq!(run(&api, "expose cm/a --port 1").await.code, Some(1));
}

#[tokio::test]
async fn waiting_ends_with_the_condition_or_in_time() {
    let api = started().await;
    let late = run(&api, "wait deploy/web --for condition=Available --timeout 200ms").await;
    assert_eq!(late.code, Some(1));
    assert!(late.err.contains("timed out waiting for the condition on deployments/web"), "{}", late.err);
    let address = api.address;
    let line = ["wait", "deploy/web", "--for", "condition=Available"];
    let waiting = tokio::spawn(async move { keelctl(Some(address), &line, "").await });
    // Either order will do: what it sees first, or what changes then.
    let conditions = json!({"conditions": [{"type": "Available", "status": "True"}]});
    api.change("deployments", "default", "web", |object| object["status"] = conditions);
    let ran = waiting.await.expect("it ends");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "deployment.apps/web condition met\n"), "{}", ran.err);
    says(&api, &[("wait cm/none --for delete", "configmap/none condition met\n")]).await;
    assert_eq!(run(&api, "wait cm/none --for condition=X").await.code, Some(1));
}

#[tokio::test]
async fn differences_are_shown_before_they_are_made() {
    let api = started().await;
    let same = keelctl(Some(api.address), &["diff", "-f", "-"], THINGS).await;
    assert_eq!((same.code, same.out.as_str()), (Some(0), ""), "{}", same.err);
    let more = THINGS.replace("x: one", "x: two");
    let other = keelctl(Some(api.address), &["diff", "-f", "-"], &more).await;
    assert_eq!(other.code, Some(1), "{}", other.err);
    assert!(other.out.contains("-  x: one\n+  x: two\n"), "{}", other.out);
    let unchanged = run(&api, "get cm a -o jsonpath={.data.x}").await;
    assert_eq!(unchanged.out, "one");
    let refused = THINGS.replace("metadata: {name: n1}", "metadata: {name: refused}");
    let refused = keelctl(Some(api.address), &["diff", "-f", "-"], &refused).await;
    assert!(refused.code == Some(2) && refused.err.contains("it is refused"), "{:?}: {}", refused.code, refused.err);
}

#[tokio::test]
async fn kinds_and_their_fields_are_known_without_a_cluster() {
    let resources = keelctl(None, &["api-resources"], "").await;
    assert!(resources.out.starts_with("NAME ") && resources.out.contains("apps/v1"), "{}", resources.out);
    let fields = keelctl(None, &["explain", "deployment.spec.template.spec.containers"], "").await;
    for line in
        ["KIND:       Deployment", "FIELD: containers <[]Container>", "  image\t<string>", "  livenessProbe\t<Probe>"]
    {
        assert!(fields.out.lines().any(|found| found == line), "{line:?} is not in\n{}", fields.out);
    }
    let unknown = keelctl(None, &["explain", "pod.spec.nonsense"], "").await;
    assert!(unknown.code == Some(1) && unknown.err.contains("field \"nonsense\" does not exist"), "{}", unknown.err);
}

#[tokio::test]
async fn an_object_goes_through_the_editor() {
    let api = started().await;
    let edit = async |editor| keelctl_with(Some(api.address), &["edit", "cm/a"], "", &[("KUBE_EDITOR", editor)]).await;
    let edited = edit("sed -i s/one/two/").await;
    assert_eq!((edited.code, edited.out.as_str()), (Some(0), "configmap/a edited\n"), "{}", edited.err);
    says(&api, &[("get cm/a -o jsonpath={.data.x}", "two")]).await;
    assert_eq!(edit("true").await.out, "Edit cancelled, no changes made.\n");
    let failed = edit("false").await;
    assert!(failed.code == Some(1) && failed.err.contains("problem with the editor"), "{}", failed.err);
}

#[tokio::test]
async fn what_was_edited_and_refused_is_kept() {
    let api = started().await;
    let folder = tempfile::tempdir().expect("a folder");
    let folder_name = folder.path().to_string_lossy().into_owned();
    let variables = [("KUBE_EDITOR", "sed -i s/one/refused/"), ("TMPDIR", &*folder_name)];
    let refused = keelctl_with(Some(api.address), &["edit", "cm/a"], "", &variables).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{}", refused.err);
    assert!(refused.err.contains("Edit cancelled, no valid changes were saved."), "{}", refused.err);
    let kept: Vec<_> =
        std::fs::read_dir(folder.path()).expect("it is there").map(|entry| entry.expect("it is read").path()).collect();
    let [kept] = kept.as_slice() else { panic!("not one file: {kept:?}") };
    assert!(refused.err.contains(&*kept.to_string_lossy()), "{}", refused.err);
    assert!(std::fs::read_to_string(kept).expect("it is text").contains("x: refused"));
}

/// Makes a pod on the node whose eviction is forbidden so often.
async fn on_node(api: &Api, name: &str, forbidden: u32) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": {"forbidden": forbidden.to_string()}},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "nginx:1"}]},
    });
    let made = keelctl(Some(api.address), &["apply", "-f", "-"], &pod.to_string()).await;
    assert_eq!(made.code, Some(0), "{}", made.err);
}

#[tokio::test]
async fn a_drain_asks_disruption_budgets() {
    let api = started().await;
    on_node(&api, "free", 0).await;
    on_node(&api, "kept", 1).await;
    let drained = run(&api, "drain n1 --force").await;
    let expected = "node/n1 cordoned
evicting pod default/free
evicting pod default/kept
evicting pod default/kept
pod/free evicted
pod/kept evicted
node/n1 drained
";
    assert_eq!((drained.code, drained.out.as_str()), (Some(0), expected), "{}", drained.err);
    let told = "error when evicting pods/\"kept\" -n \"default\" (will retry after 5s): a budget forbids it";
    assert!(drained.err.contains(told), "{}", drained.err);
    on_node(&api, "never", 1_000).await;
    let late = run(&api, "drain n1 --force --timeout 500ms").await;
    assert_eq!(late.code, Some(1), "{}", late.out);
    assert!(late.err.contains("due to error: global timeout reached: 500ms"), "{}", late.err);
    assert_eq!(run(&api, "get pod never -o name").await.code, Some(0));
}
