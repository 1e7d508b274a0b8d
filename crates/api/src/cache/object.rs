//! One object as the caches hold it: its JSON text, once, and the few fields that selectors and paths need.
//!
//! The store keeps objects without `metadata.resourceVersion`, because the revision of the write is not known when the
//! text is made. It is spliced in here, without parsing and printing the rest again. An `Object` never changes.

use std::sync::Arc;

use bytes::Bytes;
use keelson_types::{Definition, Kind};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// An object at one revision. Clones share it.
#[derive(Debug)]
pub struct Object {
    /// The path below the kind's prefix: `namespace/name`, or `name` alone for cluster-scoped kinds.
    path: Arc<str>,
    namespace_length: u32,
    revision: i64,
    /// The text with the resourceVersion spliced in.
    json: Bytes,
    /// Where the digits of the resourceVersion begin.
    revision_offset: u32,
    /// Sorted by key.
    labels: Box<[(Box<str>, Box<str>)]>,
    /// The kind's selectable fields but `metadata.name` and `metadata.namespace`, which the path has.
    fields: Box<[(&'static str, Box<str>)]>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the value stored for {path:?} is not a JSON object with metadata")]
    Malformed {
        path: String,
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// The two counts of what is shared, as the path and the object itself are.
const SHARED_BYTES: usize = 16;
const MARK: &str = "\"resourceVersion\":\"";

impl Object {
    /// Reads a stored value. One of a kind that users define is shown in the version that is asked for.
    ///
    /// # Errors
    /// When the text is no JSON object with metadata: something other than this API wrote it.
    pub fn decode(kind: &'static Kind, path: &str, stored: &[u8], revision: i64) -> Result<Object, Error> {
        let malformed = |source| Error::Malformed { path: path.to_owned(), source };
        let mut value: Value = serde_json::from_slice(stored).map_err(malformed)?;
        let shown: Vec<u8>;
        let stored = match kind.definition() {
            None => stored,
            Some(definition) => {
                show(kind, definition, &mut value);
                shown = serde_json::to_vec(&value).map_err(malformed)?;
                &shown
            }
        };
        let head: Head<'_> = serde_json::from_slice(stored).map_err(malformed)?;
        // `metadata` borrows from `stored`, so its offset is where its opening brace stands.
        let metadata = head.metadata.get();
        let brace = metadata.as_ptr() as usize - stored.as_ptr() as usize;
        let first_field = metadata.get(1..).unwrap_or("").trim_start();
        if !metadata.starts_with('{') {
            return Err(malformed(serde::de::Error::custom("metadata is not an object")));
        }
        let comma = if first_field.starts_with('}') { "" } else { "," };
        let digits = revision.to_string();
        let mut json = Vec::with_capacity(stored.len() + MARK.len() + digits.len() + 2);
        json.extend_from_slice(&stored[..=brace]);
        json.extend_from_slice(MARK.as_bytes());
        let revision_offset = json.len() as u32;
        json.extend_from_slice(digits.as_bytes());
        json.push(b'"');
        json.extend_from_slice(comma.as_bytes());
        json.extend_from_slice(&stored[brace + 1..]);
        Ok(Object {
            path: path.into(),
            namespace_length: path.find('/').unwrap_or(0) as u32,
            revision,
            json: json.into(),
            revision_offset,
            labels: labels(&value),
            fields: fields(kind, &value),
        })
    }

    /// The object as a kind shows it: another version of what is stored, or the object itself.
    pub fn shown_as(self: &Arc<Self>, kind: &'static Kind) -> Arc<Object> {
        if kind.is_shown_as_stored() {
            return self.clone();
        }
        let shown = self.value().ok().and_then(|mut value| {
            crate::value::remove_metadata(&mut value, "resourceVersion");
            if let Some(view) = kind.view() {
                value = (view.from_stored)(value);
            }
            let text = serde_json::to_vec(&value).ok()?;
            Object::decode(kind, &self.path, &text, self.revision).ok()
        });
        // What was decoded once is so again.
        shown.map_or_else(|| self.clone(), Arc::new)
    }

    /// The same object, as it was when a revision removed it.
    pub fn at_revision(&self, revision: i64) -> Object {
        let offset = self.revision_offset as usize;
        let rest = offset + digits(self.revision);
        let mut json = Vec::with_capacity(self.json.len() + 2);
        json.extend_from_slice(&self.json[..offset]);
        json.extend_from_slice(revision.to_string().as_bytes());
        json.extend_from_slice(&self.json[rest..]);
        Object {
            path: self.path.clone(),
            namespace_length: self.namespace_length,
            revision,
            json: json.into(),
            revision_offset: self.revision_offset,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
        }
    }

    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// Empty for cluster-scoped kinds.
    pub fn namespace(&self) -> &str {
        &self.path[..self.namespace_length as usize]
    }

    pub fn name(&self) -> &str {
        match self.namespace_length as usize {
            0 => &self.path,
            length => &self.path[length + 1..],
        }
    }

    /// The resourceVersion: the store revision at which this state was written.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The JSON text with its resourceVersion.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(name, _)| name.as_ref().cmp(key)).ok()?;
        self.labels.get(at).map(|(_, value)| value.as_ref())
    }

    /// A selectable field's value; None when the kind has no such field.
    pub fn field(&self, path: &str) -> Option<&str> {
        match path {
            "metadata.name" => Some(self.name()),
            "metadata.namespace" => Some(self.namespace()),
            _ => self.fields.iter().find(|(name, _)| *name == path).map(|(_, value)| value.as_ref()),
        }
    }

    /// What it costs to hold, in bytes.
    pub fn size_bytes(&self) -> usize {
        let extracted: usize = self.labels.iter().map(|(key, value)| key.len() + value.len() + 32).sum::<usize>()
            + self.fields.iter().map(|(_, value)| value.len() + 32).sum::<usize>();
        size_of::<Object>() + self.path.len() + 2 * SHARED_BYTES + self.json.len() + extracted
    }

    /// The object as a value, resourceVersion included.
    ///
    /// # Errors
    /// Never for what `decode` accepted.
    pub fn value(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.json)
    }
}

/// An object of a kind that users define, in one of its versions: versions differ in their schemas only.
fn show(kind: &Kind, definition: &dyn Definition, value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), kind.api_version().into());
        fields.insert("kind".to_owned(), kind.kind.into());
    }
    definition.prune(value);
    definition.default(value);
}

fn digits(revision: i64) -> usize {
    revision.to_string().len()
}

fn labels(value: &Value) -> Box<[(Box<str>, Box<str>)]> {
    let Some(labels) = value.pointer("/metadata/labels").and_then(Value::as_object) else { return Box::default() };
    let mut labels: Vec<(Box<str>, Box<str>)> =
        labels.iter().filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into()))).collect();
    labels.sort_unstable();
    labels.into()
}

fn fields(kind: &'static Kind, value: &Value) -> Box<[(&'static str, Box<str>)]> {
    kind.selectable_fields
        .iter()
        .filter_map(|(path, _)| Some((*path, kind.selectable_field(value, path)?.into_boxed_str())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keelson_types::registry;

    fn pods() -> &'static Kind {
        registry::by_name("pods").expect("pods are registered")
    }

    #[test]
    fn the_resource_version_is_spliced_into_whatever_metadata_looks_like() {
        for stored in [
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n"},"spec":{}}"#,
            r#"{"metadata" : { "name":"a", "namespace":"n", "annotations":{"x":"{\"metadata\":{}}"} }, "kind":"Pod"}"#,
            r#"{"spec":{"metadata":{"name":"inner"}},"metadata":{"name":"a"}}"#,
            r#"{"metadata":{}}"#,
            r#"{"metadata":{  }}"#,
        ] {
            let object = Object::decode(pods(), "n/a", stored.as_bytes(), 41).expect("decodes");
            let mut expected: Value = serde_json::from_str(stored).expect("is JSON");
            expected["metadata"]["resourceVersion"] = "41".into();
            assert_eq!(object.value().expect("is JSON"), expected, "{stored}");
            let later = object.at_revision(1_000);
            expected["metadata"]["resourceVersion"] = "1000".into();
            assert_eq!(later.value().expect("is JSON"), expected, "{stored}");
        }
    }

    #[test]
    fn what_is_no_object_with_metadata_is_refused() {
        for stored in ["", "null", "[]", "{}", r#"{"metadata":null}"#, r#"{"metadata":"x"}"#, "{\"metadata\":{}"] {
            Object::decode(pods(), "n/a", stored.as_bytes(), 1).expect_err(stored);
        }
    }

    #[test]
    fn names_labels_and_fields_are_found() {
        let stored = r#"{"metadata":{"name":"a","labels":{"z":"1","b":"2"}},"spec":{"nodeName":"node-1"}}"#;
        let object = Object::decode(pods(), "n/a", stored.as_bytes(), 1).expect("decodes");
        assert_eq!((object.namespace(), object.name()), ("n", "a"));
        assert_eq!((object.label("z"), object.label("b"), object.label("c")), (Some("1"), Some("2"), None));
        assert_eq!(object.field("spec.nodeName"), Some("node-1"));
        assert_eq!(object.field("metadata.name"), Some("a"));
        assert_eq!(object.field("spec.unheardOf"), None);
        let object = Object::decode(pods(), "a", stored.as_bytes(), 1).expect("decodes");
        assert_eq!((object.namespace(), object.name()), ("", "a"));
    }
}
