//! A change of what the containers of a running pod request and are limited to: cpu and memory, and nothing else.

use serde_json::Value;

use super::{amounts, qos};
use crate::field::{Error, Path};
use crate::json::{entries, items, items_mut, set, text};
use crate::meta;

const LISTS: [&str; 2] = ["containers", "initContainers"];
const MUTABLE: [&str; 2] = ["cpu", "memory"];

/// Takes over what was sent of resources, and passes over whatever else differs. Lists of other containers are taken as they
/// are, and resources of the pod as a whole, so that they are refused.
pub(super) fn prepare(new: &mut Value, sent: &Value) {
    let same = LISTS.iter().all(|list| names(&new["spec"][*list]).eq(names(&sent["spec"][*list])));
    let Some(spec) = new.get_mut("spec") else { return };
    let old = spec.clone();
    meta::keep(spec, &sent["spec"], "resources");
    for list in LISTS {
        if !same {
            set(spec, list, sent["spec"][list].clone());
            continue;
        }
        for (container, (_, wanted)) in items_mut(spec, list).zip(items(&sent["spec"][list])) {
            for field in ["resources", "resizePolicy"] {
                meta::keep(container, wanted, field);
            }
        }
    }
    amounts::keep_written(spec, &old);
}

/// Whether a pod states resources for all its containers together.
fn states_resources(pod: &Value) -> bool {
    ["limits", "requests"].iter().any(|amounts| entries(&pod["spec"]["resources"][amounts]).next().is_some())
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    items(list).map(|(_, container)| text(&container["name"]))
}

pub(super) fn validate(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    if super::is_static(old) {
        errors.push(Error::forbidden(&Path::new(""), "static pods cannot be resized"));
        return;
    }
    if old["spec"]["os"]["name"] == "windows" {
        errors.push(Error::forbidden(&Path::new(""), "windows pods cannot be resized"));
        return;
    }
    if states_resources(old) || states_resources(new) {
        errors.push(Error::forbidden(&Path::new(""), "pods with pod-level resources cannot be resized"));
        return;
    }
    let path = Path::new("spec");
    let class = qos::class(&new["spec"]);
    let before = match text(&old["status"]["qosClass"]) {
        "" => qos::class(&old["spec"]),
        known => known,
    };
    if before != class {
        errors.push(Error::invalid(&path, class, "Pod QOS Class may not change as a result of resizing"));
    }
    let before = errors.len();
    for list in LISTS {
        validate_order(&new["spec"][list], &old["spec"][list], &path.child(list), errors);
    }
    if errors.len() > before {
        return;
    }
    let mut candidate = new["spec"].clone();
    for list in LISTS {
        let list_path = path.child(list);
        let pairs = items(&new["spec"][list]).zip(items(&old["spec"][list]));
        for ((index, container), (_, before)) in pairs {
            let path = list_path.index(index);
            let path = path.child("resources");
            if list == "initContainers" && before["restartPolicy"] != "Always" {
                if container["resources"] != before["resources"] {
                    let why = "resources for non-sidecar init containers are immutable";
                    errors.push(Error::forbidden(&path, why));
                }
                continue;
            }
            for (amounts, what) in [("limits", "resource limits"), ("requests", "resource requests")] {
                let old = &before["resources"][amounts];
                let removed = entries(old).any(|(resource, _)| container["resources"][amounts][resource].is_null());
                if removed {
                    errors.push(Error::forbidden(&path.child(amounts), format!("{what} cannot be removed")));
                }
            }
        }
        // What may change is made equal; anything that still differs may not.
        for (container, (_, before)) in items_mut(&mut candidate, list).zip(items(&old["spec"][list])) {
            if let Some(resources) = container.get_mut("resources") {
                for amounts in ["limits", "requests"] {
                    make_equal(resources, &before["resources"], amounts);
                }
            }
        }
    }
    if candidate != old["spec"] {
        errors.push(Error::forbidden(&path, "only cpu and memory resources are mutable"));
    }
}

fn validate_order(new: &Value, old: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if names(new).count() != names(old).count() {
        errors.push(Error::forbidden(path, "containers may not be added or removed on resize"));
    } else if !names(new).eq(names(old)) {
        errors.push(Error::forbidden(path, "containers may not be renamed or reordered on resize"));
    }
}

/// Gives amounts of cpu and memory their old values.
fn make_equal(resources: &mut Value, old: &Value, amounts: &str) {
    let mut equal = resources.get(amounts).and_then(Value::as_object).cloned().unwrap_or_default();
    for resource in MUTABLE {
        match old[amounts].get(resource) {
            Some(amount) => equal.insert(resource.to_owned(), amount.clone()),
            None => equal.remove(resource),
        };
    }
    match old.get(amounts) {
        Some(_) => set(resources, amounts, Value::Object(equal)),
        None if equal.is_empty() => {
            if let Some(fields) = resources.as_object_mut() {
                fields.remove(amounts);
            }
        }
        None => set(resources, amounts, Value::Object(equal)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::KIND;
    use super::*;
    use crate::kind::Target;

    fn pod() -> Value {
        let resources = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}});
        let mut pod = json!({"metadata": {"name": "p", "namespace": "d", "generation": 1}, "spec": {
            "containers": [{"name": "a", "image": "i", "resources": resources}, {"name": "b", "image": "i"}],
            "initContainers": [{"name": "x", "image": "i"}, {"name": "s", "image": "i", "restartPolicy": "Always"}],
        }});
        KIND.default(&mut pod);
        KIND.prepare_create(&mut pod);
        pod
    }

    /// What becomes of a pod by a change, and what is wrong with that.
    fn resized(old: &Value, change: impl FnOnce(&mut Value)) -> (Value, Vec<String>) {
        let mut new = old.clone();
        change(&mut new);
        KIND.default(&mut new);
        KIND.prepare_update(&mut new, old, Target::Resize);
        let errors = KIND.validate_update_of(Target::Resize, &new, old);
        (new, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn cpu_and_memory_change_and_nothing_else_does() {
        let old = pod();
        let (new, errors) = resized(&old, |pod| {
            pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1500m");
            pod["spec"]["containers"][1]["resources"] = json!({"limits": {"memory": "1Gi"}});
            pod["spec"]["initContainers"][1]["resources"] = json!({"requests": {"cpu": "1"}});
            // Passed over, as is what others do.
            pod["spec"]["containers"][0]["image"] = json!("other");
            pod["metadata"]["labels"] = json!({"a": "b"});
            pod["status"]["phase"] = json!("Failed");
        });
        assert_eq!(errors, Vec::<String>::new());
        let mut expected = old.clone();
        expected["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("1500m");
        expected["spec"]["containers"][1]["resources"] =
            json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}});
        expected["spec"]["initContainers"][1]["resources"] = json!({"requests": {"cpu": "1"}});
        expected["metadata"]["generation"] = json!(2);
        assert_eq!(new, expected);
    }

    #[test]
    fn an_amount_that_is_written_in_another_way_is_no_change() {
        let mut old = pod();
        old["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"] = json!("1Gi");
        old["spec"]["overhead"] = json!({"cpu": "1"});
        let rewrite = |pod: &mut Value| {
            let requests = json!({"cpu": "1e0", "memory": "1073741824", "ephemeral-storage": "1073741824"});
            pod["spec"]["containers"][0]["resources"]["requests"] = requests;
            pod["spec"]["overhead"]["cpu"] = json!("1000m");
        };
        let (new, errors) = resized(&old, rewrite);
        assert_eq!((new, errors), (old.clone(), Vec::new()));
        let mut new = old.clone();
        rewrite(&mut new);
        KIND.prepare_update(&mut new, &old, Target::Object);
        assert_eq!((&new, KIND.validate_update(&new, &old)), (&old, Vec::new()), "by an update as well");
    }

    #[test]
    fn resources_of_a_pod_as_a_whole_keep_it_from_being_resized() {
        let (mut with, without) = (pod(), pod());
        with["spec"]["resources"] = json!({"requests": {"cpu": "2"}, "limits": {"cpu": "2"}});
        let complaint = "Forbidden: pods with pod-level resources cannot be resized";
        for (old, wanted) in [(&with, json!("3")), (&without, json!("3")), (&with, json!("2"))] {
            let (_, errors) = resized(old, |pod| pod["spec"]["resources"]["limits"] = json!({"cpu": wanted}));
            assert!(errors.iter().any(|error| error.ends_with(complaint)), "{errors:?}");
        }
        let (_, errors) = resized(&with, |pod| pod["spec"]["containers"][1]["resources"] = json!({}));
        assert!(errors.iter().any(|error| error.ends_with(complaint)), "{errors:?}");
    }

    #[test]
    fn what_may_not_change_is_told_as_kubernetes_tells_it() {
        type Change = fn(&mut Value);
        let old = pod();
        let table: [(Change, &str); 9] = [
            (
                |pod| pod["spec"]["containers"][0]["resources"]["limits"] = json!({}),
                "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
            ),
            (
                |pod| pod["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": "1"}),
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ),
            (
                |pod| pod["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"] = json!("1Gi"),
                "spec: Forbidden: only cpu and memory resources are mutable",
            ),
            (
                |pod| {
                    let policy = json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
                    pod["spec"]["containers"][0]["resizePolicy"] = policy;
                },
                "spec: Forbidden: only cpu and memory resources are mutable",
            ),
            (
                |pod| pod["spec"]["initContainers"][0]["resources"] = json!({"requests": {"cpu": "1"}}),
                "spec.initContainers[0].resources: Forbidden: resources for non-sidecar init containers are immutable",
            ),
            (
                |pod| pod["spec"]["containers"][0]["name"] = json!("other"),
                "spec.containers: Forbidden: containers may not be renamed or reordered on resize",
            ),
            (
                |pod| pod["spec"]["containers"] = json!([pod["spec"]["containers"][0]]),
                "spec.containers: Forbidden: containers may not be added or removed on resize",
            ),
            (
                |pod| pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("3"),
                "spec.containers[0].resources.requests: Invalid value: \"3\": must be less than or equal to cpu limit of 2",
            ),
            (|pod| pod["metadata"]["annotations"] = json!({}), ""),
        ];
        for (change, complaint) in table {
            let (_, errors) = resized(&old, change);
            match complaint {
                "" => assert_eq!(errors, Vec::<String>::new()),
                complaint => assert!(errors.iter().any(|error| error == complaint), "{errors:?}"),
            }
        }
        let mut best_effort = pod();
        best_effort["spec"]["containers"][0]["resources"] = json!({});
        best_effort["status"]["qosClass"] = json!("BestEffort");
        let (_, errors) = resized(&best_effort, |pod| {
            pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}});
        });
        let complaint = "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing";
        assert_eq!(errors, [complaint]);
        let mut mirror = pod();
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        assert_eq!(resized(&mirror, |_| {}).1, ["Forbidden: static pods cannot be resized"]);
    }
}
