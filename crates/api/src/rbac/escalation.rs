//! Nobody can give away what they do not have: who writes a role or a binding must hold all that it grants.

use keelson_types::status::Status;
use serde_json::Value;

use super::{Action, PERMISSIONS_MAX, Policy, Rule, missing};
use crate::pipeline::User;

/// Whether `user` may make `new` out of `old`, which is null for a new object.
///
/// # Errors
/// Forbidden, with what is missing.
pub fn check(policy: &Policy, user: &User, new: &Value, old: &Value) -> Result<(), Status> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&new["kind"]), text(&new["metadata"]["name"]));
    let namespace = text(&new["metadata"]["namespace"]);
    let (resource, verb, target) = match kind.as_str() {
        "Role" => ("roles", "escalate", ("roles", name.clone())),
        "ClusterRole" => ("clusterroles", "escalate", ("clusterroles", name.clone())),
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = &new["roleRef"];
            let of = if role["kind"] == "Role" { "roles" } else { "clusterroles" };
            let own = if kind == "RoleBinding" { "rolebindings" } else { "clusterrolebindings" };
            (own, "bind", (of, text(&role["name"])))
        }
        _ => return Ok(()),
    };
    let binds = verb == "bind";
    let changed = match binds {
        true => new["roleRef"] != old["roleRef"] || new["subjects"] != old["subjects"],
        false => new["rules"] != old["rules"] || new["aggregationRule"] != old["aggregationRule"],
    };
    if !changed {
        return Ok(());
    }
    let allowed = Action::Resource {
        verb,
        group: super::GROUP,
        resource: target.0,
        subresource: "",
        name: &target.1,
        namespace: &namespace,
    };
    if policy.decide(user, &allowed).allowed {
        return Ok(());
    }
    let wanted: Vec<Rule> = if binds {
        match policy.role(&new["roleRef"], &namespace) {
            Some(rules) => rules.to_vec(),
            None => {
                let kind = target.0;
                return Err(Status::not_found(super::GROUP, kind, &target.1));
            }
        }
    } else if new["aggregationRule"].is_object() && new["aggregationRule"] != old["aggregationRule"] {
        // What it will hold depends on labels that anybody may set later.
        Rule::everything().to_vec()
    } else {
        Rule::all_of(&new["rules"])
    };
    let (held, unresolved) = policy.rules(user, &namespace);
    let Ok(missing) = missing(&held, &wanted) else {
        let why = format!("more than {PERMISSIONS_MAX} single permissions are too many to compare with those held");
        return Err(Status::forbidden(super::GROUP, resource, &name, &why));
    };
    if missing.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = missing.iter().map(shown).collect();
    let mut why = format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        user.groups,
        shown.join("\n")
    );
    if !unresolved.is_empty() {
        why.push_str(&format!("; resolution errors: {unresolved:?}"));
    }
    Err(Status::forbidden(super::GROUP, resource, &name, &why))
}

fn shown(rule: &Rule) -> String {
    let mut parts = Vec::new();
    for (name, texts) in [
        ("APIGroups", &rule.groups),
        ("Resources", &rule.resources),
        ("ResourceNames", &rule.names),
        ("NonResourceURLs", &rule.paths),
        ("Verbs", &rule.verbs),
    ] {
        if !texts.is_empty() {
            parts.push(format!("{name}:{texts:?}"));
        }
    }
    format!("{{{}}}", parts.join(", "))
}
