//! What kinds fill in, refuse, and let nobody change.

use keelson_types::{Kind, registry};
use serde_json::{Value, json};

use crate::examples::{Example, examples};
use crate::member::Member;

/// Defaults, and what may not change.
#[tokio::test]
async fn what_a_kind_fixes_stays_and_what_it_fills_in_is_there() {
    let member = Member::start().await;
    let all = examples();
    type Row = (&'static str, Value, Value, &'static str);
    let rows: [Row; 9] = [
        (
            "apps/v1 StatefulSet",
            json!({"spec": {"podManagementPolicy": "OrderedReady", "replicas": 1, "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}}),
            json!({"spec": {"serviceName": "t"}}),
            "spec",
        ),
        (
            "apps/v1 DaemonSet",
            json!({"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}}}),
            json!({"spec": {"selector": {"matchLabels": {"more": "y"}}}}),
            "spec.selector",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"completions": 1, "parallelism": 1, "backoffLimit": 6, "suspend": false}}),
            json!({"spec": {"completions": 2}}),
            "spec.completions",
        ),
        (
            "v1 PersistentVolumeClaim",
            json!({"spec": {"volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}),
            json!({"spec": {"accessModes": ["ReadOnlyMany"]}}),
            "spec",
        ),
        (
            "v1 PersistentVolume",
            json!({"spec": {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}}),
            json!({"spec": {"hostPath": {"path": "/y"}}}),
            "spec.persistentvolumesource",
        ),
        (
            "storage.k8s.io/v1 StorageClass",
            json!({"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
            json!({"provisioner": "example.com/other"}),
            "provisioner",
        ),
        (
            "scheduling.k8s.io/v1 PriorityClass",
            json!({"preemptionPolicy": "PreemptLowerPriority"}),
            json!({"value": 11}),
            "value",
        ),
        (
            "rbac.authorization.k8s.io/v1 RoleBinding",
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io"}}),
            json!({"roleRef": {"name": "edit"}}),
            "roleRef",
        ),
        ("v1 LimitRange", json!({"spec": {}}), json!({"metadata": {"name": "other"}}), ""),
    ];
    for (key, filled, change, field) in rows {
        let kind = registry::all().iter().find(|kind| format!("{} {}", kind.api_version(), kind.kind) == key);
        let example = Example::of(kind.expect("is a kind"), &all);
        let created = member.post(&example.path, &example.object).await.expect(201);
        let mut with = created.clone();
        json_patch::merge(&mut with, &filled);
        assert_eq!(with, created, "{key}");
        let own = format!("{}/{}", example.path, example.name);
        let refused = member.patch(&own, "merge", &change).await;
        if field.is_empty() {
            assert_eq!(created["spec"]["limits"][0]["defaultRequest"]["cpu"], "1");
            refused.expect(400);
            continue;
        }
        let refused = refused.expect(422);
        let causes = refused["details"]["causes"].as_array().expect("causes");
        assert!(causes.iter().any(|cause| cause["field"] == field), "{key}: {refused}");
    }
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |class: &str| {
        json!({"metadata": {"name": class.replace("system-", "")},
        "spec": {"priorityClassName": class, "containers": [{"name": "c", "image": "i"}]}})
    };
    let critical = member.post(pods, &pod("system-node-critical")).await.expect(201);
    assert_eq!(critical["spec"]["priority"], 2_000_001_000);
    let refused = member.post(pods, &pod("nobody")).await.expect(403);
    assert!(
        refused["message"].as_str().is_some_and(|why| why.contains("no PriorityClass with name nobody")),
        "{refused}"
    );

    let class = json!({"metadata": {"name": "usual", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "example.com/disk"});
    member.post("/apis/storage.k8s.io/v1/storageclasses", &class).await.expect(201);
    let mut claim = Example::of(registry::by_name("pvc").expect("is a kind"), &all).object;
    claim["metadata"]["name"] = "classless".into();
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    assert_eq!(member.post(claims, &claim).await.expect(201)["spec"]["storageClassName"], "usual");
}

#[test]
fn jobs_and_policies_say_what_makes_sense() {
    let all = examples();
    let rows: [(&str, Value, &str); 12] = [
        (
            "batch/v1 Job",
            json!({"spec": {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "other"}},
            "template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "other"}}}}}),
            "`selector` not auto-generated",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "Guess", "onExitCodes": {
            "operator": "In", "values": [1]}}]}}}),
            "supported values: \"Count\"",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "Ignore"}]}}}),
            "specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {
            "operator": "In", "values": [0]}}]}}}),
            "must not be 0 for the In operator",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {
            "operator": "In", "values": [2, 1]}}]}}}),
            "must be ordered",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "FailIndex", "onExitCodes": {
            "operator": "In", "values": [1]}}]}}}),
            "requires the backoffLimitPerIndex",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"successPolicy": {"rules": [{"succeededCount": 1}]}}}),
            "requires indexed completion mode",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [
            {"succeededIndexes": "0,2-3"}]}}}),
            "indexes must be less than 3",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [
            {"succeededIndexes": "0,2", "succeededCount": 3}]}}}),
            "must be less than or equal to 2 (the number of indexes",
        ),
        (
            "networking.k8s.io/v1 NetworkPolicy",
            json!({"spec": {"ingress": [{"from": [{"ipBlock": {
            "cidr": "10.1.0.0/16", "except": ["10.2.0.0/24"]}}]}]}}),
            "must be a strict subset of `cidr`",
        ),
        (
            "networking.k8s.io/v1 NetworkPolicy",
            json!({"spec": {"ingress": [{"from": [{"ipBlock": {
            "cidr": "10.1.0.0/16", "except": ["10.1.0.0/16"]}}]}]}}),
            "must be a strict subset of `cidr`",
        ),
        (
            "networking.k8s.io/v1 NetworkPolicy",
            json!({"spec": {"ingress": [{"from": [{"ipBlock": {
            "cidr": "::/0", "except": ["10.1.0.0/16"]}}]}]}}),
            "must be a strict subset of `cidr`",
        ),
    ];
    let complaints = |key: &str, change: &Value| {
        let kind = registry::all().iter().find(|kind| format!("{} {}", kind.api_version(), kind.kind) == key);
        let kind = kind.expect("is a kind");
        let mut object = Example::of(kind, &all).object;
        place(kind, &mut object);
        json_patch::merge(&mut object, change);
        kind.default(&mut object);
        kind.prepare_create(&mut object);
        kind.validate_create(&object).iter().map(ToString::to_string).collect::<Vec<String>>().join("; ")
    };
    for (key, change, why) in rows {
        let said = complaints(key, &change);
        assert!(said.contains(why), "{key} {change}: {said}");
    }
    for (key, change) in [
        (
            "batch/v1 Job",
            json!({"spec": {"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [
            {"succeededIndexes": "0-1,2", "succeededCount": 3}]}}}),
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"template": {"spec": {"restartPolicy": "Never"}}, "podFailurePolicy": {"rules": [
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 2]}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}}}),
        ),
        (
            "networking.k8s.io/v1 NetworkPolicy",
            json!({"spec": {"ingress": [{"from": [{"ipBlock": {
            "cidr": "0.0.0.0/0", "except": ["10.1.0.0/16"]}}]}]}}),
        ),
    ] {
        assert_eq!(complaints(key, &change), "", "{key} {change}");
    }
}

/// What the API adds to an object before it is looked at.
fn place(kind: &Kind, object: &mut Value) {
    object["metadata"]["uid"] = "own".into();
    if kind.namespaced {
        object["metadata"]["namespace"] = "default".into();
    }
}

#[test]
fn updates_keep_what_counts_and_no_more() {
    let kind = |name: &str| registry::by_name(name).expect("is a kind");
    let refused = |name: &str, old: &Value, new: &Value| !kind(name).validate_update(new, old).is_empty();
    let all = examples();
    let object = |name: &str, change: Value| {
        let mut object = Example::of(kind(name), &all).object;
        json_patch::merge(&mut object, &change);
        object["metadata"]["resourceVersion"] = "1".into();
        place(kind(name), &mut object);
        kind(name).default(&mut object);
        object
    };
    let absent = object("statefulsets", json!({"spec": {"serviceName": null}}));
    let empty = object("statefulsets", json!({"spec": {"serviceName": ""}}));
    assert!(!refused("statefulsets", &absent, &empty) && !refused("statefulsets", &empty, &absent));
    assert!(refused("statefulsets", &absent, &object("statefulsets", json!({"spec": {"serviceName": "other"}}))));

    // It was to grow from 2 to 9, and has 5 by now.
    let claim = |change: Value| {
        let mut claim = object(
            "persistentvolumeclaims",
            json!({
            "spec": {"resources": {"requests": {"storage": "9Gi"}}},
            "status": {"phase": "Bound", "capacity": {"storage": "5Gi"}}}),
        );
        json_patch::merge(&mut claim, &change);
        claim
    };
    let old = claim(json!({}));
    let asks = |storage: &str| claim(json!({"spec": {"resources": {"requests": {"storage": storage}}}}));
    for (new, bad) in [
        (asks("10Gi"), false),
        (asks("6Gi"), false),
        (asks("5Gi"), true),
        (asks("1Gi"), true),
        (claim(json!({"spec": {"resources": {"limits": {"storage": "20Gi"}}}})), true),
    ] {
        assert_eq!(refused("persistentvolumeclaims", &old, &new), bad, "{}", new["spec"]);
    }
}
