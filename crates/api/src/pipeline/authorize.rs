//! What a user may do: administrators and the system's own components everything, all others what roles allow.

use keelson_types::selector::FieldSelector;
use keelson_types::status::{Details, Status};

use super::Pipeline;
use super::offer;
use super::plan::{Answer, Plan, Prepared, Write};
use super::request::{Outcome, Subresource, Target, User};
use crate::rbac::{self, ADMINISTRATORS, Action, Decision, escalation};

const NODES: &str = "system:nodes";
const COMPONENTS: [&str; 2] = ["system:kube-scheduler", "system:kube-controller-manager"];
const NODE_PREFIX: &str = "system:node:";
/// How soon to ask again a member that does not know the roles yet.
const RETRY_SECONDS: u32 = 1;

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
    pub(crate) fn may_do_all(&self) -> bool {
        self.is_in(ADMINISTRATORS) || self.is_component()
    }
}

impl Pipeline {
    /// # Errors
    /// Forbidden, in Kubernetes' words; then MethodNotAllowed for what is not offered, and NotFound for a subresource that the kind
    /// has not.
    pub fn authorize(&self, user: &User, verb: Verb, target: &Target) -> Result<(), Status> {
        let kind = target.kind;
        // What is done with a namespace is done within it, so that its own roles count. One that is made has no roles yet.
        let namespace = match target.namespace.as_str() {
            "" if std::ptr::eq(kind, self.kinds.namespaces) && verb != Verb::Create => &target.name,
            namespace => namespace,
        };
        self.check(
            user,
            &Action::Resource {
                verb: verb.as_str(),
                group: kind.group,
                resource: kind.plural,
                subresource: target.subresource.as_str(),
                name: &target.name,
                namespace,
            },
        )?;
        offer::check(verb, kind, target.subresource)
    }

    /// The same for what is about many objects. Rules about single names count for a selection of that one name.
    ///
    /// **Invariant**: the name that is asked about is one that the selection requires, so that nothing else is shown.
    ///
    /// # Errors
    /// Forbidden, in Kubernetes' words; BadRequest for a target that is no collection; MethodNotAllowed for what is not offered.
    pub(super) fn authorize_collection(
        &self,
        user: &User,
        verb: Verb,
        target: &Target,
        field_selector: &str,
    ) -> Result<(), Status> {
        if !target.name.is_empty() || target.subresource != Subresource::None {
            return Err(Status::bad_request("a collection has neither a name nor a subresource"));
        }
        // What cannot be parsed selects nothing by name; whoever may list everything is told what is wrong with it.
        let fields = FieldSelector::parse(field_selector).unwrap_or_default();
        self.check(
            user,
            &Action::Resource {
                verb: verb.as_str(),
                group: target.kind.group,
                resource: target.kind.plural,
                subresource: "",
                name: fields.required("metadata.name").unwrap_or_default(),
                namespace: &target.namespace,
            },
        )?;
        offer::check(verb, target.kind, Subresource::None)
    }

    /// What has no object, such as the version of the server.
    ///
    /// # Errors
    /// Forbidden, in Kubernetes' words.
    pub fn authorize_path(&self, user: &User, verb: Verb, path: &str) -> Result<(), Status> {
        self.check(user, &Action::Path { verb: verb.as_str(), path })
    }

    /// # Errors
    /// Forbidden, in Kubernetes' words; Unavailable while this member does not know the roles yet.
    pub(super) fn check(&self, user: &User, action: &Action<'_>) -> Result<(), Status> {
        // Before the decision: one that was made without roles must not be told as one that was made with them.
        let ready = self.is_ready();
        let decision = self.decide(user, action);
        if decision.allowed {
            return Ok(());
        }
        if ready {
            return Err(refusal(user, action, &decision));
        }
        let mut status = Status::unavailable("this member does not know the roles yet; try again, or another member");
        status.details = Some(Box::new(Details { retry_after_seconds: RETRY_SECONDS, ..Details::default() }));
        Err(status)
    }

    pub(super) fn decide(&self, user: &User, action: &Action<'_>) -> Decision {
        if user.may_do_all() {
            return Decision { allowed: true, missing: Vec::new() };
        }
        self.roles.policy(&self.caches).decide(user, action)
    }

    /// An apply that finds nothing creates, and so does an update of some kinds: that takes more than to change.
    pub(super) fn check_creation(&self, user: &User, operation: &Prepared, plan: &Plan) -> Result<(), Status> {
        let asked = matches!(operation, Prepared::Create { .. });
        let creates = matches!(&plan.answer, Answer::Stored { outcome: Outcome::Created, .. });
        if creates && !asked { self.authorize(user, Verb::Create, operation.target()) } else { Ok(()) }
    }

    /// To approve or sign a request takes, beside the subresource, the right to speak for its signer.
    pub(super) fn check_signer(&self, user: &User, operation: &Prepared, plan: &Plan) -> Result<(), Status> {
        let target = operation.target();
        if !target.kind.approval || user.may_do_all() {
            return Ok(());
        }
        let verb = match target.subresource {
            Subresource::Approval => "approve",
            Subresource::Status => "sign",
            _ => return Ok(()),
        };
        let old = self.cached(target.kind, &target.namespace, &target.name)?.value().map_err(Status::internal)?;
        if verb == "sign" && !changes_answer(plan, &old)? {
            return Ok(());
        }
        let signer = old["spec"]["signerName"].as_str().unwrap_or_default();
        let (domain, _) = signer.split_once('/').unwrap_or((signer, ""));
        let action = |name| Action::Resource {
            verb,
            group: target.kind.group,
            resource: "signers",
            subresource: "",
            name,
            namespace: "",
        };
        let whole_domain = format!("{domain}/*");
        if self.decide(user, &action(&whole_domain)).allowed {
            return Ok(());
        }
        self.check(user, &action(signer))
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

/// Whether a plan changes what was said about a request for a certificate, or the certificate.
fn changes_answer(plan: &Plan, old: &serde_json::Value) -> Result<bool, Status> {
    for write in plan.writes.values() {
        let Write::Put { value, .. } = write else { continue };
        let new: serde_json::Value = serde_json::from_slice(value).map_err(Status::internal)?;
        if ["certificate", "conditions"].iter().any(|field| new["status"][field] != old["status"][field]) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forbidden, in Kubernetes' words.
fn refusal(user: &User, action: &Action<'_>, decision: &Decision) -> Status {
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
