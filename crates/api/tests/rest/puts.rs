//! Replacements of what is not there: some kinds are made by them, as in Kubernetes.

use std::sync::Arc;

use http::Method;
use keelson_api::pipeline::{Identity, User};
use keelson_types::registry;
use serde_json::json;

use crate::examples::{Example, examples};
use crate::member::Member;

/// Those that Kubernetes makes by a PUT. `events.k8s.io` shows the Events of the core group.
const MADE: [&str; 10] = [
    "endpoints",
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "limitranges",
    "services",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
];
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";

#[tokio::test]
async fn some_kinds_are_made_by_a_replacement_and_all_others_are_not_found() {
    let member = Member::start().await;
    let all = examples();
    let mut made = 0;
    // A CustomResourceDefinition has no example.
    for kind in registry::all()
        .iter()
        .filter(|kind| !kind.is_answered() && !kind.is_observed() && kind.kind != "CustomResourceDefinition")
    {
        let Example { path, name, object, .. } = Example::of(kind, &all);
        let own = format!("{path}/{name}");
        let answer = member.put(&own, &object).await;
        if !MADE.contains(&kind.qualified_plural().as_str()) {
            assert_eq!(answer.expect(404)["reason"], "NotFound", "{kind:?}");
            continue;
        }
        let created = answer.expect(201);
        assert_eq!(created["kind"], kind.kind, "{created}");
        assert!(created["metadata"]["uid"].is_string(), "{created}");
        assert_eq!(member.get(&own).await.expect(200), created);
        member.put(&own, &created).await.expect(200);
        assert!(member.delete(&own).await.code.is_success());

        // Who has seen it does not make it anew.
        assert_eq!(member.put(&own, &created).await.expect(409)["reason"], "Conflict", "{kind:?}");
        let mut versioned = object.clone();
        versioned["metadata"]["resourceVersion"] = created["metadata"]["resourceVersion"].clone();
        member.put(&own, &versioned).await.expect(404);
        made += 1;
    }
    assert_eq!(made, MADE.len());
}

#[tokio::test]
async fn what_a_replacement_makes_may_be_made() {
    let member = Member::start().await;
    let named = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "h"}});
    let jane = || Identity::Verified(Arc::new(User::known("jane", Vec::new())));
    let json = [("content-type", "application/json")];
    let put = || member.send_as(jane(), Method::PUT, LEASE, &json, named.to_string());
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let role = |verbs: &[&str]| {
        json!({"metadata": {"name": "leases"},
        "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": verbs}]})
    };
    member.put(&format!("{roles}/roles/leases"), &role(&["update"])).await.expect(201);
    let binding = json!({"metadata": {"name": "leases"}, "subjects": [{"kind": "User", "name": "jane"}],
        "roleRef": {"kind": "Role", "name": "leases", "apiGroup": "rbac.authorization.k8s.io"}});
    member.put(&format!("{roles}/rolebindings/leases"), &binding).await.expect(201);

    let refused = put().await.expect(403);
    assert!(
        refused["message"].as_str().is_some_and(|why| why.contains("cannot create resource \"leases\"")),
        "{refused}"
    );
    member.put(&format!("{roles}/roles/leases"), &role(&["create", "update"])).await.expect(200);
    put().await.expect(201);

    // Nobody gives away by it what they do not have.
    let grants =
        json!({"metadata": {"name": "all"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    member
        .put(
            &format!("{roles}/roles/roles"),
            &json!({"metadata": {"name": "roles"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create", "update"]}]}),
        )
        .await
        .expect(201);
    let mut second = binding;
    second["metadata"]["name"] = "roles".into();
    second["roleRef"]["name"] = "roles".into();
    member.put(&format!("{roles}/rolebindings/roles"), &second).await.expect(201);
    let path = format!("{roles}/roles/all");
    let refused = member.send_as(jane(), Method::PUT, &path, &json, grants.to_string()).await.expect(403);
    assert!(refused["message"].as_str().is_some_and(|why| why.contains("attempting to grant")), "{refused}");
}
