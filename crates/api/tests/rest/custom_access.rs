//! Roles about kinds that users define, their status and their scale.

use http::Method;
use keelson_api::pipeline::Identity;
use serde_json::{Value, json};

use crate::access::{RBAC, binding, get, jane, post};
use crate::cron_tabs::{BETA, V1, cron_tab, definition, established};
use crate::member::{Answer, Member};

async fn merge(member: &Member, identity: Identity, path: &str, patch: &Value) -> Answer {
    let headers = [("content-type", "application/merge-patch+json")];
    member.send_as(identity, Method::PATCH, path, &headers, patch.to_string()).await
}

#[tokio::test]
async fn a_kind_its_status_and_its_scale_are_allowed_each_on_their_own() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    member.post(V1, &cron_tab("a")).await.expect(201);
    let own = format!("{V1}/a");
    let refused = get(&member, jane(), V1).await.expect(403);
    assert_eq!(
        refused["message"],
        "crontabs.example.com is forbidden: User \"jane\" cannot list resource \"crontabs\" in API group \"example.com\" \
         in the namespace \"default\""
    );
    let (status, scale) = (json!({"status": {"replicas": 2}}), json!({"spec": {"replicas": 3}}));
    // What each role allows: to list, to create, to write the object, its status, its scale.
    let verbs = ["get", "list", "create", "patch"];
    for (group, resource, allowed) in [
        ("example.com", "crontabs", [true, true, true, false, false]),
        ("example.com", "crontabs/status", [false, false, false, true, false]),
        ("example.com", "crontabs/scale", [false, false, false, false, true]),
        ("example.com", "*/scale", [false, false, false, false, true]),
        ("example.com", "*", [true, true, true, true, true]),
        ("example.org", "*", [false, false, false, false, false]),
        ("", "crontabs", [false, false, false, false, false]),
    ] {
        let rules = json!([{"verbs": verbs, "apiGroups": [group], "resources": [resource]}]);
        let role = json!({"metadata": {"name": "r"}, "rules": rules});
        let (roles, bindings) =
            (format!("{RBAC}/namespaces/default/roles"), format!("{RBAC}/namespaces/default/rolebindings"));
        member.post(&roles, &role).await.expect(201);
        member.post(&bindings, &binding("b", "Role", "r", "developers")).await.expect(201);
        let made = format!("{V1}?dryRun=All");
        let answers = [
            get(&member, jane(), V1).await,
            post(&member, jane(), &made, &cron_tab("b")).await,
            merge(&member, jane(), &own, &json!({"metadata": {"labels": {"x": "y"}}})).await,
            merge(&member, jane(), &format!("{own}/status"), &status).await,
            merge(&member, jane(), &format!("{own}/scale"), &scale).await,
        ];
        let seen: Vec<bool> = answers.iter().map(|answer| answer.code != 403).collect();
        assert_eq!(seen, allowed, "{resource:?} of {group:?}");
        let good = answers.iter().filter(|answer| answer.code != 403).all(|answer| answer.code.is_success());
        assert!(good, "what is allowed is done: {answers:?}");
        get(&member, jane(), BETA).await.expect(if allowed[0] { 200 } else { 403 });
        get(&member, jane(), "/apis/example.com/v1/crontabs").await.expect(403);
        member.delete(&format!("{bindings}/b")).await.expect(200);
        member.delete(&format!("{roles}/r")).await.expect(200);
    }
}

#[tokio::test]
async fn a_cluster_role_reaches_all_namespaces_and_nobody_gives_away_a_kind_they_do_not_have() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    member.post(V1, &cron_tab("a")).await.expect(201);
    let rules = json!([{"verbs": ["list"], "apiGroups": ["example.com"], "resources": ["crontabs"]}]);
    let role = json!({"metadata": {"name": "crontab-readers"}, "rules": rules});
    member.post(&format!("{RBAC}/clusterroles"), &role).await.expect(201);
    let bound = binding("b", "ClusterRole", "crontab-readers", "developers");
    member.post(&format!("{RBAC}/clusterrolebindings"), &bound).await.expect(201);
    let list = get(&member, jane(), "/apis/example.com/v1/crontabs").await.expect(200);
    assert_eq!(list["items"][0]["metadata"]["name"], "a");

    let admin = binding("admins", "ClusterRole", "admin", "developers");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &admin).await.expect(201);
    let roles = format!("{RBAC}/namespaces/default/roles");
    let give = json!({"metadata": {"name": "w"}, "rules": [
        {"verbs": ["delete"], "apiGroups": ["example.com"], "resources": ["crontabs"]}]});
    let refused = post(&member, jane(), &roles, &give).await.expect(403);
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.contains("is attempting to grant RBAC permissions not currently held"), "{message}");
}
