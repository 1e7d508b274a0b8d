//! ConfigMap: small configuration that pods read.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{entries, text};
use crate::kind::{Behaviour, Kind, Served};
use crate::table::{self, Column};

/// All keys and values together.
const DATA_BYTES_MAX: usize = 1024 * 1024;

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    list_kind: "ConfigMapList",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    categories: &[],
    namespaced: true,
    status: false,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[Column::NAME, Column::string("Data", "Data contains the configuration data."), Column::AGE],
    selectable_fields: &[],
    merge_rules: &[],
    behaviour: Behaviour { validate, validate_update, cells, ..Behaviour::of::<ConfigMap>() },
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let (data, binary) = (Path::new("data"), Path::new("binaryData"));
    check::data_keys(&object["data"], &data, errors);
    check::data_keys(&object["binaryData"], &binary, errors);
    let mut bytes = 0;
    for (key, value) in entries(&object["data"]) {
        bytes += text(value).len();
        if object["binaryData"].get(key).is_some() {
            errors.push(Error::invalid(&data.key(key), key.as_str(), "duplicate of key present in binaryData"));
        }
    }
    for (_, value) in entries(&object["binaryData"]) {
        bytes += text(value).len() / 4 * 3;
    }
    if bytes > DATA_BYTES_MAX {
        errors.push(Error::too_long(&Path::ROOT, DATA_BYTES_MAX));
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    check::immutable_data(new, old, &["data", "binaryData"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = entries(&object["data"]).count() + entries(&object["binaryData"]).count();
    vec![table::name(object), json!(count), table::object_age(object, now)]
}
