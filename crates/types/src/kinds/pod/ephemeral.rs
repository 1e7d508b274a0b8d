//! Containers for debugging: added to a pod that exists, by a subresource of their own, and never changed or removed again.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{entries, items, set, text};

/// What they have in common with other containers.
const ALLOWED: [&str; 17] = [
    "name",
    "image",
    "command",
    "args",
    "workingDir",
    "envFrom",
    "env",
    "volumeMounts",
    "volumeDevices",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "imagePullPolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
    "targetContainerName",
];

/// Takes them over from what was sent, and nothing else.
pub(super) fn prepare(new: &mut Value, sent: &Value) {
    let Some(spec) = new.get_mut("spec") else { return };
    match sent["spec"].get("ephemeralContainers") {
        Some(containers) => set(spec, "ephemeralContainers", containers.clone()),
        None => {
            if let Some(fields) = spec.as_object_mut() {
                fields.remove("ephemeralContainers");
            }
        }
    }
}

/// Where there must be none yet.
pub(crate) fn refuse(spec: &Value, path: &Path<'_>, why: &str, errors: &mut Vec<Error>) {
    if items(&spec["ephemeralContainers"]).next().is_some() {
        errors.push(Error::forbidden(&path.child("ephemeralContainers"), why));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    if super::is_static(old) {
        errors.push(Error::forbidden(&Path::new(""), "static pods do not support ephemeral containers"));
        return;
    }
    let spec = Path::new("spec");
    let path = spec.child("ephemeralContainers");
    let after = items(&new["spec"]["ephemeralContainers"]).map(|(_, container)| (text(&container["name"]), container));
    let after: HashMap<&str, &Value> = after.collect();
    for (_, before) in items(&old["spec"]["ephemeralContainers"]) {
        let name = text(&before["name"]);
        match after.get(name) {
            None => {
                let why = format!("existing ephemeral containers {name:?} may not be removed");
                errors.push(Error::forbidden(&path, why));
            }
            Some(after) if *after != before => {
                let why = format!("existing ephemeral containers {name:?} may not be changed");
                errors.push(Error::forbidden(&path, why));
            }
            Some(_) => {}
        }
    }
}

/// What only these may not have. The rest is checked as with all containers.
pub(super) fn validate(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let list = path.child("ephemeralContainers");
    let others: HashSet<&str> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| items(&spec[list]))
        .map(|(_, container)| text(&container["name"]))
        .collect();
    for (index, container) in items(&spec["ephemeralContainers"]) {
        let path = list.index(index);
        for (field, value) in entries(container) {
            if !ALLOWED.contains(&field.as_str()) && !says_nothing(value) {
                errors.push(Error::forbidden(&path.child(field), "cannot be set for an Ephemeral Container"));
            }
        }
        let target = text(&container["targetContainerName"]);
        if !target.is_empty() && !others.contains(target) {
            errors.push(Error::not_found(&path.child("targetContainerName"), target));
        }
        let mounts = path.child("volumeMounts");
        for (index, mount) in items(&container["volumeMounts"]) {
            for field in ["subPath", "subPathExpr"] {
                if !text(&mount[field]).is_empty() {
                    let path = mounts.index(index);
                    errors.push(Error::forbidden(&path.child(field), "cannot be set for an Ephemeral Container"));
                }
            }
        }
    }
}

/// As a field that is not there.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::KIND;
    use super::*;
    use crate::kind::Target;

    fn pod(ephemeral: Value) -> Value {
        let mut pod = json!({"metadata": {"name": "p", "namespace": "d", "generation": 1}, "spec": {
            "containers": [{"name": "a", "image": "i"}], "ephemeralContainers": ephemeral,
        }});
        KIND.default(&mut pod);
        pod
    }

    fn changed(old: &Value, new: Value) -> (Value, Vec<String>) {
        let mut new = new;
        KIND.default(&mut new);
        KIND.prepare_update(&mut new, old, Target::EphemeralContainers);
        let errors = KIND.validate_update_of(Target::EphemeralContainers, &new, old);
        (new, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn they_are_added_and_nothing_else_changes() {
        let old = pod(json!([{"name": "x", "image": "i"}]));
        let mut wanted =
            pod(json!([{"name": "x", "image": "i"}, {"name": "y", "image": "i", "targetContainerName": "a",
            "stdin": true, "tty": true}]));
        wanted["spec"]["containers"][0]["image"] = json!("other");
        wanted["metadata"]["labels"] = json!({"a": "b"});
        let (new, errors) = changed(&old, wanted);
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(new["spec"]["ephemeralContainers"][1]["terminationMessagePolicy"], "File");
        assert_eq!(
            (&new["spec"]["containers"], &new["metadata"]["labels"]),
            (&old["spec"]["containers"], &Value::Null)
        );
        assert_eq!(new["metadata"]["generation"], 2);
    }

    #[test]
    fn what_may_not_be_is_told_as_kubernetes_tells_it() {
        let old = pod(json!([{"name": "x", "image": "i"}]));
        let kept = json!({"name": "x", "image": "i"});
        let list = "spec.ephemeralContainers";
        for (ephemeral, complaint) in [
            (json!([]), format!("{list}: Forbidden: existing ephemeral containers \"x\" may not be removed")),
            (
                json!([{"name": "x", "image": "other"}]),
                format!("{list}: Forbidden: existing ephemeral containers \"x\" may not be changed"),
            ),
            (
                json!([kept, {"name": "y", "image": "i", "ports": [{"containerPort": 1}]}]),
                format!("{list}[1].ports: Forbidden: cannot be set for an Ephemeral Container"),
            ),
            (
                json!([kept, {"name": "y", "image": "i", "resources": {"limits": {"cpu": "1"}}}]),
                format!("{list}[1].resources: Forbidden: cannot be set for an Ephemeral Container"),
            ),
            (
                json!([kept, {"name": "y", "image": "i", "livenessProbe": {"exec": {"command": ["x"]}}}]),
                format!("{list}[1].livenessProbe: Forbidden: cannot be set for an Ephemeral Container"),
            ),
            (
                json!([kept, {"name": "y", "image": "i", "targetContainerName": "none"}]),
                format!("{list}[1].targetContainerName: Not found: \"none\""),
            ),
            (json!([kept, {"name": "a", "image": "i"}]), format!("{list}[1].name: Duplicate value: \"a\"")),
            (json!([kept, {"name": "y"}]), format!("{list}[1].image: Required value")),
        ] {
            let (_, errors) = changed(&old, pod(ephemeral));
            assert!(errors.contains(&complaint), "{complaint}: {errors:?}");
        }
        let created: Vec<_> = KIND.validate_create(&old).iter().map(ToString::to_string).collect();
        assert_eq!(created, [format!("{list}: Forbidden: cannot be set on create")]);
        let mut removed = old.clone();
        removed["spec"]["ephemeralContainers"] = json!([]);
        assert!(!KIND.validate_update(&removed, &old).is_empty(), "only by their own subresource");
        let deployment = &crate::kinds::deployment::KIND;
        let mut template = json!({"metadata": {"name": "d", "namespace": "d"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": old["spec"]},
        }});
        deployment.default(&mut template);
        let errors: Vec<_> = deployment.validate_create(&template).iter().map(ToString::to_string).collect();
        let why = "Forbidden: ephemeral containers not allowed in pod template";
        assert_eq!(errors, [format!("spec.template.{list}: {why}")]);
    }
}
