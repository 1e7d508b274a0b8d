//! What a merge must know of a kind, and the path by which it asks.

use keelson_types::Kind;
use keelson_types::merge::{Rule, Strategy};

/// How the fields of one kind merge.
///
/// Paths are dotted, without list indices: the ports of a Deployment's containers are
/// `spec.template.spec.containers.ports`.
pub trait Schema {
    /// None is the rule of a field that nobody declared: maps merge, lists are replaced as a whole.
    fn rule(&self, path: &str) -> Option<Rule>;
}

impl Schema for Kind {
    fn rule(&self, path: &str) -> Option<Rule> {
        self.merge_key(path)
    }
}

/// A rule, as the questions that a merge asks.
#[derive(Clone, Copy)]
pub(super) struct Field {
    /// A list merges element by element instead of being replaced.
    pub merge_list: bool,
    /// Identifies an element of a merged list of maps. None for lists of scalars, which merge as sets.
    pub merge_key: Option<&'static str>,
    /// The map (or each element of the list) is a union of alternatives: a changed one keeps only the fields that the
    /// applied configuration names.
    pub retain_keys: bool,
    /// Even a map is replaced as a whole.
    pub replace: bool,
}

impl Field {
    pub(super) fn at(schema: &dyn Schema, path: &Path) -> Self {
        let rule = schema.rule(path.as_str());
        let strategy = rule.map(|rule| rule.strategy);
        Self {
            merge_list: matches!(strategy, Some(Strategy::Merge | Strategy::MergeRetainKeys)),
            merge_key: rule.and_then(|rule| rule.key),
            retain_keys: matches!(strategy, Some(Strategy::RetainKeys | Strategy::MergeRetainKeys)),
            replace: strategy == Some(Strategy::Replace),
        }
    }
}

/// The path of the field that a recursion is at.
#[derive(Default)]
pub(super) struct Path(String);

impl Path {
    /// Goes one field deeper; give the returned length to [`Path::leave`] afterwards.
    pub(super) fn enter(&mut self, field: &str) -> usize {
        let length = self.0.len();
        if length > 0 {
            self.0.push('.');
        }
        self.0.push_str(field);
        length
    }

    pub(super) fn leave(&mut self, length: usize) {
        self.0.truncate(length);
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
