use serde_json::json;

use super::*;
use crate::Target;
use crate::merge::{Rule, Strategy};

fn deployment() -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]},
            },
        },
    });
    KIND.default(&mut object);
    object
}

fn complaints(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut object = deployment();
    change(&mut object);
    KIND.validate_create(&object).iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_kubernetes_own() {
    let object = deployment();
    let spec = &object["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(spec["revisionHistoryLimit"], 10);
    assert_eq!(spec["progressDeadlineSeconds"], 600);
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(spec["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    assert_eq!(spec["template"]["spec"]["dnsPolicy"], "ClusterFirst");
    let mut again = object.clone();
    KIND.default(&mut again);
    assert_eq!(again, object, "defaults are idempotent");
}

#[test]
fn a_good_deployment_has_nothing_wrong() {
    assert_eq!(complaints(|_| {}), Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_a_deployment_is_said_as_kubernetes_says_it() {
    type Change = fn(&mut Value);
    let table: [(Change, &str); 8] = [
        (
            |object| object["spec"]["replicas"] = json!(-1),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            |object| object["spec"]["template"]["metadata"]["labels"] = json!({"app": "db"}),
            "spec.template.metadata.labels: Invalid value: {\"app\":\"db\"}: `selector` does not match template `labels`",
        ),
        (
            |object| object["spec"]["selector"] = json!({}),
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
        ),
        (|object| object["spec"]["selector"] = Value::Null, "spec.selector: Required value"),
        (
            |object| object["spec"]["template"]["spec"]["restartPolicy"] = json!("Never"),
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ),
        (
            |object| object["spec"]["strategy"]["rollingUpdate"] = json!({"maxSurge": 0, "maxUnavailable": 0}),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ),
        (
            |object| object["spec"]["strategy"]["type"] = json!("Recreate"),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            |object| object["spec"]["template"]["spec"]["containers"] = Value::Null,
            "spec.template.spec.containers: Required value",
        ),
    ];
    for (change, complaint) in table {
        assert_eq!(complaints(change), [complaint]);
    }
}

#[test]
fn the_selector_may_not_change() {
    let (old, mut new) = (deployment(), deployment());
    new["spec"]["selector"]["matchLabels"]["app"] = json!("web2");
    new["spec"]["template"]["metadata"]["labels"]["app"] = json!("web2");
    let errors = KIND.validate_update(&new, &old);
    assert_eq!(
        errors[0].to_string(),
        "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"web2\"}}: field is immutable"
    );
}

#[test]
fn the_generation_counts_changes_of_the_spec_only() {
    let mut old = deployment();
    old["status"] = json!({"replicas": 9});
    KIND.prepare_create(&mut old);
    assert_eq!(old["metadata"]["generation"], 1);
    assert_eq!(old["status"], json!({}));

    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    labelled["status"] = json!({"replicas": 9});
    KIND.prepare_update(&mut labelled, &old, Target::Object);
    assert_eq!(labelled["metadata"]["generation"], 1);
    assert_eq!(labelled["status"], json!({}));

    let mut scaled = old.clone();
    scaled["spec"]["replicas"] = json!(3);
    KIND.prepare_update(&mut scaled, &old, Target::Object);
    assert_eq!(scaled["metadata"]["generation"], 2);

    let mut status = old.clone();
    status["spec"]["replicas"] = json!(7);
    status["status"] = json!({"replicas": 1});
    KIND.prepare_update(&mut status, &old, Target::Status);
    assert_eq!(status["spec"]["replicas"], 1);
    assert_eq!(status["status"]["replicas"], 1);
    assert_eq!(status["metadata"]["generation"], 1);
}

#[test]
fn rows_are_those_of_kubectl() {
    let mut object = deployment();
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    object["status"] = json!({"readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    let now = "2026-01-01T00:10:00Z".parse().expect("a time");
    assert_eq!(
        KIND.cells(&object, now),
        [
            json!("web"),
            json!("1/1"),
            json!(1),
            json!(1),
            json!("10m"),
            json!("c"),
            json!("nginx:1.27"),
            json!("app=web")
        ]
    );
}

#[test]
fn lists_of_the_template_merge_by_their_keys() {
    let by = |key| Some(Rule { strategy: Strategy::Merge, key: Some(key) });
    assert_eq!(KIND.merge_key("spec.template.spec.containers"), by("name"));
    assert_eq!(KIND.merge_key("spec.template.spec.containers.ports"), by("containerPort"));
    assert_eq!(KIND.merge_key("spec.template.spec.containers.args"), None);
    assert_eq!(KIND.merge_key("metadata.finalizers"), Some(Rule { strategy: Strategy::Merge, key: None }));
    assert_eq!(KIND.merge_key("spec.strategy"), Some(Rule { strategy: Strategy::RetainKeys, key: None }));
    assert_eq!(KIND.merge_key("status.conditions"), by("type"));
}
