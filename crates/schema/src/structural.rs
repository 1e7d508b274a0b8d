//! What makes a schema structural: every field has its type outside of `allOf`, `anyOf`, `oneOf` and `not`, and within
//! these stand only restrictions of fields that are named outside. Messages and paths are Kubernetes'.

use keelson_types::field::{Error, Path};
use serde_json::{Value, json};

use crate::json::{entries, flag, get, is_empty, items, text};
use crate::pattern::Patterns;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The errors, sorted by their texts.
pub(crate) fn check(schema: &Value, path: &Path<'_>, patterns: &mut Patterns) -> Vec<Error> {
    let mut errors = Vec::new();
    invariants(schema, Level::Root, path, patterns, &mut errors);
    completeness(schema, schema, path, path, &mut errors);
    errors.sort_by_cached_key(Error::to_string);
    errors
}

fn invariants(schema: &Value, level: Level, path: &Path<'_>, patterns: &mut Patterns, errors: &mut Vec<Error>) {
    if text(schema, "type") == "array" && get(schema, "items").is_none() {
        errors.push(Error::required(&path.child("items"), "must be specified"));
    }
    if let Some(item) = get(schema, "items") {
        invariants(item, Level::Item, &path.child("items"), patterns, errors);
    }
    let properties = path.child("properties");
    for (name, field) in entries(schema, "properties") {
        invariants(field, Level::Field, &properties.key(name), patterns, errors);
    }
    if let Some(additional) = get(schema, "additionalProperties") {
        let path = path.child("additionalProperties");
        if level == Level::Root {
            errors.push(Error::forbidden(&path, "must not be used at the root"));
        }
        if additional.is_object() {
            invariants(additional, Level::Field, &path, patterns, errors);
        }
    }
    extensions(schema, path, errors);
    restrictions(schema, is_int_or_string(schema), int_or_string_all_of(schema), path, patterns, errors);
    type_of(schema, level, path, errors);
    metadata(schema, level, path, errors);
}

fn extensions(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if !flag(schema, "x-kubernetes-int-or-string") {
        return;
    }
    for keyword in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if flag(schema, keyword) {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            errors.push(Error::invalid(&path.child(keyword), true, detail));
        }
    }
}

fn type_of(schema: &Value, level: Level, path: &Path<'_>, errors: &mut Vec<Error>) {
    let kind = text(schema, "type");
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    let preserves = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let at = path.child("type");
    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() { Error::required(&at, detail) } else { Error::invalid(&at, kind, detail) });
    } else if kind.is_empty() && !flag(schema, "x-kubernetes-int-or-string") && !preserves {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(Error::required(&at, detail));
    }
    if embedded && get(schema, "additionalProperties").is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(Error::forbidden(&path.child("additionalProperties"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(Error::invalid(&at, kind, "must be object at the root"));
    }
    if embedded && !preserves && is_empty(schema, "properties") {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.push(Error::required(&path.child("properties"), detail));
    }
}

/// What a schema may say of apiVersion, kind and metadata, whose schema is given.
fn metadata(schema: &Value, level: Level, path: &Path<'_>, errors: &mut Vec<Error>) {
    let whole_object = level == Level::Root || flag(schema, "x-kubernetes-embedded-resource");
    let properties = path.child("properties");
    for name in ["kind", "apiVersion"] {
        if let Some(field) = schema["properties"].get(name)
            && whole_object
            && text(field, "type") != "string"
        {
            let path = properties.key(name);
            errors.push(Error::invalid(&path.child("type"), text(field, "type"), "must be string"));
        }
    }
    let Some(metadata) = schema["properties"].get("metadata") else { return };
    let path = properties.key("metadata");
    if whole_object && text(metadata, "type") != "object" {
        errors.push(Error::invalid(&path.child("type"), text(metadata, "type"), "must be object"));
    }
    let may_stand = ["type", "default", "properties"];
    let only_names = entries(metadata, "properties").all(|(name, _)| name == "name" || name == "generateName");
    let nothing_else = metadata.as_object().into_iter().flatten().all(|(keyword, value)| {
        may_stand.contains(&keyword.as_str()) || !crate::shape::is_keyword(keyword) || is_zero(value)
    });
    if level == Level::Root && !(only_names && nothing_else) {
        let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(Error::forbidden(&path, detail));
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(_) => false,
    }
}

/// The one place where types may stand in `anyOf`: both types of an integer or text.
fn is_int_or_string(schema: &Value) -> bool {
    schema["anyOf"] == json!([{"type": "integer"}, {"type": "string"}])
}

fn int_or_string_all_of(schema: &Value) -> bool {
    schema["allOf"].get(0).is_some_and(is_int_or_string)
}

/// The restrictions of a place: what `allOf` and the like say, and its pattern.
fn restrictions(
    schema: &Value,
    skip_any: bool,
    skip_first_all: bool,
    path: &Path<'_>,
    patterns: &mut Patterns,
    errors: &mut Vec<Error>,
) {
    for keyword in ["anyOf", "allOf", "oneOf"] {
        let path = path.child(keyword);
        for (index, inner) in items(schema, keyword) {
            let skip = keyword == "allOf" && skip_first_all && index == 0;
            if !(keyword == "anyOf" && skip_any) {
                nested(inner, skip, &path.index(index), patterns, errors);
            }
        }
    }
    if let Some(inner) = get(schema, "not") {
        nested(inner, false, &path.child("not"), patterns, errors);
    }
    let expression = text(schema, "pattern");
    if let Err(error) = patterns.compile(expression) {
        let detail = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(Error::invalid(&path.child("pattern"), expression, detail));
    }
}

/// A schema within `allOf` and the like.
fn nested(schema: &Value, skip_any: bool, path: &Path<'_>, patterns: &mut Patterns, errors: &mut Vec<Error>) {
    restrictions(schema, skip_any, false, path, patterns, errors);
    if let Some(item) = get(schema, "items") {
        nested(item, false, &path.child("items"), patterns, errors);
    }
    let properties = path.child("properties");
    for (name, field) in entries(schema, "properties") {
        nested(field, false, &properties.key(name), patterns, errors);
    }
    let mut forbid = |keyword: &'static str, found: bool, must: &str| {
        if found {
            errors.push(Error::forbidden(&path.child(keyword), format!("must be {must} to be structural")));
        }
    };
    let said = |keyword: &str| get(schema, keyword).is_some();
    let additional = get(schema, "additionalProperties").is_some_and(|value| *value != Value::Bool(false));
    forbid("type", !is_empty(schema, "type"), "empty");
    forbid("additionalProperties", additional, "undefined");
    forbid("default", said("default"), "undefined");
    forbid("title", !is_empty(schema, "title"), "empty");
    forbid("description", !is_empty(schema, "description"), "empty");
    for keyword in [
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ] {
        forbid(keyword, flag(schema, keyword), "false");
    }
    forbid("x-kubernetes-list-map-keys", !is_empty(schema, "x-kubernetes-list-map-keys"), "empty");
    forbid("x-kubernetes-list-type", said("x-kubernetes-list-type"), "undefined");
    forbid("x-kubernetes-map-type", said("x-kubernetes-map-type"), "undefined");
    forbid("x-kubernetes-validations", !is_empty(schema, "x-kubernetes-validations"), "empty");
    if schema["properties"].get("metadata").is_some() {
        // It could restrict more of metadata than is allowed.
        errors.push(Error::forbidden(&properties.key("metadata"), "must not be specified in a nested context"));
    }
}

/// That every field and item that the root names within `allOf` and the like is named outside. Kubernetes asks this of the
/// root alone, and schemas in the wild rely on that.
///
/// `outside` is the place outside at the path `there`; `here` is where `inner` stands.
fn completeness(inner: &Value, outside: &Value, there: &Path<'_>, here: &Path<'_>, errors: &mut Vec<Error>) {
    for keyword in ["not", "allOf", "anyOf", "oneOf"] {
        let here = here.child(keyword);
        if keyword == "not"
            && let Some(inner) = get(inner, keyword)
        {
            named_outside(inner, Some(outside), there, &here, errors);
        }
        for (index, inner) in items(inner, keyword) {
            named_outside(inner, Some(outside), there, &here.index(index), errors);
        }
    }
}

fn named_outside(inner: &Value, outside: Option<&Value>, there: &Path<'_>, here: &Path<'_>, errors: &mut Vec<Error>) {
    let Some(outside) = outside else {
        errors.push(Error::required(there, format!("because it is defined in {here}")));
        return;
    };
    completeness(inner, outside, there, here, errors);
    if let Some(item) = get(inner, "items") {
        named_outside(item, get(outside, "items"), &there.child("items"), &here.child("items"), errors);
    }
    let (there, here) = (there.child("properties"), here.child("properties"));
    for (name, field) in entries(inner, "properties") {
        named_outside(field, outside["properties"].get(name), &there.key(name), &here.key(name), errors);
    }
}
