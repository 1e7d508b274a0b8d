//! Taints keep pods off that do not tolerate them (`NoSchedule`, `NoExecute`) or make a node worse (`PreferNoSchedule`).

use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::{Event, Filter, Normalize, Reasons, Score};
use crate::node::NodeInfo;
use crate::pod::Shape;

pub const FILTER: Filter = Filter { name: "TaintToleration", filter, helped_by: &[Event::Node] };
pub const SCORE: Score =
    Score { name: "TaintToleration", weight: 3, score: intolerable_preferences, normalize: Normalize::LowestIsBest };

fn filter(shape: &Shape, node: &NodeInfo) -> Option<Reasons> {
    let hard = node.taints.iter().filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
    let taint = hard.into_iter().find(|taint| !tolerates(&shape.tolerations, taint))?;
    let value = taint.value.as_deref().unwrap_or_default();
    Some(vec![format!("node(s) had untolerated taint {{{}: {value}}}", taint.key)])
}

fn intolerable_preferences(shape: &Shape, node: &NodeInfo) -> i64 {
    let soft = node.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
    let count = soft.filter(|taint| !tolerates(&shape.tolerations, taint)).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether one of the tolerations covers the taint.
pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| {
        let key = toleration.key.as_deref().unwrap_or_default();
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let value_matches = match toleration.operator.as_deref() {
            Some("Exists") => true,
            None | Some("" | "Equal") => {
                toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
            }
            Some(_) => false,
        };
        (effect.is_empty() || effect == taint.effect)
            && (key == taint.key || (key.is_empty() && toleration.operator.as_deref() == Some("Exists")))
            && value_matches
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint { key: key.to_owned(), value: Some(value.to_owned()), effect: effect.to_owned(), ..Taint::default() }
    }

    fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Toleration {
            key: some(key),
            operator: some(operator),
            value: some(value),
            effect: some(effect),
            ..Toleration::default()
        }
    }

    #[test]
    fn a_toleration_covers_by_key_value_and_effect() {
        let gpu = taint("gpu", "yes", "NoSchedule");
        for (toleration, covers) in [
            (toleration("gpu", "", "yes", ""), true),
            (toleration("gpu", "Equal", "yes", "NoSchedule"), true),
            (toleration("gpu", "Equal", "no", ""), false),
            (toleration("gpu", "Exists", "", ""), true),
            (toleration("", "Exists", "", ""), true),
            (toleration("", "Exists", "", "NoExecute"), false),
            (toleration("", "", "", ""), false),
            (toleration("disk", "Exists", "", ""), false),
            (toleration("gpu", "Near", "yes", ""), false),
        ] {
            assert_eq!(tolerates(std::slice::from_ref(&toleration), &gpu), covers, "{toleration:?}");
        }
    }
}
