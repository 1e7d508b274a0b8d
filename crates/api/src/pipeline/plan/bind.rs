//! A pod assigned to a node.

use std::collections::BTreeMap;

use keelson_types::status::Status;
use serde_json::json;

use super::{Answer, Guard, Plan, Planner, Write, encode};
use crate::keys;
use crate::pipeline::request::Target;
use crate::value;

impl Planner<'_> {
    /// Assigns a pod to a node.
    pub(super) fn bind(&self, target: &Target, uid: &str, node: &str) -> Result<Plan, Status> {
        let kind = target.kind;
        let found = self.cached(kind, &target.namespace, &target.name)?;
        let mut pod = found.value().map_err(Status::internal)?;
        let conflict = |why: &str| Err(Status::conflict(kind.group, "pods/binding", &target.name, why));
        let own = value::metadata_text(&pod, "uid");
        if !uid.is_empty() && uid != own {
            return conflict(&format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {own}"));
        }
        if value::is_deleting(&pod) {
            return conflict(&format!("pod {} is being deleted, cannot be assigned to a host", target.name));
        }
        match pod["spec"]["nodeName"].as_str() {
            None | Some("") => {}
            Some(bound) => return conflict(&format!("pod {} is already assigned to node {bound:?}", target.name)),
        }
        value::remove_metadata(&mut pod, "resourceVersion");
        if let Some(spec) = value::map(&mut pod, "spec") {
            spec.insert("nodeName".to_owned(), node.into());
        }
        if let Some(status) = value::map(&mut pod, "status") {
            let conditions = status.entry("conditions").or_insert_with(|| json!([]));
            if let Some(conditions) = conditions.as_array_mut() {
                conditions.retain(|condition| condition["type"] != "PodScheduled");
                conditions.push(json!({
                    "type": "PodScheduled", "status": "True", "lastProbeTime": null,
                    "lastTransitionTime": self.now_text(),
                }));
            }
        }
        let key = keys::object(kind, found.path());
        let value = encode(&pod)?;
        Ok(Plan {
            guards: vec![Guard::unmodified(key.clone(), found.revision())],
            writes: BTreeMap::from([(key, Write::Put { value, lease: 0 })]),
            answer: Answer::Bound,
            as_scale: false,
            warnings: Vec::new(),
        })
    }
}
