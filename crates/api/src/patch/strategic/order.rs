//! Elements of merged lists: their identity, and the order in which a merged list ends up.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::directive;
use crate::patch::Error;

/// What identifies a list's element: the JSON text of its merge key's value, or of the scalar itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::patch) struct ElementKey(String);

impl ElementKey {
    pub(in crate::patch) fn scalar(value: &Value) -> Self {
        Self(value.to_string())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::patch) enum ElementKind {
    Scalar,
    Map,
}

/// The list at one path, seen through its merge key.
pub(in crate::patch) struct Keyed {
    merge_key: Option<&'static str>,
    path: String,
}

impl Keyed {
    pub(in crate::patch) fn new(merge_key: Option<&'static str>, path: &str) -> Self {
        Self { merge_key, path: path.to_owned() }
    }

    pub(in crate::patch) fn path(&self) -> &str {
        &self.path
    }

    /// The kind that all elements share, None for no elements.
    ///
    /// # Errors
    /// Mixed kinds, and lists in the list: neither has a defined merge.
    pub(in crate::patch) fn element_kind<'v>(
        &self,
        elements: impl Iterator<Item = &'v Value>,
    ) -> Result<Option<ElementKind>, Error> {
        let mut kind = None;
        for element in elements {
            let this = match element {
                Value::Object(_) => ElementKind::Map,
                Value::Array(_) => return Err(self.error("lists of lists cannot be merged")),
                _ => ElementKind::Scalar,
            };
            if *kind.get_or_insert(this) != this {
                return Err(self.error("the list holds objects and scalars together"));
            }
        }
        Ok(kind)
    }

    /// This, if the list has a merge key.
    pub(in crate::patch) fn required(&self) -> Result<&Self, Error> {
        match self.merge_key {
            Some(_) => Ok(self),
            None => Err(self.error("cannot merge a list of objects that has no merge key")),
        }
    }

    /// Only a scalar is a key. Merging takes null out of an element, and directives and nulls out of what is in an object: the element
    /// could never be found again.
    pub(in crate::patch) fn key(&self, element: &Value) -> Option<ElementKey> {
        match self.merge_key {
            Some(merge_key) => element.get(merge_key).filter(|key| is_scalar(key)).map(ElementKey::scalar),
            None => Some(ElementKey::scalar(element)),
        }
    }

    pub(in crate::patch) fn required_key(&self, element: &Value) -> Result<ElementKey, Error> {
        self.key(element).ok_or_else(|| {
            self.error(&format!(
                "element {element} does not contain declared merge key: {}",
                self.merge_key.unwrap_or_default()
            ))
        })
    }

    /// Where each key stands first.
    pub(in crate::patch) fn index(&self, elements: &[Value]) -> HashMap<ElementKey, usize> {
        let mut index = HashMap::with_capacity(elements.len());
        for (at, element) in elements.iter().enumerate() {
            if let Some(key) = self.key(element) {
                index.entry(key).or_insert(at);
            }
        }
        index
    }

    /// Checks that the patch's elements stand in the order that its own `$setElementOrder` demands.
    pub(super) fn check_order(&self, patched: &[Value], order: &[Value]) -> Result<(), Error> {
        let mut wanted = order.iter().map(|element| self.key(element));
        for element in patched.iter().filter(|element| !directive::is_marker(element)) {
            let key = self.required_key(element)?;
            if !wanted.any(|at| at.as_ref() == Some(&key)) {
                return Err(Error::Malformed(format!(
                    "{}: the order in the patch's list does not match its $setElementOrder list",
                    self.path
                )));
            }
        }
        Ok(())
    }

    fn error(&self, what: &str) -> Error {
        Error::Unprocessable(format!("{}: {what}", self.path))
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Array(_) | Value::Object(_))
}

/// Puts a merged list in order: elements that `wanted` names stand in its order, the others ("server only") in that of
/// `server`, and the two sorted runs are merged by the server's order where it knows both elements.
pub(in crate::patch) fn merged_order(
    merged: Vec<Value>,
    wanted: &[Value],
    server: &[Value],
    keyed: &Keyed,
) -> Vec<Value> {
    let wanted_at = keyed.index(wanted);
    let server_at = keyed.index(server);
    let position = |index: &HashMap<ElementKey, usize>, element: &Value| {
        keyed.key(element).and_then(|key| index.get(&key).copied())
    };
    let (mut wanted, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|element| position(&wanted_at, element).is_some());
    wanted.sort_by_key(|element| position(&wanted_at, element));
    others.sort_by_key(|element| position(&server_at, element).unwrap_or(usize::MAX));

    let mut ordered = Vec::with_capacity(wanted.len() + others.len());
    let mut wanted = wanted.into_iter().peekable();
    let mut others = others.into_iter().peekable();
    while let (Some(left), Some(right)) = (others.peek(), wanted.peek()) {
        let left_first = matches!((position(&server_at, left), position(&server_at, right)), (Some(left), Some(right)) if left < right);
        ordered.extend(if left_first { others.next() } else { wanted.next() });
    }
    ordered.extend(others);
    ordered.extend(wanted);
    ordered
}

/// Whether two elements share a key, so that merging by key would fold them into one.
pub(in crate::patch) fn has_duplicates(elements: &[Value], keyed: &Keyed) -> bool {
    let mut seen = HashSet::with_capacity(elements.len());
    elements.iter().filter_map(|element| keyed.key(element)).any(|key| !seen.insert(key))
}
