//! `componentstatuses`: how the parts of the control plane are, in a form that Kubernetes has deprecated and people still ask for.
//!
//! The scheduler and the controllers run in whichever member leads, so they are well while one does. Each member of the store is told
//! of by itself, as the one who was asked sees it.

use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode};
use jiff::Timestamp;
use keelson_store::MemberStatus;
use keelson_types::status::Status;
use keelson_types::told::COMPONENT_STATUS;
use serde_json::{Value, json};

use super::frames::Frames;
use super::parameters::Parameters;
use super::respond;
use super::verbs;
use super::view::ListMeta;
use crate::pipeline::{Pipeline, Subresource, Target, User, Verb};

/// All of them, or the one of a name.
pub(super) async fn serve(
    pipeline: &Pipeline,
    user: &User,
    name: Option<&str>,
    request: Request,
) -> Result<Response, Status> {
    let (parts, _) = request.into_parts();
    let parameters = Parameters::parse(&parts.uri)?;
    if parts.method != Method::GET || parameters.flag("watch")? {
        return Err(Status::method_not_allowed());
    }
    let kind = &COMPONENT_STATUS;
    let target = Target {
        kind,
        namespace: String::new(),
        name: name.unwrap_or_default().to_owned(),
        subresource: Subresource::None,
    };
    pipeline.authorize(user, if name.is_some() { Verb::Get } else { Verb::List }, &target)?;
    let view = verbs::view(kind, &parameters, &parts.headers, false)?;
    let components = components(&pipeline.store().member_statuses().await);

    let (now, mut frames) = (Timestamp::now(), Frames::default());
    let text = |component: &Value| component.to_string().into();
    match name {
        Some(name) => {
            let found = components.iter().find(|component| component["metadata"]["name"] == name);
            let found = found.ok_or_else(|| Status::not_found(kind.group, kind.plural, name))?;
            view.object(&text(found), now, &mut frames).map_err(Status::internal)?;
        }
        None => {
            let mut list = || {
                // They have no versions: nothing of them is stored.
                view.list_open(&ListMeta::default(), &mut frames)?;
                for (index, component) in components.iter().enumerate() {
                    view.list_item(&text(component), index == 0, now, &mut frames)?;
                }
                view.list_close(&mut frames);
                Ok::<(), serde_json::Error>(())
            };
            list().map_err(Status::internal)?;
        }
    }
    respond::document(view.media, StatusCode::OK, frames.into_bytes())
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
        "apiVersion": "v1", "kind": COMPONENT_STATUS.kind, "metadata": {"name": name}, "conditions": [condition],
    })
}

#[cfg(test)]
mod tests {
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
            components.iter().map(|component| COMPONENT_STATUS.cells(component, Timestamp::UNIX_EPOCH)).collect()
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
