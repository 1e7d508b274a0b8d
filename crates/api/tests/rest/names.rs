//! Rules about single names, and roles within a namespace about the namespace itself.

use http::Method;
use serde_json::{Value, json};

use crate::access::{RBAC, binding, get, jane, post};
use crate::member::{Lines, Member};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

/// Gives Jane a role in a namespace with one rule.
async fn allow(member: &Member, namespace: &str, rule: Value) {
    let role = json!({"metadata": {"name": "r"}, "rules": [rule]});
    member.post(&format!("{RBAC}/namespaces/{namespace}/roles"), &role).await.expect(201);
    let bindings = format!("{RBAC}/namespaces/{namespace}/rolebindings");
    member.post(&bindings, &binding("b", "Role", "r", "developers")).await.expect(201);
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("is a list");
    items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

#[tokio::test]
async fn a_rule_about_one_name_opens_the_selection_of_that_name_and_nothing_else() {
    let member = Member::start().await;
    for name in ["mine", "yours"] {
        member.post(SECRETS, &json!({"metadata": {"name": name}})).await.expect(201);
    }
    let verbs = json!(["list", "deletecollection"]);
    let rule = json!({"verbs": verbs, "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"]});
    allow(&member, "default", rule).await;

    for (selector, seen) in [
        ("", None),
        ("metadata.name%3Dyours", None),
        ("metadata.name!%3Dmine", None),
        ("metadata.namespace%3Ddefault", None),
        ("metadata.name%3D", None),
        ("metadata.name%3Dyours,metadata.name%3Dmine", None),
        ("metadata.name%3Dmine", Some(vec!["mine"])),
        ("metadata.name%3D%3Dmine", Some(vec!["mine"])),
        ("metadata.name%3Dmine,metadata.name%3Dyours", Some(vec![])),
    ] {
        for limit in ["", "&limit=10"] {
            let answer = get(&member, jane(), &format!("{SECRETS}?fieldSelector={selector}{limit}")).await;
            match &seen {
                None => drop(answer.expect(403)),
                Some(seen) => assert_eq!(names(&answer.expect(200)), *seen, "{selector}"),
            }
        }
    }
    // To list all namespaces takes a role everywhere.
    get(&member, jane(), "/api/v1/secrets?fieldSelector=metadata.name%3Dmine").await.expect(403);

    let delete = |query: &'static str| {
        let member = &member;
        async move { member.send_as(jane(), Method::DELETE, &format!("{SECRETS}{query}"), &[], "").await }
    };
    delete("").await.expect(403);
    delete("?fieldSelector=metadata.name%3Dyours").await.expect(403);
    delete("?fieldSelector=metadata.name%3Dmine").await.expect(200);
    assert_eq!(names(&member.get(SECRETS).await.expect(200)), ["yours"]);
}

#[tokio::test]
async fn who_may_watch_one_name_sees_its_changes_alone_and_need_not_list() {
    let member = Member::start().await;
    for name in ["mine", "yours"] {
        member.post(SECRETS, &json!({"metadata": {"name": name}})).await.expect(201);
    }
    let rule = json!({"verbs": ["watch"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"]});
    allow(&member, "default", rule).await;
    get(&member, jane(), &format!("{SECRETS}?watch=true")).await.expect(403);
    get(&member, jane(), &format!("{SECRETS}/yours?watch=true")).await.expect(403);
    let by_name = format!("{SECRETS}/mine?watch=true");
    let selected = format!("{SECRETS}?watch=true&fieldSelector=metadata.name%3Dmine");
    let from_now = format!("{selected}&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
    let mut watches = Vec::new();
    for (path, begins) in [(&by_name, true), (&selected, true), (&from_now, false)] {
        let mut lines = Lines::new(member.open(jane(), Method::GET, path, &[], "").await);
        if begins {
            let line = lines.next().await.expect("a line");
            assert_eq!(
                (line["type"].as_str(), line["object"]["metadata"]["name"].as_str()),
                (Some("ADDED"), Some("mine"))
            );
        }
        watches.push(lines);
    }
    for name in ["yours", "mine"] {
        member.patch(&format!("{SECRETS}/{name}"), "merge", &json!({"data": {"a": "YQ=="}})).await.expect(200);
    }
    for mut lines in watches {
        let line = lines.next().await.expect("a line");
        assert_eq!(
            (line["type"].as_str(), line["object"]["metadata"]["name"].as_str()),
            (Some("MODIFIED"), Some("mine"))
        );
    }
}

#[tokio::test]
async fn a_role_within_a_namespace_is_about_that_namespace_too() {
    let member = Member::start().await;
    member.post("/api/v1/namespaces", &json!({"metadata": {"name": "other"}})).await.expect(201);
    let rule = json!({"verbs": ["*"], "apiGroups": [""], "resources": ["namespaces"]});
    allow(&member, "other", rule).await;
    get(&member, jane(), "/api/v1/namespaces/other").await.expect(200);
    let label = json!({"metadata": {"labels": {"a": "b"}}}).to_string();
    let merge = [("content-type", "application/merge-patch+json")];
    member.send_as(jane(), Method::PATCH, "/api/v1/namespaces/other", &merge, label).await.expect(200);
    for path in ["/api/v1/namespaces/default", "/api/v1/namespaces"] {
        get(&member, jane(), path).await.expect(403);
    }
    post(&member, jane(), "/api/v1/namespaces", &json!({"metadata": {"name": "new"}})).await.expect(403);
}
