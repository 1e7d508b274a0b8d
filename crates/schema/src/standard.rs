//! What Kubernetes asks of every schema in a CustomResourceDefinition beside being structural: keywords that are not
//! supported, those that exclude each other, and the list and map types. Messages and paths are Kubernetes'.

use keelson_types::field::{Error, Path};
use serde_json::Value;

use crate::json::{entries, flag, get, is_empty, items, text, texts};
use crate::node::Kind;
use crate::rules;

/// What a place takes from those around it.
#[derive(Clone, Copy)]
struct Around<'a> {
    root: bool,
    /// Why no default may stand here; empty when one may.
    no_defaults: &'a str,
    within_metadata: bool,
    nested: bool,
}

pub(crate) fn check(schema: &Value, path: &Path<'_>) -> Vec<Error> {
    let mut errors = Vec::new();
    if flag(schema, "nullable") {
        errors.push(Error::forbidden(&path.child("nullable"), "nullable cannot be true at the root"));
    }
    let around = Around { root: true, no_defaults: "", within_metadata: false, nested: false };
    place(schema, around, path, &mut errors);
    errors
}

fn place(schema: &Value, around: Around<'_>, path: &Path<'_>, errors: &mut Vec<Error>) {
    let inner = Around { root: false, ..around };
    keywords(schema, around, path, errors);
    list_type(schema, path, errors);
    map_type(schema, path, errors);
    list_keys(schema, path, errors);
    if !around.nested {
        rules::syntax::check(schema, path, errors);
    }
    if let Some(additional) = get(schema, "additionalProperties") {
        let path = path.child("additionalProperties");
        if !is_empty(schema, "properties") && *additional != Value::Bool(true) {
            errors.push(Error::forbidden(&path, "additionalProperties and properties are mutual exclusive"));
        }
        if additional.is_object() {
            let reason = "inside additionalProperties applying to object metadata";
            let no_defaults = if around.within_metadata { reason } else { around.no_defaults };
            place(additional, Around { no_defaults, ..inner }, &path, errors);
        }
    }
    let properties = path.child("properties");
    for (name, field) in entries(schema, "properties") {
        let of_object = around.root || flag(schema, "x-kubernetes-embedded-resource");
        let metadata = of_object && matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
        let reason = format!("in top-level {name}");
        let no_defaults = if around.root && metadata { reason.as_str() } else { around.no_defaults };
        let within_metadata = around.within_metadata || metadata;
        place(field, Around { no_defaults, within_metadata, ..inner }, &properties.key(name), errors);
    }
    if let Some(item) = get(schema, "items").filter(|item| item.is_object()) {
        place(item, inner, &path.child("items"), errors);
    }
    let nested = Around { nested: true, ..inner };
    for keyword in ["allOf", "oneOf", "anyOf"] {
        let path = path.child(keyword);
        for (index, schema) in items(schema, keyword) {
            place(schema, nested, &path.index(index), errors);
        }
    }
    if let Some(schema) = get(schema, "not") {
        place(schema, nested, &path.child("not"), errors);
    }
}

fn keywords(schema: &Value, around: Around<'_>, path: &Path<'_>, errors: &mut Vec<Error>) {
    let kind = text(schema, "type");
    if !kind.is_empty() && Kind::from_word(kind).is_none() {
        errors.push(Error::not_supported(&path.child("type"), kind, &Kind::WORDS));
    }
    let mut forbid = |keyword: &'static str, found: bool, detail: &str| {
        if found {
            errors.push(Error::forbidden(&path.child(keyword), detail));
        }
    };
    let said = |keyword: &str| get(schema, keyword).is_some();
    let no_default = format!("must not be set {}", around.no_defaults);
    forbid("default", said("default") && !around.no_defaults.is_empty(), &no_default);
    forbid("id", !is_empty(schema, "id"), "id is not supported");
    forbid("$schema", !is_empty(schema, "$schema"), "$schema is not supported");
    forbid("additionalItems", said("additionalItems"), "additionalItems is not supported");
    forbid("patternProperties", !is_empty(schema, "patternProperties"), "patternProperties is not supported");
    forbid("definitions", !is_empty(schema, "definitions"), "definitions is not supported");
    forbid("dependencies", said("dependencies"), "dependencies is not supported");
    forbid("$ref", said("$ref"), "$ref is not supported");
    forbid("type", kind == "null", "type cannot be set to null, use nullable as an alternative");
    let listed = get(schema, "items").is_some_and(Value::is_array);
    forbid("items", listed, "items must be a schema object and not an array");
    let embedded = around.within_metadata && flag(schema, "x-kubernetes-embedded-resource");
    forbid("x-kubernetes-embedded-resource", embedded, "must not be used inside of resource meta");
    let unique = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
    forbid("uniqueItems", flag(schema, "uniqueItems"), unique);
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let path = path.child("x-kubernetes-preserve-unknown-fields");
        errors.push(Error::invalid(&path, false, "must be true or undefined"));
    }
}

fn map_type(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if get(schema, "x-kubernetes-map-type").is_none() {
        return;
    }
    must_be(schema, "object", "must be object if x-kubernetes-map-type is specified", path, errors);
    let word = text(schema, "x-kubernetes-map-type");
    if !["atomic", "granular"].contains(&word) {
        errors.push(Error::not_supported(&path.child("x-kubernetes-map-type"), word, &["atomic", "granular"]));
    }
}

/// Says that the type of `schema` must be `kind`; returns whether it is.
fn must_be(schema: &Value, kind: &str, detail: &str, path: &Path<'_>, errors: &mut Vec<Error>) -> bool {
    let found = text(schema, "type");
    let path = path.child("type");
    match found {
        "" => errors.push(Error::required(&path, detail)),
        found if found != kind => errors.push(Error::invalid(&path, found, detail)),
        _ => return true,
    }
    false
}

fn list_type(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if get(schema, "x-kubernetes-list-type").is_none() {
        return;
    }
    let word = text(schema, "x-kubernetes-list-type");
    if must_be(schema, "array", "must be array if x-kubernetes-list-type is specified", path, errors) && word == "set" {
        let item = &schema["items"];
        let path = path.child("items");
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let list = text(item, "x-kubernetes-list-type");
        if text(item, "type") == "array" && !matches!(list, "" | "atomic") {
            errors.push(Error::invalid(&path.child("x-kubernetes-list-type"), list, detail));
        }
        let map = text(item, "x-kubernetes-map-type");
        if text(item, "type") == "object" && map != "atomic" {
            errors.push(Error::invalid(
                &path.child("x-kubernetes-map-type"),
                get(item, "x-kubernetes-map-type").cloned().unwrap_or_default(),
                detail,
            ));
        }
    }
    if !["atomic", "set", "map"].contains(&word) {
        let words = ["atomic", "set", "map"];
        errors.push(Error::not_supported(&path.child("x-kubernetes-list-type"), word, &words));
    }
    if matches!(word, "set" | "map") && flag(&schema["items"], "nullable") {
        let path = path.child("items");
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {word}");
        errors.push(Error::forbidden(&path.child("nullable"), detail));
    }
}

fn list_keys(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let keys = texts(schema, "x-kubernetes-list-map-keys");
    let is_map = text(schema, "x-kubernetes-list-type") == "map";
    let keys_path = path.child("x-kubernetes-list-map-keys");
    if !keys.is_empty() && !is_map {
        let path = path.child("x-kubernetes-list-type");
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(match get(schema, "x-kubernetes-list-type") {
            None => Error::required(&path, detail),
            Some(word) => Error::invalid(&path, word.clone(), detail),
        });
    }
    if !is_map {
        return;
    }
    if keys.is_empty() {
        errors.push(Error::required(&keys_path, "must not be empty if x-kubernetes-list-type is map"));
    }
    let items_path = path.child("items");
    let Some(item) = get(schema, "items") else {
        errors.push(Error::required(&items_path, "must have a schema if x-kubernetes-list-type is map"));
        return;
    };
    if text(item, "type") != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(Error::invalid(&items_path.child("type"), text(item, "type"), detail));
        return;
    }
    let required = texts(item, "required");
    let properties = items_path.child("properties");
    for (index, key) in keys.iter().enumerate() {
        let path = properties.key(key);
        if keys.iter().take(index).any(|earlier| earlier == key) {
            errors.push(Error::invalid(&keys_path, keys.clone(), "must not contain duplicate entries"));
        }
        let Some(field) = item["properties"].get(key) else {
            errors.push(Error::invalid(&keys_path, keys.clone(), "entries must all be names of item properties"));
            continue;
        };
        if matches!(text(field, "type"), "array" | "object") {
            let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(Error::invalid(&path.child("type"), text(item, "type"), detail));
        }
        let in_keys = "this property is in x-kubernetes-list-map-keys, so it";
        if !required.contains(key) && get(field, "default").is_none() {
            let detail = format!("{in_keys} must have a default or be a required property");
            errors.push(Error::required(&path.child("default"), detail));
        }
        if flag(field, "nullable") {
            errors.push(Error::forbidden(&path.child("nullable"), format!("{in_keys} cannot be nullable")));
        }
    }
}
