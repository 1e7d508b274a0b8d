//! Lists that are sets or have keys hold nothing twice. This is checked beside the other keywords, and told with paths that
//! put the keys of maps in brackets.

use std::collections::HashMap;

use keelson_types::field::{Error, Path};
use serde_json::{Map, Value};

use crate::node::{ListType, Node};

/// What stands twice in the lists of `value`.
pub(crate) fn check(value: &Value, node: &Node, path: &Path<'_>, errors: &mut Vec<Error>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(field) = node.properties.get(name) {
                    check(value, field, &path.child(name), errors);
                } else if let Some(field) = node.additional.node() {
                    check(value, field, &path.key(name), errors);
                }
            }
        }
        Value::Array(elements) => {
            match node.list {
                ListType::Atomic => {}
                ListType::Set => twice(elements.iter().cloned(), path, errors),
                ListType::Map => keyed(elements, &node.keys, path, errors),
            }
            if let Some(item) = node.items.as_deref() {
                for (index, element) in elements.iter().enumerate() {
                    check(element, item, &path.index(index), errors);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn keyed(elements: &[Value], keys: &[String], path: &Path<'_>, errors: &mut Vec<Error>) {
    let wrong = elements.iter().enumerate().find(|(_, element)| !element.is_object() && !element.is_null());
    if let Some((index, element)) = wrong {
        let detail = "must be an object for an array of list-type map";
        errors.push(Error::invalid(&path.index(index), element.clone(), detail));
        return;
    }
    let of_element = |element: &Value| -> Value {
        let of = |key: &String| Some((key.clone(), element.get(key)?.clone()));
        Value::Object(keys.iter().filter_map(of).collect::<Map<_, _>>())
    };
    twice(elements.iter().map(of_element), path, errors);
}

/// Tells each value that is repeated once, where it is for the second time.
fn twice(values: impl Iterator<Item = Value>, path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, value) in values.enumerate() {
        let times = seen.entry(value.to_string()).or_default();
        *times += 1;
        if *times == 2 {
            errors.push(Error::duplicate(&path.index(index), value));
        }
    }
}
