//! `componentstatuses`: how the parts of the control plane are.
//!
//! The scheduler and the controllers run in whichever member leads, so they are well while one does. Each member of the store is told
//! of by itself, as the one who was asked sees it.

use std::sync::Arc;

use keelson_store::MemberStatus;
use keelson_types::status::Status;
use serde_json::{Value, json};

use super::Pipeline;
use crate::cache::Object;

impl Pipeline {
    /// All of them, at the revision that is told with them.
    pub(super) async fn components(&self, revision: i64) -> Result<Vec<Arc<Object>>, Status> {
        let kind = self.kinds.components;
        let object = |component: Value| {
            let name = component["metadata"]["name"].as_str().unwrap_or_default();
            Object::decode(kind, name, component.to_string().as_bytes(), revision).map(Arc::new)
        };
        let members = self.store.member_statuses().await;
        components(&members).into_iter().map(object).collect::<Result<_, _>>().map_err(Status::internal)
    }
}

fn components(members: &[MemberStatus]) -> Vec<Value> {
    let leaderless = if members.iter().any(|member| member.leader) { "" } else { "no member leads" };
    let loops = ["controller-manager", "scheduler"].map(|name| component(name, leaderless));
    let stores = members.iter().enumerate().map(|(index, member)| {
        let error = match member.error.as_str() {
            "" => String::new(),
            error => format!("{}: {error}", member.name),
        };
        component(&format!("etcd-{index}"), &error)
    });
    loops.into_iter().chain(stores).collect()
}

/// Well, when there is no error.
fn component(name: &str, error: &str) -> Value {
    let condition = match error {
        "" => json!({"type": "Healthy", "status": "True", "message": "ok"}),
        error => json!({"type": "Healthy", "status": "False", "error": error}),
    };
    json!({
        "apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": name}, "conditions": [condition],
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use keelson_types::kinds::component_status::KIND;

    use super::*;

    #[test]
    fn what_is_not_well_says_so() {
        let member = |name: &str, leader, error: &str| MemberStatus {
            name: name.to_owned(),
            leader,
            error: error.to_owned(),
            ..MemberStatus::default()
        };
        let said = |members: &[MemberStatus]| -> Vec<Vec<Value>> {
            let components = components(members);
            components.iter().map(|component| KIND.cells(component, Timestamp::UNIX_EPOCH)).collect()
        };
        assert_eq!(
            said(&[member("m1", true, ""), member("m2", false, "does not answer")]),
            [
                [json!("controller-manager"), json!("Healthy"), json!("ok"), json!("")],
                [json!("scheduler"), json!("Healthy"), json!("ok"), json!("")],
                [json!("etcd-0"), json!("Healthy"), json!("ok"), json!("")],
                [json!("etcd-1"), json!("Unhealthy"), json!(""), json!("m2: does not answer")],
            ]
        );
        let lost = said(&[member("m1", false, "")]);
        assert_eq!(lost[1], [json!("scheduler"), json!("Unhealthy"), json!(""), json!("no member leads")]);
    }
}
