//! Sets of fields, as trees of path elements.
//!
//! An element is written as FieldsV1 writes it: `f:name` a field or a key of a map, `k:{"name":"a"}` an element of a list by its
//! keys, `v:"x"` an element of a set. `.` marks a node that is a member itself, beside members below it:
//!
//! ```text
//! {"f:spec": {"f:ports": {"k:{\"port\":80}": {".": {}, "f:port": {}}}}}
//! ```
//!
//! has `.spec.ports[port=80]` and `.spec.ports[port=80].port`, but neither `.spec` nor `.spec.ports`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// This node itself is in the set.
    pub member: bool,
    pub children: BTreeMap<String, Fields>,
}

impl Fields {
    /// From FieldsV1.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(value: &Value) -> Result<Fields, String> {
        let Value::Object(map) = value else { return Err("a set of fields must be an object".to_owned()) };
        let mut fields = Fields::default();
        for (element, below) in map {
            if element == "." {
                fields.member = true;
                continue;
            }
            let mut child = Fields::decode(below)?;
            child.member |= child.children.is_empty();
            fields.children.insert(canonical(element)?, child);
        }
        Ok(fields)
    }

    pub(super) fn encode(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        map.extend(self.children.iter().map(|(element, child)| (element.clone(), child.encode())));
        Value::Object(map)
    }

    pub(super) fn insert(&mut self, path: &[&str]) {
        match path {
            [] => self.member = true,
            [first, rest @ ..] => self.children.entry((*first).to_owned()).or_default().insert(rest),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Puts a child in, unless there is nothing in it.
    pub(super) fn put(&mut self, element: String, child: Fields) {
        if !child.is_empty() {
            self.children.insert(element, child);
        }
    }

    pub(super) fn with(mut self, other: &Fields) -> Fields {
        self.add(other);
        self
    }

    pub(super) fn add(&mut self, other: &Fields) {
        self.member |= other.member;
        for (element, child) in &other.children {
            self.children.entry(element.clone()).or_default().add(child);
        }
    }

    pub(super) fn without(mut self, other: &Fields) -> Fields {
        self.subtract(other);
        self
    }

    /// Takes members out, each on its own: what is below stays.
    pub(super) fn subtract(&mut self, other: &Fields) {
        self.member &= !other.member;
        for (element, child) in &other.children {
            if let Some(own) = self.children.get_mut(element) {
                own.subtract(child);
                if own.is_empty() {
                    self.children.remove(element);
                }
            }
        }
    }

    pub(super) fn intersection(&self, other: &Fields) -> Fields {
        let mut both = Fields { member: self.member && other.member, children: BTreeMap::new() };
        for (element, child) in &self.children {
            if let Some(other) = other.children.get(element) {
                both.put(element.clone(), child.intersection(other));
            }
        }
        both
    }

    /// The same, where a field that has members below it is a member, too.
    pub(super) fn members_and_structs(&self) -> Fields {
        let children = self.children.iter().map(|(element, child)| {
            let mut child = child.members_and_structs();
            child.member |= element.starts_with("f:");
            (element.clone(), child)
        });
        Fields { member: self.member, children: children.collect() }
    }

    /// Each member, as people read it: `.spec.ports[port=80].name`.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.add_paths("", &mut paths);
        paths
    }

    fn add_paths(&self, path: &str, paths: &mut Vec<String>) {
        if self.member {
            paths.push(path.to_owned());
        }
        for (element, child) in &self.children {
            child.add_paths(&format!("{path}{}", readable(element)), paths);
        }
    }
}

/// The element of a field or of a map's key.
pub(super) fn field(name: &str) -> String {
    format!("f:{name}")
}

/// An element in the one way of writing it that is compared.
fn canonical(element: &str) -> Result<String, String> {
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| format!("{element:?}: {error}"));
    match element.split_once(':') {
        Some(("f", _)) => Ok(element.to_owned()),
        Some(("k", keys)) => match json(keys)? {
            Value::Object(keys) => Ok(format!("k:{}", Value::Object(keys))),
            _ => Err(format!("{element:?} must have an object of keys")),
        },
        Some(("v", value)) => Ok(format!("v:{}", json(value)?)),
        Some(("i", index)) if index.parse::<usize>().is_ok() => Ok(element.to_owned()),
        _ => Err(format!("{element:?} is no element of a path")),
    }
}

fn readable(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => match serde_json::from_str(keys) {
            Ok(Value::Object(keys)) => {
                let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("[{}]", keys.join(","))
            }
            _ => format!("[{keys}]"),
        },
        Some(("v", value)) => format!("[={value}]"),
        Some((_, index)) => format!("[{index}]"),
        None => element.to_owned(),
    }
}
