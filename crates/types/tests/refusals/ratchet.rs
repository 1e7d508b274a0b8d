//! Rules come with time: an object that was let in before them can be changed in everything else.

use keelson_types::Target;
use serde_json::json;

use super::super::{kind, made};

#[test]
fn what_was_let_in_before_a_rule_is_refused_only_where_it_changes() {
    let pods = kind("", "pods");
    let container = json!({"name": "c", "image": "x", "securityContext": {"runAsUser": -1}});
    let old = made(pods, json!({"spec": {"containers": [container]}}));
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(pods.validate_update(&new, &old), []);
    new["status"]["phase"] = json!("Running");
    assert_eq!(pods.validate_update_of(Target::Status, &new, &old), []);

    let deployments = kind("apps", "deployments");
    let labels = json!({"a": "b"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let old = made(deployments, json!({"spec": {"selector": {"matchLabels": labels}, "template": template}}));
    let mut new = old.clone();
    new["spec"]["replicas"] = json!(3);
    assert_eq!(deployments.validate_update(&new, &old), []);
    let user = "/spec/template/spec/containers/0/securityContext/runAsUser";
    *new.pointer_mut(user).expect("the user") = json!(-2);
    let told: Vec<_> = deployments.validate_update(&new, &old).iter().map(|error| error.path.clone()).collect();
    assert_eq!(told, ["spec.template.spec.containers[0].securityContext.runAsUser"]);
}
