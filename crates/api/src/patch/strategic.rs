//! Strategic merge patch, after apimachinery's `strategicpatch` (its behaviour is the only specification there is).
//!
//! Maps merge field by field and null removes a field. Lists are replaced, unless the schema says that they merge: maps
//! in a list by their merge key, scalars as a set. Directives inside the patch steer:
//!
//! | directive | where | meaning |
//! |---|---|---|
//! | `$patch: replace` | map | the rest of the map replaces the field |
//! | `$patch: replace` | an element of a merged list | the other elements replace the list |
//! | `$patch: delete` | map | the field becomes empty |
//! | `$patch: delete` | an element of a merged list | the element of that key goes |
//! | `$patch: merge` | map or element | as without it |
//! | `$deleteFromPrimitiveList/f: […]` | beside field f | these scalars leave the list f |
//! | `$setElementOrder/f: […]` | beside field f | the order of these elements in the merged list f |
//! | `$retainKeys: […]` | map | fields of the object that are not named go |
//!
//! Worked example, what `kubectl set image` sends: `{"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
//! "containers": [{"name": "b", "image": "new"}]}` onto containers b, x, a (x was injected by someone else) gives x, a, b
//! where only b's image changed: a before b because the patch says so, and x before a because it was.

mod directive;
mod order;

use serde_json::{Map, Value};

use super::schema::{Field, Path};
use super::{Error, Schema};
use directive::Directive;

pub(super) use directive::stripped;
pub(super) use order::{ElementKey, ElementKind, Keyed, has_duplicates, merged_order};

/// Patches `object` with `patch`.
///
/// # Errors
/// [`Error::Malformed`] for directives that make no sense, [`Error::Unprocessable`] for elements without their merge key
/// and lists of mixed types.
pub fn strategic(object: Value, patch: Value, schema: &dyn Schema) -> Result<Value, Error> {
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else {
        return Err(Error::Malformed("a strategic merge patch of an object must be an object".into()));
    };
    Merge { schema, path: Path::default() }.map(object, patch).map(Value::Object)
}

struct Merge<'a> {
    schema: &'a dyn Schema,
    path: Path,
}

impl Merge<'_> {
    fn at<R>(&mut self, field: &str, inner: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.enter(field);
        let result = inner(self);
        self.path.leave(length);
        result
    }

    fn map(
        &mut self,
        mut object: Map<String, Value>,
        mut patch: Map<String, Value>,
    ) -> Result<Map<String, Value>, Error> {
        match directive::take(&mut patch, self.path.as_str())? {
            Some(Directive::Replace) => return Ok(directive::stripped_map(patch)),
            Some(Directive::Delete) => return Ok(Map::new()),
            Some(Directive::Merge) | None => {}
        }
        directive::retain_keys(&mut object, &mut patch, self.path.as_str())?;
        self.ordered_lists(&mut object, &mut patch)?;
        for (field, value) in patch {
            if let Some(field) = field.strip_prefix(directive::DELETE_FROM_PRIMITIVE_LIST) {
                let gone = directive::list(value, directive::DELETE_FROM_PRIMITIVE_LIST, field)?;
                if let Some(Value::Array(list)) = object.get_mut(field) {
                    list.retain(|element| !gone.contains(element));
                }
                continue;
            }
            if value.is_null() {
                object.remove(&field);
                continue;
            }
            match object.get_mut(&field) {
                Some(slot) => {
                    let current = slot.take();
                    *slot = self.at(&field, |merge| merge.value(current, value))?;
                }
                None => {
                    if let Some(value) = stripped(value) {
                        object.insert(field, value);
                    }
                }
            }
        }
        Ok(object)
    }

    fn value(&mut self, current: Value, patch: Value) -> Result<Value, Error> {
        Ok(match (current, patch) {
            (Value::Object(current), Value::Object(patch)) if !Field::at(self.schema, &self.path).replace => {
                Value::Object(self.map(current, patch)?)
            }
            (Value::Array(current), Value::Array(patch)) => Value::Array(self.list(current, patch)?),
            (_, patch) => stripped(patch).unwrap_or(Value::Null),
        })
    }

    /// Handles every `$setElementOrder/f` together with the list f that it orders, and takes both from the patch.
    fn ordered_lists(&mut self, object: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Error> {
        let directives: Vec<String> =
            patch.keys().filter(|key| key.starts_with(directive::SET_ELEMENT_ORDER)).cloned().collect();
        for key in directives {
            let field = &key[directive::SET_ELEMENT_ORDER.len()..];
            let Some(order) = patch.remove(&key) else { continue };
            let order = directive::list(order, directive::SET_ELEMENT_ORDER, field)?;
            let patched = match patch.remove(field) {
                None => None,
                Some(Value::Array(patched)) => Some(patched),
                // A field set to null or to another type needs no order: leave it to the loop over the fields.
                Some(other) => {
                    patch.insert(field.to_owned(), other);
                    continue;
                }
            };
            let current = match object.get_mut(field).map(Value::take) {
                Some(Value::Array(current)) => Some(current),
                Some(Value::Null) | None => None,
                Some(_) => {
                    return Err(self.at(field, |merge| merge.unprocessable("is not a list, but the patch orders it")));
                }
            };
            let Some(list) = self.at(field, |merge| merge.ordered_list(current, patched, order))? else {
                object.remove(field);
                continue;
            };
            object.insert(field.to_owned(), Value::Array(list));
        }
        Ok(())
    }

    fn ordered_list(
        &mut self,
        current: Option<Vec<Value>>,
        patched: Option<Vec<Value>>,
        order: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, Error> {
        let keyed = Keyed::new(Field::at(self.schema, &self.path).merge_key, self.path.as_str());
        if let Some(patched) = &patched {
            keyed.check_order(patched, &order)?;
        }
        let server_order = current.clone().unwrap_or_default();
        let merged = match (current, patched) {
            (None, None) => return Ok(None),
            (Some(current), None) => current,
            (None, Some(patched)) => patched.into_iter().filter_map(stripped).collect(),
            (Some(current), Some(patched)) => self.list(current, patched)?,
        };
        Ok(Some(merged_order(merged, &order, &server_order, &keyed)))
    }

    fn list(&mut self, current: Vec<Value>, patch: Vec<Value>) -> Result<Vec<Value>, Error> {
        let field = Field::at(self.schema, &self.path);
        if !field.merge_list {
            return Ok(patch.into_iter().filter_map(stripped).collect());
        }
        let keyed = Keyed::new(field.merge_key, self.path.as_str());
        match keyed.element_kind(current.iter().chain(&patch))? {
            None => Ok(Vec::new()),
            Some(ElementKind::Scalar) => {
                let mut merged = current.clone();
                let mut seen: std::collections::HashSet<ElementKey> = merged.iter().map(ElementKey::scalar).collect();
                merged.extend(patch.iter().filter(|element| seen.insert(ElementKey::scalar(element))).cloned());
                Ok(merged_order(merged, &patch, &current, &keyed))
            }
            Some(ElementKind::Map) => self.list_of_maps(current, patch, keyed.required()?),
        }
    }

    fn list_of_maps(&mut self, current: Vec<Value>, patch: Vec<Value>, keyed: &Keyed) -> Result<Vec<Value>, Error> {
        let special = directive::split_list(patch, keyed)?;
        let mut current = if special.replace { Vec::new() } else { current };
        if !special.deleted.is_empty() {
            current.retain(|element| keyed.key(element).is_none_or(|key| !special.deleted.contains(&key)));
        }
        let server_order = current.clone();
        let mut merged = current;
        let mut index = keyed.index(&merged);
        for element in &special.elements {
            let key = keyed.required_key(element)?;
            let Value::Object(patch) = element.clone() else { continue };
            match index.get(&key) {
                Some(&at) => {
                    if let Value::Object(element) = merged[at].take() {
                        merged[at] = Value::Object(self.map(element, patch)?);
                    }
                }
                None => {
                    index.insert(key, merged.len());
                    merged.push(Value::Object(self.map(Map::new(), patch)?));
                }
            }
        }
        Ok(merged_order(merged, &special.elements, &server_order, keyed))
    }

    fn unprocessable(&self, what: &str) -> Error {
        Error::Unprocessable(format!("{}: {what}", self.path.as_str()))
    }
}
