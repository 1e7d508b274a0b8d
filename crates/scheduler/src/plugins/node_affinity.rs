//! `nodeSelector` and required node affinity keep pods off nodes; preferred node affinity ranks the rest.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};

use super::{Event, Filter, Normalize, Reasons, Score};
use crate::node::NodeInfo;
use crate::pod::Shape;

pub const FILTER: Filter = Filter { name: "NodeAffinity", filter, helped_by: &[Event::Node] };
pub const SCORE: Score =
    Score { name: "NodeAffinity", weight: 2, score: preference, normalize: Normalize::HighestIsBest };

fn filter(shape: &Shape, node: &NodeInfo) -> Option<Reasons> {
    let selected = shape.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
    let required = shape.required_terms.as_ref();
    let affine = required.is_none_or(|terms| terms.iter().any(|term| matches(term, node)));
    (!selected || !affine).then(|| vec!["node(s) didn't match Pod's node affinity/selector".to_owned()])
}

fn preference(shape: &Shape, node: &NodeInfo) -> i64 {
    let matching = shape.preferred_terms.iter().filter(|term| matches(&term.preference, node));
    matching.map(|term| i64::from(term.weight)).sum()
}

/// A term without any requirement matches nothing.
fn matches(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let own_fields = BTreeMap::from([("metadata.name".to_owned(), node.name.clone())]);
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|requirement| holds(requirement, &node.labels))
        && fields.iter().all(|requirement| holds(requirement, &own_fields))
}

fn holds(requirement: &NodeSelectorRequirement, values: &BTreeMap<String, String>) -> bool {
    let value = values.get(&requirement.key);
    let listed = requirement.values.as_deref().unwrap_or_default();
    let compare = |compare: fn(i64, i64) -> bool| {
        let (Some(value), [bound]) = (value, listed) else { return false };
        matches!((value.parse(), bound.parse()), (Ok(value), Ok(bound)) if compare(value, bound))
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| listed.contains(value)),
        "NotIn" => value.is_none_or(|value| !listed.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(|value, bound| value > bound),
        "Lt" => compare(|value, bound| value < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_mean_what_kubernetes_means() {
        let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned()), ("cores".to_owned(), "8".to_owned())]);
        for (key, operator, values, expected) in [
            ("zone", "In", vec!["a", "b"], true),
            ("zone", "In", vec!["b"], false),
            ("rack", "In", vec!["a"], false),
            ("zone", "NotIn", vec!["b"], true),
            ("rack", "NotIn", vec!["b"], true),
            ("zone", "Exists", vec![], true),
            ("rack", "DoesNotExist", vec![], true),
            ("cores", "Gt", vec!["4"], true),
            ("cores", "Lt", vec!["8"], false),
            ("zone", "Gt", vec!["4"], false),
            ("zone", "Like", vec!["a"], false),
        ] {
            let requirement = NodeSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
            };
            assert_eq!(holds(&requirement, &labels), expected, "{key} {operator} {values:?}");
        }
    }

    #[test]
    fn an_empty_term_matches_nothing() {
        assert!(!matches(&NodeSelectorTerm::default(), &NodeInfo::default()));
    }
}
