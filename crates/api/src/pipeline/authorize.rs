//! What a user may do. Until roles arrive: administrators and the system's own components everything, all others nothing.

use keelson_types::status::Status;

use super::request::{Subresource, Target, User};

const ADMINISTRATORS: &str = "system:masters";
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

    fn may_act(&self) -> bool {
        self.is_in(ADMINISTRATORS) || self.is_component()
    }
}

/// # Errors
/// Forbidden, in Kubernetes' words.
pub fn authorize(user: &User, verb: Verb, target: &Target) -> Result<(), Status> {
    if user.may_act() {
        return Ok(());
    }
    let kind = target.kind;
    let resource = match target.subresource {
        Subresource::None => kind.plural.to_owned(),
        Subresource::Status => format!("{}/status", kind.plural),
        Subresource::Scale => format!("{}/scale", kind.plural),
        Subresource::Binding => format!("{}/binding", kind.plural),
        Subresource::Finalize => format!("{}/finalize", kind.plural),
    };
    let scope = if target.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", target.namespace)
    };
    let why = format!(
        "User {:?} cannot {} resource {resource:?} in API group {:?} {scope}",
        user.name,
        verb.as_str(),
        kind.group,
    );
    Err(Status::forbidden(kind.group, kind.plural, &target.name, &why))
}

/// What has no object, such as the state of the cluster.
///
/// # Errors
/// Forbidden, in Kubernetes' words.
pub fn authorize_path(user: &User, verb: Verb, path: &str) -> Result<(), Status> {
    if user.may_act() {
        return Ok(());
    }
    Err(Status::forbidden("", "", "", &format!("User {:?} cannot {} path {path:?}", user.name, verb.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keelson_types::registry;

    fn user(name: &str, groups: &[&str]) -> User {
        User { name: name.to_owned(), groups: groups.iter().map(|&group| group.to_owned()).collect() }
    }

    #[test]
    fn only_administrators_and_components_may_act() {
        let target = Target {
            kind: registry::by_name("pods").expect("pods are registered"),
            namespace: "default".to_owned(),
            name: String::new(),
            subresource: Subresource::None,
        };
        for (user, allowed) in [
            (user("kubernetes-admin", &["system:masters"]), true),
            (user("system:kube-scheduler", &[]), true),
            (user("system:kube-controller-manager", &[]), true),
            (user("system:node:a", &["system:nodes"]), true),
            (user("jane", &["developers"]), false),
            (user("system:masters", &[]), false),
        ] {
            assert_eq!(authorize(&user, Verb::List, &target).is_ok(), allowed, "{user:?}");
        }
        let refusal = authorize(&user("jane", &[]), Verb::List, &target).expect_err("is refused");
        assert_eq!(
            refusal.message,
            "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
        );
        assert_eq!(refusal.code, 403);
    }
}
