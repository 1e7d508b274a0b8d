//! Server-side apply over REST: who has which field, conflicts, and what goes.

use http::Method;
use serde_json::{Value, json};

use crate::member::{Answer, Member};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

async fn apply(member: &Member, path: &str, query: &str, config: &str) -> Answer {
    let headers = [("content-type", "application/apply-patch+yaml")];
    member.send(Method::PATCH, &format!("{path}?{query}"), &headers, config.to_owned()).await
}

fn map(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata: {data}\n")
}

/// `manager operation subresource` of each entry.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    entries
        .map(|entry| format!("{} {} {}", text(entry, "manager"), text(entry, "operation"), text(entry, "subresource")))
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[tokio::test]
async fn an_apply_creates_merges_conflicts_and_gives_up() {
    let member = Member::start().await;
    let path = format!("{MAPS}/m");
    let dry = apply(&member, &path, "fieldManager=me&dryRun=All", &map("{a: '1', b: '1'}")).await.expect(201);
    assert_eq!(managers(&dry), ["me Apply"]);
    member.get(&path).await.expect(404);
    apply(&member, &path, "fieldManager=me", &map("{a: '1', b: '1'}")).await.expect(201);
    let first = member.get(&path).await.expect(200);
    assert_eq!(first["metadata"]["managedFields"][0]["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}}}));
    let second = apply(&member, &path, "fieldManager=me", &map("{a: '1', b: '1'}")).await.expect(200);
    assert_eq!(second, first, "the second time nothing is written");

    let refused = apply(&member, &path, "fieldManager=you", &map("{a: '2'}")).await.expect(409);
    assert_eq!(refused["message"], "Apply failed with 1 conflict: conflict with \"me\": .data.a");
    assert_eq!(refused["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let forced = apply(&member, &path, "fieldManager=you&force=true", &map("{a: '2'}")).await.expect(200);
    assert_eq!(forced["data"], json!({"a": "2", "b": "1"}));
    let given_up = apply(&member, &path, "fieldManager=me", &map("{}")).await.expect(200);
    assert_eq!(given_up["data"], json!({"a": "2"}), "b was mine alone");

    let agent = [("content-type", "application/merge-patch+json"), ("user-agent", "robot/1.0 (linux)")];
    let patched = member.send(Method::PATCH, &path, &agent, r#"{"data":{"a":"3"}}"#).await.expect(200);
    assert!(managers(&patched).contains(&"robot Update".to_owned()), "{patched}");
    let refused = apply(&member, &path, "fieldManager=you", &map("{a: '2'}")).await.expect(409);
    assert_eq!(refused["message"], "Apply failed with 1 conflict: conflict with \"robot\" using v1: .data.a");
}

#[tokio::test]
async fn defaults_are_nobodys_and_the_scale_is_whoever_scales() {
    let member = Member::start().await;
    let config = |replicas: &str, more: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec: {{{replicas}selector: {{matchLabels: {{app: d}}}}, \
             template: {{metadata: {{labels: {{app: d}}}}, spec: {{containers: [{{name: a, image: 'a:1'}}{more}]}}}}}}\n"
        )
    };
    let path = format!("{DEPLOYMENTS}/d");
    let made = apply(&member, &path, "fieldManager=me", &config("replicas: 2, ", ", {name: b, image: 'b:1'}"))
        .await
        .expect(201);
    let pod = &made["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["restartPolicy"], &pod["containers"][1]["imagePullPolicy"]),
        (&json!("Always"), &json!("IfNotPresent"))
    );
    let left = apply(&member, &path, "fieldManager=me", &config("replicas: 2, ", "")).await.expect(200);
    assert_eq!(left["spec"]["template"]["spec"]["containers"].as_array().map(Vec::len), Some(1), "with its defaults");

    let scaled = [("content-type", "application/merge-patch+json")];
    let scale = format!("{path}/scale?fieldManager=scaler");
    member.send(Method::PATCH, &scale, &scaled, r#"{"spec":{"replicas":5}}"#).await.expect(200);
    let object = member.get(&path).await.expect(200);
    assert_eq!(managers(&object), ["me Apply", "scaler Update scale"]);
    let refused = apply(&member, &path, "fieldManager=me", &config("replicas: 2, ", "")).await.expect(409);
    assert_eq!(
        refused["message"],
        "Apply failed with 1 conflict: conflict with \"scaler\" with subresource \"scale\" using apps/v1: .spec.replicas"
    );
    let handed = apply(&member, &path, "fieldManager=me", &config("", "")).await.expect(200);
    assert_eq!(handed["spec"]["replicas"], 5, "who scales has it now");

    let status = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nstatus: {replicas: 5}\n";
    let with_status = apply(&member, &format!("{path}/status"), "fieldManager=loop", status).await.expect(200);
    assert_eq!(with_status["status"]["replicas"], 5);
    assert!(managers(&with_status).contains(&"loop Apply status".to_owned()), "{with_status}");
}

#[tokio::test]
async fn an_apply_that_makes_no_sense_is_refused() {
    let member = Member::start().await;
    let path = format!("{MAPS}/m");
    let nobody = apply(&member, &path, "", &map("{}")).await.expect(422);
    assert_eq!(nobody["details"]["causes"][0]["field"], "fieldManager");
    let patch = [("content-type", "application/merge-patch+json")];
    let forced = member.send(Method::PATCH, &format!("{path}?force=true"), &patch, "{}").await.expect(422);
    assert!(forced["message"].as_str().is_some_and(|text| text.contains("may not be specified for non-apply patch")));
    let cbor = [("content-type", "application/apply-patch+cbor")];
    assert_eq!(member.send(Method::PATCH, &format!("{path}?fieldManager=me"), &cbor, "").await.code, 415);
    for (config, code) in [
        ("apiVersion: v1\nkind: [", 400),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: m}\n", 400),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n", 400),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, uid: nobodys}\n", 409),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndataa: {}\n", 400),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, managedFields: [{manager: x}]}\n", 400),
    ] {
        let query = "fieldManager=me&fieldValidation=Strict";
        assert_eq!(apply(&member, &path, query, config).await.code.as_u16(), code, "{config}");
    }
    member.get(&path).await.expect(404);
}
