//! The revisions of a deployment: its ReplicaSets, numbered by an annotation.

use keelson_client::{ListOptions, ObjectName, Patch, Raw};
use serde_json::{Value, json};

use crate::Error;
use crate::commands::describe::pod_template;
use crate::commands::logs::selector_of;
use crate::context::resource;
use crate::render::table::Table;
use crate::render::{items, text};
use crate::target;

const REVISION: &str = "deployment.kubernetes.io/revision";
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
const TEMPLATE_HASH: &str = "pod-template-hash";

/// A template that was rolled out.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub number: i64,
    replica_set: Value,
}

/// The deployment and its revisions, oldest first.
pub(super) async fn read(raw: &Raw, name: &ObjectName) -> Result<(Value, Vec<Revision>), Error> {
    let deployment = raw.get(name).await?;
    let replica_sets = replica_sets(raw, &deployment).await?;
    Ok((deployment, revisions(replica_sets)))
}

/// The ReplicaSets that the deployment controls.
pub(crate) async fn replica_sets(raw: &Raw, deployment: &Value) -> Result<Vec<Value>, Error> {
    let kind = target::by_name("replicasets")?;
    let namespace = text(&deployment["metadata"]["namespace"]);
    let options = ListOptions::default().labels(selector_of(deployment).unwrap_or_default());
    let list = raw.list(&resource(kind).object(namespace, ""), &options).await?;
    let uid = &deployment["metadata"]["uid"];
    let owned = |set: &Value| {
        items(&set["metadata"]["ownerReferences"])
            .iter()
            .any(|owner| owner["controller"] == true && owner["uid"] == *uid)
    };
    Ok(list.items.into_iter().filter(owned).collect())
}

fn revisions(replica_sets: Vec<Value>) -> Vec<Revision> {
    let mut revisions: Vec<Revision> = replica_sets
        .into_iter()
        .filter_map(|replica_set| {
            let number = text(&replica_set["metadata"]["annotations"][REVISION]).parse().ok()?;
            Some(Revision { number, replica_set })
        })
        .collect();
    revisions.sort_by_key(|revision| revision.number);
    revisions
}

pub(super) fn table(revisions: &[Revision]) -> Table {
    let mut table = Table::new(["REVISION", "CHANGE-CAUSE"]);
    for revision in revisions {
        let cause = text(&revision.replica_set["metadata"]["annotations"][CHANGE_CAUSE]);
        table.row([revision.number.to_string(), if cause.is_empty() { "<none>".to_owned() } else { cause }]);
    }
    table
}

pub(super) fn find<'a>(revisions: &'a [Revision], number: i64, shown: &str) -> Result<&'a Revision, Error> {
    revisions.iter().find(|revision| revision.number == number).ok_or_else(|| {
        let numbers: Vec<String> = revisions.iter().map(|revision| revision.number.to_string()).collect();
        Error::Failed(format!("{shown} has no revision {number}; it has {}", numbers.join(", ")))
    })
}

/// The revision to go back to; with 0 the one before the current.
pub(super) fn target<'a>(revisions: &'a [Revision], number: i64, shown: &str) -> Result<&'a Revision, Error> {
    match number {
        0 => revisions
            .iter()
            .rev()
            .nth(1)
            .ok_or_else(|| Error::Failed(format!("{shown} has no earlier revision to go back to"))),
        number => find(revisions, number, shown),
    }
}

/// The change that brings the revision's template back; absent when it is the current one.
pub(super) fn undo(deployment: &Value, revision: &Revision) -> Option<Patch> {
    let mut template = revision.replica_set["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(TEMPLATE_HASH);
    }
    if template == deployment["spec"]["template"] {
        return None;
    }
    // Guarded: a template that changed meanwhile is not overwritten.
    let mut operations = vec![
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": deployment["metadata"]["resourceVersion"]}),
        json!({"op": "replace", "path": "/spec/template", "value": template}),
    ];
    let cause = &revision.replica_set["metadata"]["annotations"][CHANGE_CAUSE];
    if cause.is_string() && deployment["metadata"]["annotations"].is_object() {
        let path = format!("/metadata/annotations/{}", CHANGE_CAUSE.replace('/', "~1"));
        operations.push(json!({"op": "add", "path": path, "value": cause}));
    }
    Some(Patch::Json(Value::Array(operations)))
}

pub(super) fn describe(revision: &Revision) -> String {
    let mut section = crate::render::describe::Section::new();
    section.field("Revision", revision.number.to_string());
    section.section("Pod Template", pod_template(&revision.replica_set["spec"]["template"]));
    section.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::color::Color;

    fn set(revision: &str, image: &str) -> Value {
        json!({
            "metadata": {"annotations": {REVISION: revision}},
            "spec": {"template": {
                "metadata": {"labels": {"app": "web", TEMPLATE_HASH: "5d9c"}},
                "spec": {"containers": [{"name": "web", "image": image}]},
            }},
        })
    }

    fn deployment(image: &str) -> Value {
        let template = json!({
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]},
        });
        json!({"metadata": {"resourceVersion": "7"}, "spec": {"template": template}})
    }

    #[test]
    fn revisions_are_ordered_by_number() {
        let revisions = revisions(vec![set("10", "c"), set("9", "b"), json!({"metadata": {}})]);
        assert_eq!(
            table(&revisions).render(Color::new(false)),
            "REVISION   CHANGE-CAUSE\n9          <none>\n10         <none>\n"
        );
        assert_eq!(target(&revisions, 0, "web").map(|revision| revision.number).ok(), Some(9));
        assert!(find(&revisions, 3, "web").expect_err("it is not there").to_string().ends_with("it has 9, 10"));
        assert!(target(&revisions[..1], 0, "web").is_err());
    }

    #[test]
    fn undo_brings_the_template_back_without_the_hash() {
        let revisions = revisions(vec![set("1", "old")]);
        let Some(Patch::Json(patch)) = undo(&deployment("new"), &revisions[0]) else { panic!("there is a change") };
        assert_eq!(patch[0], json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"}));
        assert_eq!(patch[1]["value"], deployment("old")["spec"]["template"]);
        assert!(undo(&deployment("old"), &revisions[0]).is_none());
    }
}
