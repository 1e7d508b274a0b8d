//! What a user may do: administrators and the system's own components everything, all others what roles allow.

use keelson_types::status::Status;

use super::Pipeline;
use super::plan::{Answer, Plan, Prepared, Write};
use super::request::{Outcome, Target, User};
use crate::rbac::{self, ADMINISTRATORS, Action, Decision, escalation};

const NODES: &str = "system:nodes";
const COMPONENTS: [&str; 2] = ["system:kube-scheduler", "system:kube-controller-manager"];
const NODE_PREFIX: &str = "system:node:";

/// What a request does, in Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
        }
    }
}

impl User {
    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// One of the system's own components, which may fence their writes and speak for nodes.
    pub fn is_component(&self) -> bool {
        COMPONENTS.contains(&self.name.as_str()) || self.is_node()
    }

    /// Whether the user may open a tunnel for nodes.
    pub fn may_host_nodes(&self) -> bool {
        self.is_node() || self.is_in(ADMINISTRATORS)
    }

    /// A node's agent.
    fn is_node(&self) -> bool {
        self.is_in(NODES) || self.name.starts_with(NODE_PREFIX)
    }

    /// Whom no role needs to allow anything: who could change the roles, and without whom nothing runs.
    pub(super) fn may_do_all(&self) -> bool {
        self.is_in(ADMINISTRATORS) || self.is_component()
    }
}

impl Pipeline {
    /// # Errors
    /// Forbidden, in Kubernetes' words.
    pub fn authorize(&self, user: &User, verb: Verb, target: &Target) -> Result<(), Status> {
        let kind = target.kind;
        let action = Action::Resource {
            verb: verb.as_str(),
            group: kind.group,
            resource: kind.plural,
            subresource: target.subresource.as_str(),
            name: &target.name,
            namespace: &target.namespace,
        };
        let decision = self.decide(user, &action);
        if decision.allowed { Ok(()) } else { Err(refusal(user, &action, &decision)) }
    }

    /// What has no object, such as the version of the server.
    ///
    /// # Errors
    /// Forbidden, in Kubernetes' words.
    pub fn authorize_path(&self, user: &User, verb: Verb, path: &str) -> Result<(), Status> {
        let action = Action::Path { verb: verb.as_str(), path };
        let decision = self.decide(user, &action);
        if decision.allowed { Ok(()) } else { Err(refusal(user, &action, &decision)) }
    }

    pub(super) fn decide(&self, user: &User, action: &Action<'_>) -> Decision {
        if user.may_do_all() {
            return Decision { allowed: true, missing: Vec::new() };
        }
        self.roles.policy(&self.caches).decide(user, action)
    }

    /// An apply that finds nothing creates, which takes more than to change.
    pub(super) fn check_creation(&self, user: &User, operation: &Prepared, plan: &Plan) -> Result<(), Status> {
        let applies = matches!(operation, Prepared::Apply { .. } | Prepared::ServerSideApply { .. });
        let creates = matches!(&plan.answer, Answer::Stored { outcome: Outcome::Created, .. });
        if applies && creates { self.authorize(user, Verb::Create, operation.target()) } else { Ok(()) }
    }

    /// Who writes roles and bindings may only grant what they have.
    pub(super) fn check_escalation(&self, user: &User, operation: &Prepared, plan: &Plan) -> Result<(), Status> {
        let target = operation.target();
        if target.kind.group != rbac::GROUP || user.may_do_all() {
            return Ok(());
        }
        let policy = self.roles.policy(&self.caches);
        for write in plan.writes.values() {
            let Write::Put { value, .. } = write else { continue };
            let new: serde_json::Value = serde_json::from_slice(value).map_err(Status::internal)?;
            let name = crate::value::metadata_text(&new, "name");
            let old = self.cached(target.kind, &target.namespace, name).ok().and_then(|old| old.value().ok());
            escalation::check(&policy, user, &new, &old.unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Forbidden, in Kubernetes' words.
pub(super) fn refusal(user: &User, action: &Action<'_>, decision: &Decision) -> Status {
    let roles = match decision.missing.as_slice() {
        [] => String::new(),
        [one] => format!(": RBAC: {one}"),
        several => format!(": RBAC: [{}]", several.join(", ")),
    };
    match *action {
        Action::Path { verb, path } => {
            let why = format!("User {:?} cannot {verb} path {path:?}{roles}", user.name);
            Status::forbidden("", "", "", &why)
        }
        Action::Resource { verb, group, resource, subresource, name, namespace } => {
            let whole = match subresource {
                "" => resource.to_owned(),
                subresource => format!("{resource}/{subresource}"),
            };
            let scope = match namespace {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {namespace:?}"),
            };
            let user = &user.name;
            let why = format!("User {user:?} cannot {verb} resource {whole:?} in API group {group:?} {scope}{roles}");
            Status::forbidden(group, resource, name, &why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, groups: &[&str]) -> User {
        User { name: name.to_owned(), groups: groups.iter().map(|&group| group.to_owned()).collect() }
    }

    #[test]
    fn only_administrators_and_components_need_no_role() {
        for (user, allowed) in [
            (user("kubernetes-admin", &["system:masters"]), true),
            (user("system:kube-scheduler", &[]), true),
            (user("system:kube-controller-manager", &[]), true),
            (user("system:node:a", &["system:nodes"]), true),
            (user("jane", &["developers"]), false),
            (user("system:masters", &[]), false),
        ] {
            assert_eq!(user.may_do_all(), allowed, "{user:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_kubernetes_says() {
        let list = Action::Resource {
            verb: "list",
            group: "",
            resource: "pods",
            subresource: "",
            name: "",
            namespace: "default",
        };
        let decision = Decision { allowed: false, missing: Vec::new() };
        let status = refusal(&user("jane", &[]), &list, &decision);
        assert_eq!(
            status.message,
            "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
        );
        assert_eq!(status.code, 403);
        let path = Action::Path { verb: "get", path: "/metrics" };
        let status = refusal(&user("jane", &[]), &path, &decision);
        assert!(status.message.contains("User \"jane\" cannot get path \"/metrics\""), "{status}");
    }
}
