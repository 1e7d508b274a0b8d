//! Every kind, with objects that are nearly its own: what is decoded is bounded, and stays what it is when it is stored and read.

use jiff::Timestamp;
use keelson_fuzzing::{Documents, Objects, Updates, fuzz, seeds};
use serde_json::{Map, Value, json};

use super::{DEPTH_MAX, Decoded, MANAGED_DEPTH_MAX, depth};
use crate::registry;
use crate::schema::{Message, Type, schema};
use crate::{Kind, Target};

/// Names and texts that one kind or another gives a meaning.
const WORDS: [&str; 40] = [
    "metadata",
    "spec",
    "status",
    "managedFields",
    "finalizers",
    "ownerReferences",
    "generateName",
    "deletionTimestamp",
    "creationTimestamp",
    "containers",
    "volumes",
    "hostNetwork",
    "hostPort",
    "selector",
    "matchExpressions",
    "rules",
    "data",
    "stringData",
    "NodePort",
    "LoadBalancer",
    "ExternalName",
    "None",
    "Always",
    "Never",
    "RollingUpdate",
    "Recreate",
    "OnDelete",
    "In",
    "Exists",
    "Gt",
    "10.0.0.0/8",
    "fe80::/129",
    "::1",
    "25%",
    "999999999999%",
    "1e400",
    "100m",
    "*/5 * * * *",
    "kubernetes.io/tls",
    "Europe/Berlin",
];

/// An object with every field of its kind's type, as deep as `levels`.
fn whole(of: &'static Message, levels: usize) -> Map<String, Value> {
    let mut object = Map::new();
    for field in &of.fields {
        match &field.of {
            Type::Message(_) | Type::List(_) | Type::Map(_) | Type::Either(..) if levels == 0 => {}
            Type::Message(index) if field.name.is_empty() => {
                object.extend(whole(schema().message(*index), levels - 1));
            }
            of => {
                object.insert(field.name.to_owned(), sample(of, levels));
            }
        }
    }
    object
}

fn sample(of: &'static Type, levels: usize) -> Value {
    match of {
        Type::Text => "a".into(),
        Type::Truth => true.into(),
        Type::Int32 | Type::Int64 => 1.into(),
        Type::Double => 0.5.into(),
        Type::Bytes => "AAEC".into(),
        Type::Quantity => "1Gi".into(),
        Type::IntOrText => "50%".into(),
        Type::Time => "2026-02-03T04:05:06Z".into(),
        Type::MicroTime => "2026-02-03T04:05:06.000700Z".into(),
        Type::Duration => "1m30s".into(),
        Type::Raw | Type::FieldSet => json!({"f:a": {".": {}}}),
        Type::Json => json!({"a": [1, "b"]}),
        Type::WrappedTexts => json!(["a"]),
        Type::Message(index) | Type::Either(_, index) => {
            Value::Object(whole(schema().message(*index), levels.saturating_sub(1)))
        }
        Type::List(of) => json!([sample(of, levels)]),
        Type::Map(of) => json!({"a": sample(of, levels)}),
    }
}

fn kind_of(object: &Value) -> Option<&'static Kind> {
    let version = object["apiVersion"].as_str()?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    registry::by_versioned_kind(group, version, object["kind"].as_str()?)
}

/// Examples of all kinds, and objects with all of their fields.
fn all() -> Vec<Value> {
    let mut objects = seeds::objects();
    for kind in registry::all() {
        let Some(message) = kind.message() else { continue };
        let mut object = whole(message, 5);
        object.insert("apiVersion".to_owned(), kind.api_version().into());
        object.insert("kind".to_owned(), kind.kind.into());
        objects.push(object.into());
    }
    for object in &mut objects {
        if kind_of(object).is_some_and(|kind| kind.namespaced) {
            object["metadata"]["namespace"] = "default".into();
        }
    }
    objects
}

fn decode(text: &[u8]) -> Option<(&'static Kind, Decoded)> {
    let kind = kind_of(&serde_json::from_slice(text).ok()?)?;
    Some((kind, kind.decode(text).ok()?))
}

#[test]
fn what_is_decoded_is_bounded_and_decodes_to_itself() {
    fuzz!(Documents::new(all(), &WORDS), |text| {
        let Some((kind, decoded)) = decode(text) else { return false };
        assert!(depth(&decoded.object) <= DEPTH_MAX.max(MANAGED_DEPTH_MAX));
        let again = kind.decode(decoded.object.to_string().as_bytes()).expect("what was decoded decodes");
        assert_eq!(again, Decoded { object: decoded.object, unknown_fields: Vec::new(), duplicate_fields: Vec::new() });
        true
    });
}

#[test]
fn defaults_are_idempotent_and_a_good_object_is_good_when_it_is_read_again() {
    fuzz!(Objects::new(all(), &WORDS), |value| {
        let Some(kind) = kind_of(value) else { return false };
        let Ok(decoded) = kind.decode_value(value.clone()) else { return false };
        let mut object = decoded.object;
        kind.default(&mut object);
        let defaulted = object.clone();
        kind.default(&mut object);
        assert_eq!(object, defaulted, "{kind:?}: defaults are idempotent");
        if kind.validate_create(&object).is_empty() {
            let read = kind.decode(object.to_string().as_bytes()).expect("what is stored is read");
            assert_eq!(read.strict_error(), None, "{kind:?}");
            let mut read = read.object;
            kind.default(&mut read);
            assert_eq!(read, object, "{kind:?}: what is stored is what is read");
            assert_eq!(kind.validate_create(&read), []);
        }
        true
    });
}

#[test]
fn an_update_by_the_same_object_changes_nothing_and_none_panics() {
    let now: Timestamp = "2026-02-03T04:05:06Z".parse().expect("a time");
    fuzz!(Updates::new(all(), &WORDS), |(old, new)| {
        let Some(kind) = kind_of(old) else { return false };
        let decoded = |value: &Value| kind.decode_value(value.clone()).map(|decoded| decoded.object);
        let (Ok(mut old), new) = (decoded(old), decoded(new)) else { return false };
        kind.default(&mut old);
        kind.prepare_create(&mut old);
        assert_eq!(kind.cells(&old, now).len(), kind.columns.len(), "{kind:?}: a cell for each column");
        for (field, _) in kind.selectable_fields {
            assert!(kind.selectable_field(&old, field).is_some(), "{kind:?} {field}");
        }
        if let Some(view) = kind.view() {
            let mut stored = (view.to_stored)(old.clone());
            view.stored.default(&mut stored);
            let _ = view.stored.validate_create(&(view.to_stored)((view.from_stored)(stored)));
        }
        for target in [Target::Object, Target::Status, Target::EphemeralContainers, Target::Resize] {
            if let Ok(new) = &new {
                let mut new = new.clone();
                kind.default(&mut new);
                kind.prepare_update(&mut new, &old, target);
                let _ = kind.validate_update_of(target, &new, &old);
            }
        }
        let mut same = old.clone();
        kind.prepare_update(&mut same, &old, Target::Object);
        assert_eq!(same, old, "{kind:?}: the generation counts changes alone");
        true
    });
}
