//! Roles as values: what a rule allows, what a binding reaches, what the default roles hold.

use keelson_api::pipeline::User;
use keelson_api::rbac::{Action, Policy, Rule, TooMany, defaults};
use serde_json::json;

fn user(name: &str, groups: &[&str]) -> User {
    User { name: name.to_owned(), groups: groups.iter().map(|&group| group.to_owned()).collect() }
}

fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> Rule {
    let list = |text: &str| -> Vec<String> {
        text.split(',').filter(|word| !word.is_empty()).map(|word| word.replace("core", "")).collect()
    };
    Rule { verbs: list(verbs), groups: list(groups), resources: list(resources), names: list(names), paths: Vec::new() }
}

fn missing(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    keelson_api::rbac::missing(held, wanted).expect("few enough")
}

/// `verb group/resource[/subresource] name`
fn action<'a>(verb: &'a str, group: &'a str, resource: &'a str, name: &'a str) -> Action<'a> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Action::Resource { verb, group, resource, subresource, name, namespace: "default" }
}

#[test]
fn a_rule_allows_what_kubernetes_says_it_allows() {
    for (rule, action, allowed) in [
        (rule("get", "core", "pods", ""), action("get", "", "pods", "a"), true),
        (rule("get", "core", "pods", ""), action("get", "", "pods/log", "a"), false),
        (rule("get", "core", "pods/log", ""), action("get", "", "pods/log", "a"), true),
        (rule("get", "core", "pods/log", ""), action("get", "", "pods", "a"), false),
        (rule("get", "core", "*", ""), action("get", "", "pods/log", "a"), true),
        (rule("*", "*", "*/scale", ""), action("patch", "apps", "deployments/scale", "a"), true),
        (rule("*", "*", "*/scale", ""), action("patch", "apps", "deployments", "a"), false),
        (rule("get", "core", "pods", "a"), action("get", "", "pods", "a"), true),
        (rule("get", "core", "pods", "a"), action("get", "", "pods", "b"), false),
        // What has no name yet cannot be among the names.
        (rule("create", "core", "pods", "a"), action("create", "", "pods", ""), false),
        (rule("get", "apps", "pods", ""), action("get", "", "pods", "a"), false),
    ] {
        assert_eq!(rule.allows(&action), allowed, "{rule:?} {action:?}");
    }
    let paths = Rule { verbs: vec!["get".into()], paths: vec!["/healthz".into(), "/a/*".into()], ..Rule::default() };
    for (path, allowed) in [("/healthz", true), ("/healthz/x", false), ("/a/b/c", true), ("/a", false)] {
        assert_eq!(paths.allows(&Action::Path { verb: "get", path }), allowed, "{path}");
    }
}

#[test]
fn what_is_missing_is_told_one_by_one() {
    let held =
        [rule("get,list", "core", "pods", ""), rule("get", "core", "secrets", "mine"), rule("*", "apps", "*", "")];
    for (wanted, left) in [
        (rule("get", "core", "pods", ""), 0),
        (rule("get", "core", "pods", "a"), 0),
        (rule("get,delete", "core", "pods", ""), 1),
        (rule("get", "core", "secrets", "mine"), 0),
        (rule("get", "core", "secrets", ""), 1),
        (rule("get", "core", "secrets", "mine,yours"), 1),
        (rule("delete", "apps", "deployments/scale", ""), 0),
        (rule("get", "*", "pods", ""), 1),
        (rule("*", "core", "pods", ""), 1),
    ] {
        assert_eq!(missing(&held, std::slice::from_ref(&wanted)).len(), left, "{wanted:?}");
    }
    let everything = Rule::everything();
    assert!(missing(&everything, &held).is_empty());
    assert_eq!(missing(&held, &everything).len(), 2);
}

#[test]
fn bindings_reach_users_groups_and_service_accounts() {
    let policy = Policy::of(&[
        json!({"kind": "ClusterRole", "metadata": {"name": "r"},
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
        json!({"kind": "RoleBinding", "metadata": {"name": "b", "namespace": "default"},
        "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [
            {"kind": "User", "name": "jane"}, {"kind": "Group", "name": "g"},
            {"kind": "ServiceAccount", "name": "robot"},
        ]}),
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": "c"},
            "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "User", "name": "root"}]}),
    ]);
    let within = |namespace| Action::Resource {
        verb: "get",
        group: "",
        resource: "pods",
        subresource: "",
        name: "a",
        namespace,
    };
    for (user, namespace, allowed) in [
        (user("jane", &[]), "default", true),
        (user("jane", &[]), "other", false),
        (user("x", &["g"]), "default", true),
        (user("system:serviceaccount:default:robot", &[]), "default", true),
        (user("system:serviceaccount:other:robot", &[]), "default", false),
        (user("root", &[]), "other", true),
        (user("root", &[]), "", true),
        (user("g", &["jane"]), "default", false),
    ] {
        assert_eq!(policy.decide(&user, &within(namespace)).allowed, allowed, "{user:?} {namespace}");
    }
}

#[test]
fn the_default_roles_are_good_objects_and_view_is_within_edit_within_admin() {
    let objects = defaults::objects();
    for object in &objects {
        let kind = defaults::kind(object).expect("is a kind");
        let decoded = kind.decode_value(object.clone()).expect("decodes");
        assert_eq!(decoded.strict_error(), None, "{object}");
        let mut object = object.clone();
        kind.default(&mut object);
        assert_eq!(kind.validate_create(&object), Vec::new(), "{object}");
    }
    let policy = Policy::of(&objects);
    let rules = |name: &str| policy.role(&json!({"kind": "ClusterRole", "name": name}), "").expect("is there").to_vec();
    let (view, edit, admin) = (rules("view"), rules("edit"), rules("admin"));
    assert!(!view.is_empty());
    assert!(missing(&edit, &view).is_empty());
    assert!(missing(&admin, &edit).is_empty());
    assert!(!missing(&edit, &admin).is_empty() && !missing(&view, &edit).is_empty());
    assert!(missing(&rules("cluster-admin"), &admin).is_empty());
    // What is shown in a role that aggregates is what counts.
    let shown = objects.iter().find(|object| object["metadata"]["name"] == "view").expect("is there");
    assert_eq!(Rule::all_of(&shown["rules"]), view);
}

#[test]
fn long_lists_are_compared_without_being_multiplied_out() {
    let words = |count: usize| (0..count).map(|number| format!("w{number}")).collect::<Vec<String>>().join(",");
    let wide = words(300);
    let wanted = [rule(&wide, &wide, &wide, &wide)];
    assert!(missing(&[rule("*", "*", "*", "")], &wanted).is_empty());
    assert_eq!(keelson_api::rbac::missing(&[], &wanted), Err(TooMany));
    let some = words(40);
    assert_eq!(missing(&[], &[rule(&some, &some, &some, "")]).len(), 20, "are told, of 64000");
    // Several rules cover together what none of them covers alone.
    let held = [rule("w0", "*", "*", "w0"), rule("w0", "w0", "*", "w1"), rule("w0", "w1", "w0", "w1,w2")];
    assert!(missing(&held, &[rule("w0", "w0,w1", "w0", "w0,w1")]).is_empty());
    assert_eq!(missing(&held, &[rule("w0", "w0,w1", "w0,w1", "w0,w1")]), [rule("w0", "w1", "w1", "w1")]);
}

#[test]
fn what_aggregates_is_aggregated_too_and_circles_end() {
    let role = |name: &str, from: &str, resource: &str| {
        let selectors = json!([{"matchLabels": {"into": name}}]);
        let mut role = json!({"kind": "ClusterRole", "metadata": {"name": name, "labels": {"into": from}}});
        match resource {
            "" => role["aggregationRule"] = json!({"clusterRoleSelectors": selectors}),
            _ => role["rules"] = json!([{"verbs": ["get"], "apiGroups": [""], "resources": [resource]}]),
        }
        role
    };
    let policy = Policy::of(&[
        role("top", "bottom", ""),
        role("middle", "top", ""),
        role("bottom", "middle", ""),
        role("pods", "bottom", "pods"),
        role("nodes", "top", "nodes"),
    ]);
    for name in ["top", "middle", "bottom"] {
        let rules = policy.role(&json!({"kind": "ClusterRole", "name": name}), "").expect("is there");
        let mut resources: Vec<&str> = rules.iter().map(|rule| rule.resources[0].as_str()).collect();
        resources.sort_unstable();
        assert_eq!(resources, ["nodes", "pods"], "{name}");
    }
}
