//! What people may do who are no administrators.

use std::sync::Arc;

use http::Method;
use keelson_api::pipeline::{Identity, User};
use serde_json::{Value, json};

use crate::member::{Answer, Member, administrator};

pub const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
pub const JSON: (&str, &str) = ("content-type", "application/json");

fn who(name: &str, groups: &[&str]) -> Identity {
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    Identity::Verified(Arc::new(User::known(name, groups)))
}

pub fn jane() -> Identity {
    who("jane", &["developers"])
}

pub async fn post(member: &Member, identity: Identity, path: &str, object: &Value) -> Answer {
    member.send_as(identity, Method::POST, path, &[JSON], object.to_string()).await
}

pub async fn get(member: &Member, identity: Identity, path: &str) -> Answer {
    member.send_as(identity, Method::GET, path, &[], "").await
}

pub fn binding(name: &str, kind: &str, role: &str, subject: &str) -> Value {
    json!({
        "metadata": {"name": name}, "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "Group", "name": subject}],
    })
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "1"}})
}

#[tokio::test]
async fn a_role_in_a_namespace_allows_what_it_says_and_there_only() {
    let member = Member::start().await;
    member.post("/api/v1/namespaces", &json!({"metadata": {"name": "other"}})).await.expect(201);
    let maps = "/api/v1/namespaces/default/configmaps";
    let refused = get(&member, jane(), maps).await.expect(403);
    assert_eq!(
        refused["message"],
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \
         \"default\""
    );
    assert_eq!(
        (refused["reason"].as_str(), refused["details"]["kind"].as_str()),
        (Some("Forbidden"), Some("configmaps"))
    );

    let role = json!({"metadata": {"name": "reader"}, "rules": [
        {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["configmaps"]},
        {"verbs": ["update"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"]},
    ]});
    member.post(&format!("{RBAC}/namespaces/default/roles"), &role).await.expect(201);
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &binding("readers", "Role", "reader", "developers")).await.expect(201);

    for name in ["mine", "yours"] {
        member.post(maps, &map(name)).await.expect(201);
    }
    get(&member, jane(), maps).await.expect(200);
    get(&member, jane(), &format!("{maps}/mine")).await.expect(200);
    get(&member, jane(), "/api/v1/namespaces/other/configmaps").await.expect(403);
    get(&member, jane(), "/api/v1/configmaps").await.expect(403);
    get(&member, jane(), "/api/v1/namespaces/default/secrets").await.expect(403);
    get(&member, who("mary", &[]), maps).await.expect(403);
    for (name, code) in [("mine", 200), ("yours", 403)] {
        let answer =
            member.send_as(jane(), Method::PUT, &format!("{maps}/{name}"), &[JSON], map(name).to_string()).await;
        answer.expect(code);
    }
    let refused = post(&member, jane(), maps, &map("new")).await.expect(403);
    assert!(refused["message"].as_str().is_some_and(|why| why.contains("cannot create resource")), "{refused}");

    member.delete(&format!("{bindings}/readers")).await.expect(200);
    get(&member, jane(), maps).await.expect(403);
}

#[tokio::test]
async fn default_roles_are_there_and_aggregate() {
    let member = Member::start().await;
    for role in ["cluster-admin", "admin", "edit", "view", "system:basic-user", "system:discovery", "system:node"] {
        let role = member.get(&format!("{RBAC}/clusterroles/{role}")).await.expect(200);
        assert_eq!(role["metadata"]["labels"]["kubernetes.io/bootstrapping"], "rbac-defaults");
        assert!(role["rules"].as_array().is_some_and(|rules| !rules.is_empty()), "{role}");
    }
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &binding("viewers", "ClusterRole", "view", "developers")).await.expect(201);
    get(&member, jane(), "/api/v1/namespaces/default/pods").await.expect(200);
    get(&member, jane(), "/api/v1/namespaces/default/secrets").await.expect(403);
    get(&member, jane(), "/apis/coordination.k8s.io/v1/namespaces/default/leases").await.expect(403);
    let more = json!({
        "metadata": {"name": "view-leases", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"verbs": ["list"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}],
    });
    member.post(&format!("{RBAC}/clusterroles"), &more).await.expect(201);
    get(&member, jane(), "/apis/coordination.k8s.io/v1/namespaces/default/leases").await.expect(200);
    member.post(&bindings, &binding("lost", "Role", "nowhere", "developers")).await.expect(201);
    let refused = get(&member, jane(), "/api/v1/namespaces/default/secrets").await.expect(403);
    let why = "RBAC: role.rbac.authorization.k8s.io \"nowhere\" not found";
    assert!(refused["message"].as_str().is_some_and(|message| message.ends_with(why)), "{refused}");
}

#[tokio::test]
async fn nobody_gives_away_what_they_do_not_have() {
    let member = Member::start().await;
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &binding("admins", "ClusterRole", "admin", "developers")).await.expect(201);
    let roles = format!("{RBAC}/namespaces/default/roles");
    let role = |name: &str, group: &str, resource: &str| {
        json!({"metadata": {"name": name}, "rules": [
            {"verbs": ["get", "delete"], "apiGroups": [group], "resources": [resource]}]})
    };
    post(&member, jane(), &roles, &role("pods", "", "pods")).await.expect(201);
    let refused = post(&member, jane(), &roles, &role("nodes", "", "nodes")).await.expect(403);
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.contains("is attempting to grant RBAC permissions not currently held"), "{message}");
    assert!(message.contains("Resources:[\"nodes\"]"), "{message}");
    let path = format!("{roles}/pods");
    let patch = json!({"rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}).to_string();
    let merge = [("content-type", "application/merge-patch+json")];
    member.send_as(jane(), Method::PATCH, &path, &merge, patch).await.expect(403);
    // What grants nothing new may change.
    let label = json!({"metadata": {"labels": {"a": "b"}}}).to_string();
    member.send_as(jane(), Method::PATCH, &path, &merge, label).await.expect(200);

    post(&member, jane(), &bindings, &binding("mine", "Role", "pods", "friends")).await.expect(201);
    post(&member, jane(), &bindings, &binding("all", "ClusterRole", "cluster-admin", "friends")).await.expect(403);
    post(&member, jane(), &format!("{RBAC}/clusterrolebindings"), &binding("all", "ClusterRole", "view", "friends"))
        .await
        .expect(403);

    // Who may bind a role need not have it.
    let binder = json!({"metadata": {"name": "binder"}, "rules": [{"verbs": ["bind"],
        "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "resourceNames": ["cluster-admin"]}]});
    member.post(&format!("{RBAC}/clusterroles"), &binder).await.expect(201);
    member.post(&bindings, &binding("binders", "ClusterRole", "binder", "developers")).await.expect(201);
    post(&member, jane(), &bindings, &binding("all", "ClusterRole", "cluster-admin", "friends")).await.expect(201);
}

#[tokio::test]
async fn everybody_may_ask_what_they_may_do() {
    let member = Member::start().await;
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &binding("viewers", "ClusterRole", "view", "developers")).await.expect(201);
    let asks = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let ask = |verb: &str, resource: &str, namespace: &str| {
        let attributes = json!({"verb": verb, "resource": resource, "namespace": namespace});
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes}})
    };
    for (verb, resource, namespace, allowed) in [
        ("list", "pods", "default", true),
        ("list", "pods", "", false),
        ("delete", "pods", "default", false),
        ("get", "secrets", "default", false),
    ] {
        let answer = post(&member, jane(), asks, &ask(verb, resource, namespace)).await.expect(201);
        assert_eq!(answer["status"]["allowed"], allowed, "{verb} {resource} in {namespace:?}");
    }
    let rules = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules = post(&member, jane(), path, &rules).await.expect(201);
    let resources = rules["status"]["resourceRules"].as_array().expect("rules");
    assert!(
        resources.iter().any(|rule| rule["resources"].as_array().is_some_and(|all| all.contains(&"pods/log".into())))
    );
    assert!(!rules["status"]["nonResourceRules"].as_array().expect("rules").is_empty());

    let about = |user: &str| {
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": ["developers"],
            "resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}})
    };
    let others = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    post(&member, jane(), others, &about("mary")).await.expect(403);
    assert_eq!(member.post(others, &about("mary")).await.expect(201)["status"]["allowed"], true);
    let mut nothing = about("mary");
    nothing["spec"]["resourceAttributes"] = Value::Null;
    let refused = member.post(others, &nothing).await.expect(422);
    assert_eq!(refused["details"]["causes"][0]["field"], "spec.resourceAttributes", "{refused}");
}

#[tokio::test]
async fn paths_need_a_role_too_and_discovery_is_everybodys() {
    let member = Member::start().await;
    for path in ["/api", "/apis", "/version", "/openapi/v3", "/apis/apps/v1"] {
        assert_eq!(get(&member, jane(), path).await.code.as_u16(), 200, "{path}");
    }
    for path in ["/", "/metrics"] {
        let refused = get(&member, jane(), path).await.expect(403);
        let why = format!("cannot get path \"{path}\"");
        assert!(refused["message"].as_str().is_some_and(|message| message.contains(&why)), "{refused}");
    }
}

#[tokio::test]
async fn who_may_impersonate_acts_as_somebody_else() {
    let member = Member::start().await;
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &binding("viewers", "ClusterRole", "view", "developers")).await.expect(201);
    let pods = "/api/v1/namespaces/default/pods";
    let as_jane = [("impersonate-user", "jane"), ("impersonate-group", "developers")];
    member.send(Method::GET, pods, &as_jane, "").await.expect(200);
    member.send(Method::GET, pods, &as_jane[..1], "").await.expect(403);
    let refused = member.send_as(who("mary", &[]), Method::GET, pods, &as_jane, "").await.expect(403);
    assert!(
        refused["message"].as_str().is_some_and(|why| why.contains("cannot impersonate resource \"users\"")),
        "{refused}"
    );
    member.send_as(administrator(), Method::GET, pods, &as_jane[1..], "").await.expect(400);
}

#[tokio::test]
async fn each_verb_is_a_right_of_its_own() {
    let member = Member::start().await;
    let role = json!({"metadata": {"name": "r"}, "rules": [
        {"verbs": ["patch", "deletecollection"], "apiGroups": [""], "resources": ["configmaps"]}]});
    member.post(&format!("{RBAC}/namespaces/default/roles"), &role).await.expect(201);
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &binding("b", "Role", "r", "developers")).await.expect(201);
    let maps = "/api/v1/namespaces/default/configmaps";

    // To apply what is not there creates it, which to patch does not cover.
    let apply = |name: &str| {
        let mut object = map(name);
        object["apiVersion"] = "v1".into();
        object["kind"] = "ConfigMap".into();
        let path = format!("{maps}/{name}?fieldManager=jane");
        let member = &member;
        let headers = [("content-type", "application/apply-patch+yaml")];
        async move { member.send_as(jane(), Method::PATCH, &path, &headers, object.to_string()).await }
    };
    let refused = apply("new").await.expect(403);
    assert!(refused["message"].as_str().is_some_and(|why| why.contains("cannot create resource")), "{refused}");
    member.post(maps, &map("new")).await.expect(201);
    apply("new").await.expect(200);

    member.send_as(jane(), Method::DELETE, &format!("{maps}/new"), &[], "").await.expect(403);
    get(&member, jane(), maps).await.expect(403);
    member.send_as(jane(), Method::DELETE, maps, &[], "").await.expect(200);
    member.get(&format!("{maps}/new")).await.expect(404);
}

#[tokio::test]
async fn the_systems_own_components_need_no_role() {
    let member = Member::start().await;
    for (name, groups) in [
        ("system:kube-scheduler", vec![]),
        ("system:kube-controller-manager", vec![]),
        ("system:node:n1", vec!["system:nodes"]),
    ] {
        get(&member, who(name, &groups), "/api/v1/namespaces/default/pods").await.expect(200);
    }
}

#[tokio::test]
async fn who_asks_before_the_roles_are_known_is_told_to_come_back() {
    let member = Member::unready().await;
    let as_mary = [("impersonate-user", "mary")];
    let pods = "/api/v1/namespaces/default/pods";
    for answer in [
        get(&member, jane(), pods).await,
        get(&member, jane(), "/version").await,
        member.send_as(jane(), Method::GET, pods, &as_mary, "").await,
    ] {
        answer.expect(503);
        assert_eq!(answer.headers["retry-after"], "1", "{answer:?}");
    }
}

#[tokio::test]
async fn a_role_of_millions_of_permissions_is_refused_and_not_multiplied_out() {
    let member = Member::start().await;
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    member.post(&bindings, &binding("admins", "ClusterRole", "admin", "developers")).await.expect(201);
    let roles = format!("{RBAC}/namespaces/default/roles");
    let words = |count: usize| (0..count).map(|number| format!("word{number}")).collect::<Vec<String>>();
    let role = |name: &str, count: usize| {
        let rule = json!({"verbs": words(count), "apiGroups": words(count), "resources": words(count),
            "resourceNames": words(count)});
        json!({"metadata": {"name": name}, "rules": [rule]})
    };
    let refused = post(&member, jane(), &roles, &role("large", 300)).await.expect(403);
    assert!(refused["message"].as_str().is_some_and(|why| why.contains("too many to compare")), "{refused}");
    // Who may escalate is not compared at all.
    member.post(&bindings, &binding("all", "ClusterRole", "cluster-admin", "owners")).await.expect(201);
    post(&member, who("owner", &["owners"]), &roles, &role("large", 300)).await.expect(201);
    let refused = member.post(&roles, &role("larger", 1_001)).await.expect(422);
    assert!(refused["message"].as_str().is_some_and(|why| why.contains("must have at most 1000")), "{refused}");
}

#[tokio::test]
async fn a_question_about_somebody_is_about_the_groups_it_lists() {
    let member = Member::start().await;
    let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    for (groups, allowed) in [(json!([]), false), (json!(["system:authenticated"]), true)] {
        let ask = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            "user": "mary", "groups": groups, "nonResourceAttributes": {"verb": "get", "path": "/api"}}});
        let answer = member.post(reviews, &ask).await.expect(201);
        assert_eq!(answer["status"]["allowed"], allowed, "{groups}");
    }
    let me = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    for (name, group) in [("mary", "system:authenticated"), ("system:anonymous", "system:unauthenticated")] {
        let headers = [JSON, ("impersonate-user", name)];
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let answer = member.send(Method::POST, path, &headers, me.clone()).await;
        // Nobody has allowed the unknown to ask who they are.
        if name == "mary" {
            assert_eq!(answer.expect(201)["status"]["userInfo"]["groups"], json!([group]));
        } else {
            answer.expect(403);
        }
    }
}

#[tokio::test]
async fn nobody_gives_a_pod_a_priority_but_its_class() {
    let member = Member::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str, change: Value| {
        let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        json_patch::merge(&mut pod["spec"], &change);
        pod
    };
    for (change, why) in [
        (
            json!({"priority": 7}),
            "the integer value of priority (7) must not be provided in pod spec; priority admission \
            controller computed 0 from the given PriorityClass name",
        ),
        (json!({"priority": 7, "priorityClassName": "system-node-critical"}), "computed 2000001000 from"),
        (
            json!({"preemptionPolicy": "Never"}),
            "the string value of PreemptionPolicy (Never) must not be provided in pod \
            spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name",
        ),
    ] {
        let refused = member.post(pods, &pod("p", change)).await.expect(403);
        assert!(refused["message"].as_str().is_some_and(|said| said.contains(why)), "{refused}");
    }
    for (name, change, priority) in [
        ("plain", json!({}), 0),
        ("said", json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}), 0),
        ("critical", json!({"priority": 2_000_001_000, "priorityClassName": "system-node-critical"}), 2_000_001_000),
    ] {
        let made = member.post(pods, &pod(name, change)).await.expect(201);
        assert_eq!(made["spec"]["priority"], priority, "{name}");
        assert_eq!(made["spec"]["preemptionPolicy"], "PreemptLowerPriority", "{name}");
    }
}
