//! Amounts of resources: on nodes, and what containers request and are limited to.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{entries, text};
use crate::kinds::check;
use crate::names;
use crate::quantity::Quantity;

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
            Ok(_) => {}
        }
    }
}

fn is_standard(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory" | "ephemeral-storage" | "storage" | "pods")
        || resource.starts_with("hugepages-")
        || resource.starts_with("attachable-volumes-")
}

/// A container's requests and limits: no request above its limit.
pub(crate) fn validate(resources: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (limits, requests) = (&resources["limits"], &resources["requests"]);
    validate_amounts(limits, &path.child("limits"), errors);
    validate_amounts(requests, &path.child("requests"), errors);
    for (resource, request) in entries(requests) {
        let Some(limit) = limits.get(resource) else {
            if resource.starts_with("hugepages-") {
                errors
                    .push(Error::required(&path.child("limits"), "Limit must be set for non overcommitable resources"));
            }
            continue;
        };
        let (Ok(amount), Ok(most)) = (text(request).parse::<Quantity>(), text(limit).parse::<Quantity>()) else {
            continue;
        };
        if amount > most {
            errors.push(Error::invalid(
                &path.child("requests"),
                request.clone(),
                format!("must be less than or equal to {resource} limit of {most}"),
            ));
        }
    }
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
            Ok(_) => {}
        }
    }
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
