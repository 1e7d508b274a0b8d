//! What can be done with each kind and its subresources: what discovery tells, and all that the pipeline does.
//!
//! **Invariant**: a verb that is not offered here is refused before anything happens, whichever front it came through.

use keelson_types::registry::Registry;
use keelson_types::status::Status;
use keelson_types::{Kind, binding};

use super::authorize::Verb;
use super::request::Subresource;

/// The kinds that discovery tells of.
pub fn kinds(registry: &Registry) -> impl Iterator<Item = &'static Kind> + use<'_> {
    registry.all().iter().copied().chain([&binding::KIND])
}

/// The verbs of objects and collections of a kind, in the order in which discovery tells them.
pub fn verbs(kind: &Kind) -> &'static [&'static str] {
    if kind.is_answered() {
        &["create"]
    } else if kind.is_observed() {
        &["get", "list"]
    } else if kind.group.is_empty() && kind.plural == "namespaces" {
        // Namespaces go one by one, since each takes its content with it.
        &["create", "delete", "get", "list", "patch", "update", "watch"]
    } else {
        &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    }
}

/// A subresource as discovery shows it.
pub struct Offered {
    pub name: &'static str,
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub verbs: &'static [&'static str],
}

/// The subresources of a kind.
pub fn subresources(kind: &'static Kind) -> Vec<Offered> {
    let own = |name, verbs| Offered { name, group: kind.group, version: kind.version, kind: kind.kind, verbs };
    let mut found = Vec::new();
    if kind.group.is_empty() && kind.plural == "pods" {
        found.push(Offered { kind: "Binding", ..own("binding", &["create"]) });
        found.push(Offered { group: "policy", version: "v1", kind: "Eviction", ..own("eviction", &["create"]) });
        found.push(own("ephemeralcontainers", &["get", "patch", "update"]));
        found.push(own("resize", &["get", "patch", "update"]));
        found.push(own("log", &["get"]));
        found.push(Offered { kind: "PodAttachOptions", ..own("attach", &["create", "get"]) });
        found.push(Offered { kind: "PodExecOptions", ..own("exec", &["create", "get"]) });
        found.push(Offered { kind: "PodPortForwardOptions", ..own("portforward", &["create", "get"]) });
    }
    if kind.approval {
        found.push(own("approval", &["get", "patch", "update"]));
    }
    if kind.group.is_empty() && kind.plural == "namespaces" {
        found.push(own("finalize", &["update"]));
    }
    if kind.scale {
        let verbs = &["get", "patch", "update"];
        found.push(Offered { name: "scale", group: "autoscaling", version: "v1", kind: "Scale", verbs });
    }
    if kind.status {
        found.push(own("status", &["get", "patch", "update"]));
    }
    found
}

/// # Errors
/// MethodNotAllowed for a verb that is not offered, NotFound for a subresource that the kind has not.
pub(super) fn check(verb: Verb, kind: &'static Kind, subresource: Subresource) -> Result<(), Status> {
    let offered = match subresource.as_str() {
        "" => verbs(kind),
        name => {
            let found = subresources(kind).into_iter().find(|offered| offered.name == name);
            found.ok_or_else(Status::no_such_path)?.verbs
        }
    };
    if offered.contains(&verb.as_str()) { Ok(()) } else { Err(Status::method_not_allowed()) }
}
