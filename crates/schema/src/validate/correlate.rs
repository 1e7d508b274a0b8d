//! Finds the elements of the old list that became those of the new one.

use std::collections::HashMap;

use serde_json::Value;

use crate::node::{ListType, Node};

/// The elements of a list by their keys. Empty when the list has none: then nothing says which element was which.
pub(crate) struct Correlated<'a> {
    keys: &'a [String],
    by_keys: HashMap<String, &'a Value>,
}

impl<'a> Correlated<'a> {
    pub(crate) fn new(node: &'a Node, old: Option<&'a Value>) -> Self {
        let mut by_keys = HashMap::new();
        if node.list == ListType::Map {
            for element in old.and_then(Value::as_array).into_iter().flatten() {
                // Of two with the same keys the first counts.
                if let Some(key) = key(&node.keys, element) {
                    by_keys.entry(key).or_insert(element);
                }
            }
        }
        Correlated { keys: &node.keys, by_keys }
    }

    /// What `element` was.
    pub(crate) fn element(&self, element: &Value) -> Option<&'a Value> {
        if self.by_keys.is_empty() {
            return None;
        }
        self.by_keys.get(&key(self.keys, element)?).copied()
    }
}

/// Told apart as JSON text; absent keys are null.
fn key(keys: &[String], element: &Value) -> Option<String> {
    let fields = element.as_object()?;
    let values: Vec<&Value> = keys.iter().map(|key| fields.get(key).unwrap_or(&Value::Null)).collect();
    serde_json::to_string(&values).ok()
}
