//! Objects come, change, show and go.

use crate::api::Api;
use crate::keelctl;

const TWO: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {app: web}}
data: {x: one}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 1}
";

#[tokio::test]
async fn apply_says_what_it_did() {
    let api = Api::start().await;
    let apply = ["apply", "-f", "-"];
    let run = keelctl(Some(api.address), &apply, TWO).await;
    assert_eq!(
        (run.code, run.out.as_str()),
        (Some(0), "configmap/a created\ndeployment.apps/web created\n"),
        "{}",
        run.err
    );
    let run = keelctl(Some(api.address), &apply, TWO).await;
    assert_eq!(run.out, "configmap/a unchanged\ndeployment.apps/web unchanged\n");
    let run = keelctl(Some(api.address), &apply, &TWO.replace("replicas: 1", "replicas: 2")).await;
    assert_eq!(run.out, "configmap/a unchanged\ndeployment.apps/web configured\n");
    let run = keelctl(
        Some(api.address),
        &["apply", "-n", "other", "-f", "-"],
        &TWO.replace("{name: web}", "{name: web, namespace: x}"),
    )
    .await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("namespace \"x\" is not \"other\""), "{}", run.err);
}

#[tokio::test]
async fn a_server_side_apply_says_who_wants_it() {
    let api = Api::start().await;
    let apply = ["apply", "--server-side", "-f", "-"];
    let as_owner = [&apply[..], &["--field-manager", "owner"]].concat();
    let both = "configmap/a serverside-applied\ndeployment.apps/web serverside-applied\n";
    for _ in 0..2 {
        let run = keelctl(Some(api.address), &as_owner, TWO).await;
        assert_eq!((run.code, run.out.as_str()), (Some(0), both), "{}", run.err);
    }
    let run = keelctl(Some(api.address), &apply, TWO).await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("conflict with \"owner\": .data.x"), "{}", run.err);
    let run = keelctl(Some(api.address), &[&apply[..], &["--force-conflicts"]].concat(), TWO).await;
    assert_eq!((run.code, run.out.as_str()), (Some(0), both), "{}", run.err);
    let run = keelctl(Some(api.address), &["apply", "--force-conflicts", "-f", "-"], TWO).await;
    assert_eq!(run.code, Some(2), "forced is only what is applied on the server's side: {}", run.err);
}

#[tokio::test]
async fn one_refusal_does_not_keep_the_others_back() {
    let api = Api::start().await;
    let run = keelctl(Some(api.address), &["apply", "-f", "-"], &TWO.replace("name: a,", "name: refused,")).await;
    assert_eq!((run.code, run.out.as_str()), (Some(1), "deployment.apps/web created\n"));
    assert!(run.err.contains("document 1: error from server (Invalid): it is refused"), "{}", run.err);
}

#[tokio::test]
async fn get_shows_tables_and_documents() {
    let api = Api::start().await;
    keelctl(Some(api.address), &["apply", "-f", "-"], TWO).await;
    let run = keelctl(Some(api.address), &["get", "cm,deploy", "-o", "name"], "").await;
    assert_eq!(run.out, "configmap/a\ndeployment.apps/web\n");
    let run = keelctl(Some(api.address), &["get", "cm", "-A", "--show-labels"], "").await;
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines[0].starts_with("NAMESPACE   NAME   ") && lines[0].ends_with("   LABELS"), "{}", run.out);
    assert!(lines[1].starts_with("default     a      ") && lines[1].ends_with("   app=web"), "{}", run.out);
    let run = keelctl(Some(api.address), &["get", "cm/a", "-o", "yaml"], "").await;
    assert!(run.out.starts_with("apiVersion: v1\ndata:\n  x: one\nkind: ConfigMap\n"), "{}", run.out);
    let run = keelctl(Some(api.address), &["get", "cm", "-o", "json"], "").await;
    assert!(run.out.contains("\"kind\": \"List\""), "{}", run.out);
    let run = keelctl(Some(api.address), &["get", "cm", "a", "b"], "").await;
    assert_eq!((run.code, run.out.lines().count()), (Some(1), 2));
    assert_eq!(run.err, "error: error from server (NotFound): configmaps \"b\" not found\n");
    let run = keelctl(Some(api.address), &["get", "pods"], "").await;
    assert_eq!(
        (run.code, run.out.as_str(), run.err.as_str()),
        (Some(0), "", "No resources found in default namespace.\n")
    );
}

#[tokio::test]
async fn delete_waits_until_it_is_gone() {
    let api = Api::start().await;
    keelctl(Some(api.address), &["apply", "-f", "-"], TWO).await;
    let run = keelctl(Some(api.address), &["delete", "-f", "-"], TWO).await;
    assert_eq!(run.out, "deployment.apps \"web\" deleted\nconfigmap \"a\" deleted\n", "{}", run.err);
    assert!(api.is_empty());
    let run = keelctl(Some(api.address), &["delete", "cm", "a"], "").await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("configmaps \"a\" not found"), "{}", run.err);
    let run = keelctl(Some(api.address), &["delete", "cm", "a", "--ignore-not-found"], "").await;
    assert_eq!(run.code, Some(0));
}

#[tokio::test]
async fn create_makes_namespaces_and_objects() {
    let api = Api::start().await;
    let run = keelctl(Some(api.address), &["create", "namespace", "staging"], "").await;
    assert_eq!(run.out, "namespace/staging created\n", "{}", run.err);
    let run = keelctl(Some(api.address), &["create", "ns", "staging"], "").await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("(AlreadyExists): namespaces \"staging\" already exists"), "{}", run.err);
}

#[tokio::test]
async fn rollout_status_ends_when_it_is_complete() {
    let api = Api::start().await;
    keelctl(Some(api.address), &["apply", "-f", "-"], TWO).await;
    let waiting = keelctl(Some(api.address), &["rollout", "status", "deploy/web", "--watch=false"], "").await;
    assert!(waiting.out.contains("0 out of 1 new replicas have been updated"), "{}{}", waiting.out, waiting.err);
    let address = api.address;
    let following = tokio::spawn(async move { keelctl(Some(address), &["rollout", "status", "deploy/web"], "").await });
    api.watched("deployments").await;
    let status = serde_json::json!({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    api.change("deployments", "default", "web", |object| object["status"] = status);
    let run = following.await.expect("it ends");
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.ends_with("deployment \"web\" successfully rolled out\n"), "{}", run.out);
}

#[tokio::test]
async fn describe_lays_an_object_out() {
    let api = Api::start().await;
    keelctl(Some(api.address), &["apply", "-f", "-"], TWO).await;
    let run = keelctl(Some(api.address), &["describe", "cm/a"], "").await;
    assert_eq!(run.code, Some(0), "{}", run.err);
    for line in ["Name:         a", "Labels:       app=web", "Data:         x: one", "Events:       <none>"] {
        assert!(run.out.lines().any(|found| found == line), "{line:?} is not in\n{}", run.out);
    }
}
