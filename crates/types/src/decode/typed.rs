//! Checks a value against its `k8s-openapi` type, with paths in errors.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Segment, words};
use crate::field;

pub(super) fn check<T: DeserializeOwned>(value: &Value) -> Result<Vec<Vec<Segment>>, field::Error> {
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| {
        let mut segments = Vec::new();
        collect(&path, &mut segments);
        unknown.push(segments);
    };
    let ignoring = serde_ignored::Deserializer::new(value, &mut note);
    match serde_path_to_error::deserialize::<_, T>(ignoring) {
        Ok(_) => Ok(unknown),
        Err(error) => {
            let path = error.path().to_string();
            Err(field::Error {
                path: if path == "." { String::new() } else { path },
                reason: field::Reason::TypeInvalid,
                bad_value: Value::Null,
                detail: words::plain(&error.into_inner().to_string()),
            })
        }
    }
}

fn collect(path: &serde_ignored::Path<'_>, segments: &mut Vec<Segment>) {
    use serde_ignored::Path;
    match path {
        Path::Root => {}
        Path::Seq { parent, index } => {
            collect(parent, segments);
            segments.push(Segment::Index(*index));
        }
        Path::Map { parent, key } => {
            collect(parent, segments);
            segments.push(Segment::Field(key.clone()));
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            collect(parent, segments);
        }
    }
}

pub(super) fn render(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Field(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

pub(super) fn remove(value: &mut Value, path: &[Segment]) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut parent = value;
    for segment in parents {
        let child = match segment {
            Segment::Field(name) => parent.get_mut(name.as_str()),
            Segment::Index(index) => parent.get_mut(*index),
        };
        match child {
            Some(child) => parent = child,
            None => return,
        }
    }
    if let (Segment::Field(name), Some(map)) = (last, parent.as_object_mut()) {
        map.remove(name);
    }
}
