//! The three-way merge behind `Apply`: what was applied before, what is applied now, what is there.
//!
//! A field is the applier's if it is in the configuration applied before or now. Fields that were applied before and are
//! not now go; fields applied now are set; everything else (defaults, status, what controllers and other people set)
//! stays. Lists merge as in a strategic merge patch, in the order of the configuration applied now. This is what kubectl's
//! client-side apply does by computing a patch and sending it; here the result is computed at once.
//!
//! One deliberate difference: a list that holds the same merge key twice (a container port over TCP and UDP) is replaced
//! as a whole, where kubectl's patch loses one of the two.

use serde_json::{Map, Value};

use super::schema::{Field, Path};
use super::strategic::{ElementKey, ElementKind, Keyed, has_duplicates, merged_order, stripped};
use super::{Error, Schema};

/// Merges `modified` into `current`, where `original` is the configuration applied before (None for none).
///
/// # Errors
/// [`Error::Malformed`] when one of the three is no object, [`Error::Unprocessable`] for list elements without their merge key.
pub fn three_way(
    original: Option<&Value>,
    modified: &Value,
    current: Value,
    schema: &dyn Schema,
) -> Result<Value, Error> {
    let empty = Map::new();
    let original = match original {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(original)) => original,
        Some(_) => return Err(Error::Malformed("the configuration applied before is not an object".into())),
    };
    match (modified, current) {
        (Value::Object(modified), Value::Object(current)) => {
            Merge { schema, path: Path::default() }.map(original, modified, current, false).map(Value::Object)
        }
        _ => Err(Error::Malformed("an applied configuration must be an object".into())),
    }
}

struct Merge<'a> {
    schema: &'a dyn Schema,
    path: Path,
}

impl Merge<'_> {
    fn map(
        &mut self,
        original: &Map<String, Value>,
        modified: &Map<String, Value>,
        current: Map<String, Value>,
        retain_keys: bool,
    ) -> Result<Map<String, Value>, Error> {
        let before = retain_keys.then(|| current.clone());
        let mut merged = current;
        for field in original.keys().filter(|field| !modified.contains_key(*field)) {
            merged.remove(field);
        }
        for (field, value) in modified {
            if value.is_null() {
                merged.remove(field);
                continue;
            }
            let length = self.path.enter(field);
            let value = self.value(original.get(field), value, merged.get_mut(field).map(Value::take));
            self.path.leave(length);
            if let Some(value) = value? {
                merged.insert(field.clone(), value);
            }
        }
        // A union keeps what the server added (defaults of the same alternative) until the applier changes something.
        if before.is_some_and(|before| before != merged) {
            merged.retain(|field, _| modified.contains_key(field));
        }
        Ok(merged)
    }

    fn value(
        &mut self,
        original: Option<&Value>,
        modified: &Value,
        current: Option<Value>,
    ) -> Result<Option<Value>, Error> {
        let field = Field::at(self.schema, &self.path);
        match (modified, current) {
            (Value::Object(modified), Some(Value::Object(current))) if !field.replace => {
                let empty = Map::new();
                let original = original.and_then(Value::as_object).unwrap_or(&empty);
                self.map(original, modified, current, field.retain_keys).map(|map| Some(Value::Object(map)))
            }
            (Value::Array(modified), Some(Value::Array(current))) => {
                let original = original.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                self.list(original, modified, current).map(|list| Some(Value::Array(list)))
            }
            (modified, _) => Ok(stripped(modified.clone())),
        }
    }

    fn list(&mut self, original: &[Value], modified: &[Value], current: Vec<Value>) -> Result<Vec<Value>, Error> {
        let field = Field::at(self.schema, &self.path);
        let keyed = Keyed::new(field.merge_key, self.path.as_str());
        if !field.merge_list {
            return Ok(modified.iter().cloned().filter_map(stripped).collect());
        }
        let kind = keyed.element_kind(original.iter().chain(modified).chain(&current))?;
        let merge = kind == Some(ElementKind::Scalar)
            || (kind == Some(ElementKind::Map)
                && !has_duplicates(modified, &keyed)
                && !has_duplicates(&current, &keyed));
        if !merge {
            return Ok(modified.iter().cloned().filter_map(stripped).collect());
        }
        if kind == Some(ElementKind::Map) {
            keyed.required()?;
        }
        let server_order = current.clone();
        let modified_at = keyed.index(modified);
        let original_at = keyed.index(original);
        let gone = |element: &Value| {
            keyed.key(element).is_some_and(|key| original_at.contains_key(&key) && !modified_at.contains_key(&key))
        };
        let mut merged = current;
        merged.retain(|element| !gone(element));
        let mut merged_at = keyed.index(&merged);
        for element in modified {
            let key: ElementKey = keyed.required_key(element)?;
            match (merged_at.get(&key), element) {
                (Some(&at), Value::Object(modified)) => {
                    let empty = Map::new();
                    let original = original_at.get(&key).and_then(|&at| original[at].as_object()).unwrap_or(&empty);
                    if let Value::Object(current) = merged[at].take() {
                        merged[at] = Value::Object(self.map(original, modified, current, field.retain_keys)?);
                    }
                }
                (Some(_), _) => {}
                (None, element) => {
                    if let Some(element) = stripped(element.clone()) {
                        merged_at.insert(key, merged.len());
                        merged.push(element);
                    }
                }
            }
        }
        Ok(merged_order(merged, modified, &server_order, &keyed))
    }
}
