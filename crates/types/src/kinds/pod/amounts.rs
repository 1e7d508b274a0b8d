//! Amounts of resources that are written in another way and mean the same are no change of a pod.

use serde_json::Value;

use crate::json::{items, items_mut, text};
use crate::quantity::Quantity;

/// Gives amounts in a pod's spec the text that they have in the old one, wherever they are equal.
pub(super) fn keep_written(spec: &mut Value, old: &Value) {
    for list in ["containers", "initContainers"] {
        for (container, (_, before)) in items_mut(spec, list).zip(items(&old[list])) {
            if container["name"] == before["name"] {
                keep_of_resources(container, before);
            }
        }
    }
    keep_of_resources(spec, old);
    keep(spec, old, "overhead");
}

fn keep_of_resources(owner: &mut Value, old: &Value) {
    if let Some(resources) = owner.get_mut("resources") {
        for amounts in ["limits", "requests"] {
            keep(resources, &old["resources"], amounts);
        }
    }
}

fn keep(owner: &mut Value, old: &Value, amounts: &str) {
    let Some(amounts_now) = owner.get_mut(amounts).and_then(Value::as_object_mut) else { return };
    for (resource, amount) in amounts_now {
        if let Some(before) = old[amounts].get(resource)
            && is_same(amount, before)
        {
            *amount = before.clone();
        }
    }
}

fn is_same(amount: &Value, before: &Value) -> bool {
    let parsed = |amount: &Value| text(amount).parse::<Quantity>().ok();
    amount != before && parsed(amount).is_some_and(|amount| Some(amount) == parsed(before))
}
