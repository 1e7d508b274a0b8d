//! Secret: small confidential data that pods read.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{child, default_text, entries, set, text};
use crate::kind::{Behaviour, Kind, Served};
use crate::meta;
use crate::table::{self, Column};

/// All decoded values together.
const DATA_BYTES_MAX: usize = 1024 * 1024;

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Secret",
    list_kind: "SecretList",
    plural: "secrets",
    singular: "secret",
    short_names: &[],
    categories: &[],
    namespaced: true,
    status: false,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::NAME,
        Column::string("Type", "Used to facilitate programmatic handling of secret data."),
        Column::string("Data", "Data contains the secret data, base64 encoded."),
        Column::AGE,
    ],
    selectable_fields: &[("type", "")],
    merge_rules: &[],
    behaviour: Behaviour { default, validate, validate_update, cells, ..Behaviour::of::<Secret>() },
};

/// `stringData` is a convenience for writers: it goes into `data`, winning over what is there, and is never stored.
fn default(object: &mut Value) {
    default_text(object, "type", "Opaque");
    let plain = object.as_object_mut().and_then(|fields| fields.remove("stringData"));
    if let (Some(Value::Object(plain)), Some(data)) = (plain, child(object, "data")) {
        for (key, value) in plain {
            let bytes = ByteString(text(&value).as_bytes().to_vec());
            set(data, &key, json!(bytes));
        }
    }
    if object["data"].as_object().is_some_and(serde_json::Map::is_empty)
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("data");
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("data");
    check::data_keys(&object["data"], &path, errors);
    let bytes: usize = entries(&object["data"]).map(|(_, value)| text(value).len() / 4 * 3).sum();
    if bytes > DATA_BYTES_MAX {
        errors.push(Error::too_long(&path, DATA_BYTES_MAX));
    }
    let required: &[&str] = match text(&object["type"]) {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    };
    for key in required {
        if object["data"].get(*key).is_none() {
            errors.push(Error::required(&path.key(key), ""));
        }
    }
    validate_registry(object, &path, errors);
    if text(&object["type"]) == "kubernetes.io/basic-auth"
        && ["username", "password"].iter().all(|key| none(object, key))
    {
        for key in ["username", "password"] {
            errors.push(Error::required(&path.key(key), ""));
        }
    }
    if text(&object["type"]) == "kubernetes.io/service-account-token" {
        let (metadata, key) = (Path::new("metadata"), "kubernetes.io/service-account.name");
        let annotations = metadata.child("annotations");
        check::required(&object["metadata"]["annotations"][key], &annotations.key(key), errors);
    }
}

fn none(object: &Value, key: &str) -> bool {
    object["data"].get(key).is_none()
}

/// Who logs in to registries, as the tools for images write it. What is wrong is told without what is in it.
fn validate_registry(object: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let key = match text(&object["type"]) {
        "kubernetes.io/dockercfg" => ".dockercfg",
        "kubernetes.io/dockerconfigjson" => ".dockerconfigjson",
        _ => return,
    };
    let Some(data) = object["data"].get(key) else { return };
    let decoded = serde_json::from_value::<ByteString>(data.clone()).map(|bytes| bytes.0).unwrap_or_default();
    if let Err(error) = serde_json::from_slice::<Value>(&decoded) {
        let why = format!("not JSON: line {} column {}", error.line(), error.column());
        errors.push(Error::invalid(&path.key(key), "<secret contents redacted>", why));
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    meta::immutable(&Path::new("type"), &new["type"], &old["type"], errors);
    check::immutable_data(new, old, &["data"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = entries(&object["data"]).count();
    vec![table::name(object), object["type"].clone(), json!(count), table::object_age(object, now)]
}
