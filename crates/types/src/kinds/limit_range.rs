//! LimitRange: what containers of a namespace get when they do not say, and may have at most.

use k8s_openapi::api::core::v1::LimitRange;
use serde_json::Value;

use super::resources;
use crate::field::{Error, Path};
use crate::json::{child, default_to, entries, items, items_mut, text};
use crate::kind::{Behaviour, Kind};
use crate::quantity::Quantity;

/// Pairs of which the first may not be above the second.
const ORDER: [(&str, &str, &str); 5] = [
    ("min", "max", "min value {0} is greater than max value {1}"),
    ("min", "defaultRequest", "min value {0} is greater than default request value {1}"),
    ("min", "default", "min value {0} is greater than default value {1}"),
    ("default", "max", "default value {0} is greater than max value {1}"),
    ("defaultRequest", "default", "default request value {0} is greater than default limit value {1}"),
];

pub static KIND: Kind = Kind {
    short_names: &["limits"],
    behaviour: Behaviour { created_by_update: true, default, validate, ..Behaviour::of::<LimitRange>() },
    ..Kind::namespaced::<LimitRange>("limitrange")
};

/// A container's limit is its maximum, and its request its limit or minimum, unless the range says.
fn default(object: &mut Value) {
    let Some(spec) = child(object, "spec") else { return };
    for limit in items_mut(spec, "limits") {
        if text(&limit["type"]) != "Container" {
            continue;
        }
        for (source, target) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let amounts = limit[source].clone();
            if entries(&amounts).next().is_none() {
                continue;
            }
            let Some(target) = child(limit, target) else { continue };
            for (resource, amount) in entries(&amounts) {
                default_to(target, resource, amount.clone());
            }
        }
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let path = path.child("limits");
    let mut seen = std::collections::HashSet::new();
    for (index, limit) in items(&object["spec"]["limits"]) {
        let path = path.index(index);
        let kind = text(&limit["type"]);
        if kind.is_empty() {
            errors.push(Error::required(&path.child("type"), ""));
        }
        if !seen.insert(kind) {
            errors.push(Error::duplicate(&path.child("type"), kind));
        }
        for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
            resources::validate_amounts(&limit[field], &path.child(field), errors);
        }
        if kind == "Pod" {
            for field in ["default", "defaultRequest"] {
                if entries(&limit[field]).next().is_some() {
                    let why = "may not be specified when `type` is 'Pod'";
                    errors.push(Error::forbidden(&path.child(field), why));
                }
            }
        }
        for (low, high, words) in ORDER {
            for (resource, amount) in entries(&limit[low]) {
                let Some(most) = limit[high].get(resource) else { continue };
                let (Ok(a), Ok(b)) = (text(amount).parse::<Quantity>(), text(most).parse::<Quantity>()) else {
                    continue;
                };
                if a > b {
                    let why = words.replace("{0}", text(amount)).replace("{1}", text(most));
                    errors.push(Error::invalid(&path.child(low).key(resource), amount.clone(), why));
                }
            }
        }
    }
}
