//! How a pod fares when its node runs out: decided by what it requests and is limited to.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::json::{entries, items, text};
use crate::quantity::Quantity;

/// `Guaranteed` when every container is limited in cpu and memory to just what it requests, `BestEffort` when none says
/// anything about them, else `Burstable`.
pub(super) fn class(spec: &Value) -> &'static str {
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    let mut all_limited = true;
    for (_, container) in items(&spec["initContainers"]).chain(items(&spec["containers"])) {
        let resources = &container["resources"];
        add(&mut requests, &resources["requests"]);
        let limited = add(&mut limits, &resources["limits"]);
        all_limited &= limited == 2;
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if all_limited && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds what counts, and tells how many resources that were.
fn add<'a>(sums: &mut BTreeMap<&'a str, Quantity>, amounts: &'a Value) -> usize {
    let mut counted = 0;
    for (resource, amount) in entries(amounts) {
        if !matches!(resource.as_str(), "cpu" | "memory") {
            continue;
        }
        if let Ok(quantity) = text(amount).parse::<Quantity>()
            && !quantity.is_zero()
        {
            *sums.entry(resource).or_default() += quantity;
            counted += 1;
        }
    }
    counted
}
