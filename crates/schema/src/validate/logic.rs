//! `allOf`, `anyOf`, `oneOf` and `not`.

use keelson_types::field::{Error, Path};
use serde_json::Value;

use super::Checking;
use super::tell::Told;
use crate::node::Node;

/// How one alternative went.
struct Outcome {
    errors: Vec<Error>,
    places: usize,
}

impl Checking<'_> {
    pub(super) fn logic(&mut self, value: &Value, old: Option<&Value>, node: &Node, path: &Path<'_>) {
        if !node.any_of.is_empty() {
            self.any_of(value, old, &node.any_of, path);
        }
        if !node.one_of.is_empty() {
            self.one_of(value, old, &node.one_of, path);
        }
        if !node.all_of.is_empty() {
            self.all_of(value, old, &node.all_of, path);
        }
        if let Some(not) = node.not.as_deref()
            && self.try_one(value, old, not, path).errors.is_empty()
        {
            self.tell(path, Told::Logic("must not validate the schema (not)".into()));
        }
    }

    fn any_of(&mut self, value: &Value, old: Option<&Value>, alternatives: &[Node], path: &Path<'_>) {
        let mut best: Option<Outcome> = None;
        for node in alternatives {
            let outcome = self.try_one(value, old, node, path);
            if outcome.errors.is_empty() {
                return;
            }
            keep_further(&mut best, outcome);
        }
        self.tell(path, Told::Logic("must validate at least one schema (anyOf)".into()));
        self.told.extend(best.into_iter().flat_map(|outcome| outcome.errors));
    }

    fn one_of(&mut self, value: &Value, old: Option<&Value>, alternatives: &[Node], path: &Path<'_>) {
        let mut best: Option<Outcome> = None;
        let mut fits = 0;
        for node in alternatives {
            let outcome = self.try_one(value, old, node, path);
            if outcome.errors.is_empty() {
                fits += 1;
                best = None;
            } else if fits == 0 {
                keep_further(&mut best, outcome);
            }
        }
        let found = match fits {
            1 => return,
            0 => "Found none valid".to_owned(),
            several => format!("Found {several} valid alternatives"),
        };
        self.tell(path, Told::Logic(format!("must validate one and only one schema (oneOf). {found}")));
        self.told.extend(best.into_iter().flat_map(|outcome| outcome.errors));
    }

    fn all_of(&mut self, value: &Value, old: Option<&Value>, parts: &[Node], path: &Path<'_>) {
        let mut fits = 0;
        for node in parts {
            let outcome = self.try_one(value, old, node, path);
            fits += usize::from(outcome.errors.is_empty());
            self.told.extend(outcome.errors);
        }
        if fits != parts.len() {
            let none = if fits == 0 { ". None validated" } else { "" };
            self.tell(path, Told::Logic(format!("must validate all the schemas (allOf){none}")));
        }
    }

    fn try_one(&mut self, value: &Value, old: Option<&Value>, node: &Node, path: &Path<'_>) -> Outcome {
        let told = std::mem::take(&mut self.told);
        let before = std::mem::take(&mut self.places);
        self.value(value, old, node, path);
        let places = std::mem::replace(&mut self.places, before);
        Outcome { errors: std::mem::replace(&mut self.told, told), places }
    }
}

fn keep_further(best: &mut Option<Outcome>, outcome: Outcome) {
    if best.as_ref().is_none_or(|best| outcome.places > best.places) {
        *best = Some(outcome);
    }
}
