//! JSON text to values, noticing keys that occur twice.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::field;

/// Parses one JSON document. The parser refuses to nest deeper than 128 levels, which no kind comes near.
pub(super) fn parse(text: &[u8]) -> Result<(Value, Vec<String>), field::Error> {
    let mut context = Context { path: String::new(), duplicates: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = Document(&mut context).deserialize(&mut deserializer);
    let value = parsed.and_then(|value| deserializer.end().map(|()| value)).map_err(|source| field::Error {
        path: context.path.clone(),
        reason: field::Reason::TypeInvalid,
        bad_value: Value::Null,
        detail: format!("not valid JSON: {source}"),
    })?;
    Ok((value, context.duplicates))
}

/// At most so many duplicates are reported: an error message must stay readable.
const DUPLICATES_MAX: usize = 32;

struct Context {
    path: String,
    duplicates: Vec<String>,
}

struct Document<'a>(&'a mut Context);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let length = self.0.path.len();
        loop {
            self.0.path.push_str(&format!("[{}]", list.len()));
            match elements.next_element_seed(Document(&mut *self.0))? {
                Some(element) => list.push(element),
                None => break,
            }
            self.0.path.truncate(length);
        }
        self.0.path.truncate(length);
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let length = self.0.path.len();
        while let Some(key) = entries.next_key::<String>()? {
            if length > 0 {
                self.0.path.push('.');
            }
            self.0.path.push_str(&key);
            let value = entries.next_value_seed(Document(&mut *self.0))?;
            if map.insert(key, value).is_some() && self.0.duplicates.len() < DUPLICATES_MAX {
                let path = self.0.path.clone();
                self.0.duplicates.push(path);
            }
            self.0.path.truncate(length);
        }
        Ok(Value::Object(map))
    }
}

/// Drops nulls and empty lists from maps: both mean absent in every kind here, and Kubernetes does not store them either.
/// The fields named by `verbatim` stay as they are.
pub(super) fn drop_empty(value: &mut Value, verbatim: &[&str]) {
    match value {
        Value::Object(map) => {
            let kept = |name: &str| verbatim.contains(&name);
            map.retain(|name, value| kept(name) || (!value.is_null() && !value.as_array().is_some_and(Vec::is_empty)));
            for (_, value) in map.iter_mut().filter(|(name, _)| !kept(name)) {
                drop_empty(value, verbatim);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| drop_empty(value, verbatim)),
        _ => {}
    }
}
