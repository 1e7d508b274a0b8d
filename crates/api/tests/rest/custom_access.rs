//! What people may do with objects of kinds that users define.

use http::Method;
use serde_json::json;

use crate::access::{RBAC, binding, get, jane, post};
use crate::definitions::{BETA, V1, cron_tab, definition, established};
use crate::member::{Answer, Member};

async fn merge(member: &Member, path: &str, patch: &serde_json::Value) -> Answer {
    let headers = [("content-type", "application/merge-patch+json")];
    member.send_as(jane(), Method::PATCH, path, &headers, patch.to_string()).await
}

#[tokio::test]
async fn a_role_about_a_custom_kind_allows_what_it_says() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    member.post(V1, &cron_tab("a")).await.expect(201);
    let object = format!("{V1}/a");
    let (status, scale) = (format!("{object}/status"), format!("{object}/scale"));
    let refused = get(&member, jane(), V1).await.expect(403);
    assert_eq!(
        refused["message"],
        "crontabs.example.com is forbidden: User \"jane\" cannot list resource \"crontabs\" in API group \"example.com\" in \
         the namespace \"default\""
    );

    let role = json!({"metadata": {"name": "scaler"}, "rules": [
        {"verbs": ["get", "list"], "apiGroups": ["example.com"], "resources": ["crontabs"]},
        {"verbs": ["get", "patch"], "apiGroups": ["example.com"], "resources": ["crontabs/scale"]},
    ]});
    member.post(&format!("{RBAC}/namespaces/default/roles"), &role).await.expect(201);
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &binding("scalers", "Role", "scaler", "developers")).await.expect(201);

    for allowed in [V1, BETA, &object, &scale] {
        get(&member, jane(), allowed).await.expect(200);
    }
    merge(&member, &scale, &json!({"spec": {"replicas": 2}})).await.expect(200);
    assert_eq!(member.get(&object).await.expect(200)["spec"]["replicas"], 2);
    get(&member, jane(), &status).await.expect(403);
    merge(&member, &status, &json!({"status": {"replicas": 2}})).await.expect(403);
    merge(&member, &object, &json!({"spec": {"replicas": 3}})).await.expect(403);
    post(&member, jane(), V1, &cron_tab("b")).await.expect(403);
    get(&member, jane(), "/apis/example.com/v1/crontabs").await.expect(403);
}
