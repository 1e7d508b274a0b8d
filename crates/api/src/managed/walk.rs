//! The four walks over values: what one has, what differs between two, what two are merged, and what goes.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::fields::{Fields, field};
use super::shape::Shape;

/// What a config states.
///
/// # Errors
/// A list that states an element twice, or without its keys.
pub(super) fn owned(value: &Value, shape: Shape) -> Result<Fields, String> {
    let mut fields = Fields::default();
    match (shape, value) {
        (shape, Value::Object(map)) if shape.is_map() => {
            for (name, value) in map {
                let mut child = owned(value, shape.child(name))?;
                let is_empty = value.as_object().is_some_and(Map::is_empty);
                child.member |= is_empty || value.is_null() || shape.owns_entries();
                fields.put(field(name), child);
            }
        }
        (shape, Value::Array(list)) if shape.is_list() => {
            for element in list {
                let name = shape.name_of(element)?;
                let mut child = owned(element, shape.element())?;
                child.member = true;
                if fields.children.contains_key(&name) {
                    return Err(format!("duplicate entries for key {name:?}"));
                }
                fields.put(name, child);
            }
        }
        _ => fields.member = true,
    }
    Ok(fields)
}

/// What differs between two values.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub added: Fields,
    pub modified: Fields,
    pub removed: Fields,
}

impl Changes {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// What a writer takes by them.
    pub(super) fn taken(&self) -> Fields {
        self.added.clone().with(&self.modified)
    }

    pub(super) fn without(self, fields: &Fields) -> Changes {
        Changes {
            added: self.added.without(fields),
            modified: self.modified.without(fields),
            removed: self.removed.without(fields),
        }
    }

    fn put(&mut self, element: &str, child: Changes) {
        self.added.put(element.to_owned(), child.added);
        self.modified.put(element.to_owned(), child.modified);
        self.removed.put(element.to_owned(), child.removed);
    }
}

/// What an object became. Elements of a list that cannot be told apart make the list one whole.
pub(super) fn compare(old: Option<&Value>, new: &Value, shape: Shape) -> Changes {
    let mut changes = difference(old, Some(new), shape);
    // The object as a whole is no field.
    changes.added.member = false;
    changes
}

fn difference(old: Option<&Value>, new: Option<&Value>, shape: Shape) -> Changes {
    let mut changes = Changes::default();
    if old == new {
        return changes;
    }
    let by_element = match shape {
        shape if shape.is_map() => entries(old).zip(entries(new)),
        shape if shape.is_list() => elements(old, shape).zip(elements(new, shape)),
        _ => None,
    };
    // Whether the value is there but empty must not be lost.
    let by_element = by_element.filter(|(old, new)| !(old.is_empty() && new.is_empty()));
    let Some((olds, news)) = by_element else {
        match (old, new) {
            (None, _) => changes.added.member = true,
            (_, None) => changes.removed.member = true,
            _ => changes.modified.member = true,
        }
        return changes;
    };
    let gone = olds.keys().filter(|name| !news.contains_key(*name));
    for name in news.keys().chain(gone) {
        let shape = match shape {
            shape if shape.is_map() => shape.child(name.strip_prefix("f:").unwrap_or(name)),
            _ => shape.element(),
        };
        changes.put(name, difference(olds.get(name).copied(), news.get(name).copied(), shape));
    }
    changes.added.member |= old.is_none();
    changes.removed.member |= new.is_none();
    changes
}

type Elements<'a> = HashMap<String, &'a Value>;

/// None when the value is no map. What is absent has no entries, and null is absent.
fn entries(value: Option<&Value>) -> Option<Elements<'_>> {
    match value {
        None | Some(Value::Null) => Some(Elements::new()),
        Some(Value::Object(map)) => Some(map.iter().map(|(name, value)| (field(name), value)).collect()),
        Some(_) => None,
    }
}

/// None when the value is no list of which every element can be named, or has two of one name.
fn elements(value: Option<&Value>, shape: Shape) -> Option<Elements<'_>> {
    match value {
        None | Some(Value::Null) => Some(Elements::new()),
        Some(Value::Array(list)) => {
            let mut named = Elements::with_capacity(list.len());
            for element in list {
                if named.insert(shape.name_of(element).ok()?, element).is_some() {
                    return None;
                }
            }
            Some(named)
        }
        Some(_) => None,
    }
}

/// The live value with what a config states.
pub(super) fn merge(live: Option<&Value>, config: &Value, shape: Shape) -> Value {
    match (shape, live, config) {
        (shape, Some(Value::Object(live)), Value::Object(config)) if shape.is_map() => {
            let mut merged = live.clone();
            for (name, value) in config {
                merged.insert(name.clone(), merge(live.get(name), value, shape.child(name)));
            }
            Value::Object(merged)
        }
        (shape, Some(Value::Array(live)), Value::Array(config)) if shape.is_list() => merge_lists(live, config, shape),
        (_, _, config) => config.clone(),
    }
}

/// The config's elements stand in the config's order, the others where they stood among the live ones.
fn merge_lists(live: &[Value], config: &[Value], shape: Shape) -> Value {
    let name = |element: &Value| shape.name_of(element).unwrap_or_default();
    let order: HashMap<String, usize> =
        config.iter().enumerate().map(|(index, element)| (name(element), index)).collect();
    let mut lives: HashMap<String, &Value> = HashMap::new();
    for element in live {
        lives.entry(name(element)).or_insert(element);
    }
    let mut merged = Vec::with_capacity(live.len() + config.len());
    let mut taken = 0;
    let mut take_until = |end: usize, merged: &mut Vec<Value>| {
        while taken < end {
            let element = &config[taken];
            merged.push(merge(lives.get(&name(element)).copied(), element, shape.element()));
            taken += 1;
        }
    };
    for element in live {
        match order.get(&name(element)) {
            Some(index) => take_until(index + 1, &mut merged),
            None => merged.push(element.clone()),
        }
    }
    take_until(config.len(), &mut merged);
    Value::Array(merged)
}

/// Takes out what is in the set, each with all that is in it.
pub(super) fn prune(value: &mut Value, shape: Shape, gone: &Fields) {
    match (shape, value) {
        (shape, Value::Object(map)) if shape.is_map() => {
            map.retain(|name, value| match gone.children.get(&field(name)) {
                Some(child) if child.member => false,
                Some(child) => {
                    prune(value, shape.child(name), child);
                    true
                }
                None => true,
            });
        }
        (shape, Value::Array(list)) if shape.is_list() => {
            let removed: HashSet<&str> =
                gone.children.iter().filter(|(_, child)| child.member).map(|(name, _)| name.as_str()).collect();
            list.retain_mut(|element| {
                let Ok(name) = shape.name_of(element) else { return true };
                if removed.contains(name.as_str()) {
                    return false;
                }
                if let Some(child) = gone.children.get(&name) {
                    prune(element, shape.element(), child);
                }
                true
            });
        }
        _ => {}
    }
}
