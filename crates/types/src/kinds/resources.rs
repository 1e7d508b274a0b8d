//! Amounts of resources: on nodes, and what containers request and are limited to.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{entries, items, text};
use crate::kinds::check;
use crate::names;
use crate::quantity::Quantity;

const PAGES: &str = "hugepages-";

/// A map of resource names to amounts that are not negative.
pub(crate) fn validate_amounts(amounts: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (resource, amount) in entries(amounts) {
        let path = path.key(resource);
        check::name(resource, names::qualified_name, &path, errors);
        if !resource.contains('/') && !is_standard(resource) {
            errors.push(Error::invalid(
                &path,
                resource.as_str(),
                "must be a standard resource type or fully qualified",
            ));
        }
        match text(amount).parse::<Quantity>() {
            Err(error) => errors.push(Error::invalid(&path, amount.clone(), error.to_string())),
            Ok(quantity) if quantity.is_negative() => {
                errors.push(Error::invalid(&path, amount.clone(), "must be greater than or equal to 0"));
            }
            Ok(quantity) if is_counted(resource) && quantity.millis() % 1000 != 0 => {
                errors.push(Error::invalid(&path, amount.clone(), "must be an integer"));
            }
            Ok(_) => {}
        }
    }
}

/// Whether a resource is one that Kubernetes itself knows; others are of whoever names them.
fn is_native(resource: &str) -> bool {
    !resource.contains('/') || resource.contains("kubernetes.io/")
}

/// Whether only whole ones can be had.
fn is_counted(resource: &str) -> bool {
    !is_native(resource) || COUNTED.contains(&resource) || resource == "pods"
}

fn is_standard(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory" | "ephemeral-storage" | "storage" | "pods")
        || resource.starts_with("hugepages-")
        || resource.starts_with("attachable-volumes-")
}

/// A container's requests and limits.
pub(crate) fn validate_container(resources: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for part in ["limits", "requests"] {
        let path = path.child(part);
        for (resource, _) in entries(&resources[part]) {
            if matches!(resource.as_str(), "storage" | "pods") || resource.starts_with("attachable-volumes-") {
                let why = "must be a standard resource for containers";
                errors.push(Error::invalid(&path.key(resource), resource.as_str(), why));
            }
        }
    }
    validate(resources, path, errors);
}

/// What a pod requests and is limited to as a whole: at least what its containers request, and not less than any is limited to.
pub(crate) fn validate_pod(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let resources = &spec["resources"];
    if !resources.is_object() {
        return;
    }
    if !resources["claims"].is_null() {
        errors.push(Error::forbidden(&path.child("claims"), "claims cannot be set for Resources at pod-level"));
    }
    for part in ["limits", "requests"] {
        let path = path.child(part);
        for (resource, _) in entries(&resources[part]) {
            if (resource.contains('/') || is_standard(resource)) && !is_of_pods(resource) {
                let supported = ["cpu", "hugepages-", "memory"];
                errors.push(Error::not_supported(&path.key(resource), resource.as_str(), &supported));
            }
        }
    }
    validate(resources, path, errors);
    let amount = |value: &Value| text(value).parse::<Quantity>().ok();
    let requests = path.child("requests");
    for (resource, of_pod) in entries(&resources["requests"]) {
        let Some(most) = amount(of_pod) else { continue };
        let asked = items(&spec["containers"])
            .filter_map(|(_, container)| amount(&container["resources"]["requests"][resource]));
        let together = asked.fold(Quantity::ZERO, |sum, amount| sum + amount);
        if together > most {
            let why = format!("must be greater than or equal to aggregate container requests of {together}");
            errors.push(Error::invalid(&requests.key(resource), of_pod.clone(), why));
        }
    }
    let containers = path.child("containers");
    for (index, container) in items(&spec["containers"]) {
        let path = containers.index(index);
        for (resource, limit) in entries(&container["resources"]["limits"]) {
            let of_pod = amount(&resources["limits"][resource]);
            if amount(limit).zip(of_pod).is_some_and(|(limit, most)| limit > most) {
                let why = "must be less than or equal to the limit of the pod";
                errors.push(Error::invalid(&path.key(resource).child("limits"), limit.clone(), why));
            }
        }
    }
}

fn is_of_pods(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

/// Requests and limits: no request above its limit, and none without one where there is nothing to share.
pub(crate) fn validate(resources: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (limits, requests) = (&resources["limits"], &resources["requests"]);
    for part in ["limits", "requests"] {
        let path = path.child(part);
        validate_amounts(&resources[part], &path, errors);
        for (resource, amount) in entries(&resources[part]) {
            if !are_whole_pages(resource, text(amount)) {
                let why = format!("{} is not positive integer multiple of {resource}", text(amount));
                errors.push(Error::invalid(&path.key(resource), amount.clone(), why));
            }
        }
    }
    for (resource, request) in entries(requests) {
        let shared = is_native(resource) && !resource.starts_with(PAGES);
        let Some(limit) = limits.get(resource) else {
            if !shared {
                errors
                    .push(Error::required(&path.child("limits"), "Limit must be set for non overcommitable resources"));
            }
            continue;
        };
        let (Ok(amount), Ok(most)) = (text(request).parse::<Quantity>(), text(limit).parse::<Quantity>()) else {
            continue;
        };
        let why = match shared {
            false if amount != most => format!("must be equal to {resource} limit of {most}"),
            true if amount > most => format!("must be less than or equal to {resource} limit of {most}"),
            _ => continue,
        };
        errors.push(Error::invalid(&path.child("requests"), request.clone(), why));
    }
    let mut named = entries(limits).chain(entries(requests)).map(|(resource, _)| resource.as_str());
    let has = |wanted: fn(&str) -> bool| entries(limits).chain(entries(requests)).any(|(name, _)| wanted(name));
    if named.any(|resource| resource.starts_with(PAGES)) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.push(Error::forbidden(path, "HugePages require cpu or memory"));
    }
}

/// Huge pages are had whole: `hugepages-2Mi` in steps of 2Mi. Other resources are none.
fn are_whole_pages(resource: &str, amount: &str) -> bool {
    let Some(size) = resource.strip_prefix(PAGES) else { return true };
    let (Ok(size), Ok(amount)) = (size.parse::<Quantity>(), amount.parse::<Quantity>()) else { return false };
    size.units() > 0 && amount.units() % size.units() == 0
}

/// A map of amounts that are more than nothing.
pub(crate) fn validate_positive(amounts: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (resource, amount) in entries(amounts) {
        match text(amount).parse::<Quantity>() {
            Err(error) => errors.push(Error::invalid(&path.key(resource), amount.clone(), error.to_string())),
            Ok(quantity) if quantity.millis() <= 0 => {
                errors.push(Error::invalid(&path.key(resource), amount.clone(), "must be greater than zero"));
            }
            Ok(_) => {}
        }
    }
}

/// What a quota may count: resources, requests and limits of them, and numbers of objects.
pub(crate) fn validate_quota(amounts: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (resource, amount) in entries(amounts) {
        let path = path.key(resource);
        check::name(resource, names::qualified_name, &path, errors);
        let counted = COUNTED.contains(&resource.as_str()) || resource.contains('/') || is_standard(resource);
        let part = resource.strip_prefix("requests.").or_else(|| resource.strip_prefix("limits."));
        if !counted && !part.is_some_and(|part| is_standard(part) || part.contains('/')) {
            errors.push(Error::invalid(&path, resource.as_str(), "must be a standard resource for quota"));
        }
        match text(amount).parse::<Quantity>() {
            Err(error) => errors.push(Error::invalid(&path, amount.clone(), error.to_string())),
            Ok(quantity) if quantity.is_negative() => {
                errors.push(Error::invalid(&path, amount.clone(), "must be greater than or equal to 0"));
            }
            Ok(quantity)
                if (resource == "pods" || COUNTED.contains(&resource.as_str())) && quantity.millis() % 1000 != 0 =>
            {
                errors.push(Error::invalid(&path, amount.clone(), "must be an integer"));
            }
            Ok(_) => {}
        }
    }
}

/// Whether a quota counts it by a name that it has from Kubernetes.
pub(crate) fn is_counted_by_quotas(resource: &str) -> bool {
    let requested = resource.strip_prefix("requests.").or_else(|| resource.strip_prefix("limits."));
    let amount = matches!(requested.unwrap_or(resource), "cpu" | "memory" | "ephemeral-storage");
    amount || COUNTED.contains(&resource) || matches!(resource, "pods" | "requests.storage")
}

/// Objects that a quota counts by a name without a group.
const COUNTED: [&str; 8] = [
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];
