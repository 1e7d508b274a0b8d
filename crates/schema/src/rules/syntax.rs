//! How a rule is written, before what it says is looked at.

use keelson_types::field::{Error, Path};
use serde_json::Value;

use crate::json::{get, items, text};

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// How long all the rules of a schema may be together, with what makes their messages. Those in the wild come to some ten KiB.
const MAX_BYTES: usize = 256 * 1024;

/// Reading rules takes time, which nothing else of the schema bounds.
pub(crate) fn check_size(schema: &Value, path: &Path<'_>) -> Option<Error> {
    let detail = format!("x-kubernetes-validations may not be longer than {MAX_BYTES} bytes in the whole schema");
    (size_bytes(schema) > MAX_BYTES).then(|| Error::forbidden(path, detail))
}

/// The bytes of all rules, wherever they stand.
fn size_bytes(schema: &Value) -> usize {
    match schema {
        Value::Object(fields) => {
            let own = items(schema, "x-kubernetes-validations")
                .map(|(_, rule)| text(rule, "rule").len() + text(rule, "messageExpression").len());
            own.sum::<usize>() + fields.values().map(size_bytes).sum::<usize>()
        }
        Value::Array(elements) => elements.iter().map(size_bytes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

pub(crate) fn check(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let path = path.child("x-kubernetes-validations");
    for (index, rule) in items(schema, "x-kubernetes-validations") {
        one(rule, &path.index(index), errors);
    }
}

fn one(rule: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let lines = |text: &str| text.contains(['\n', '\r']);
    let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
    if expression.is_empty() {
        errors.push(Error::required(&path.child("rule"), "rule is not specified"));
    } else if !message.is_empty() && message.trim().is_empty() {
        errors.push(Error::invalid(&path.child("message"), message, "must be non-empty if specified"));
    } else if lines(message.trim()) {
        errors.push(Error::invalid(&path.child("message"), message, "must not contain line breaks"));
    } else if lines(expression) && message.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.push(Error::required(&path.child("message"), detail));
    }
    let message = text(rule, "messageExpression");
    if !message.is_empty() && message.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.push(Error::required(&path.child("messageExpression"), detail));
    }
    if let Some(reason) = get(rule, "reason").and_then(Value::as_str).filter(|reason| !REASONS.contains(reason)) {
        errors.push(Error::not_supported(&path.child("reason"), reason, &REASONS));
    }
    let field = text(rule, "fieldPath");
    if !field.is_empty() && field.trim().is_empty() {
        errors.push(Error::invalid(&path.child("fieldPath"), field, "must be non-empty if specified"));
    }
    if lines(field) {
        errors.push(Error::invalid(&path.child("fieldPath"), field, "must not contain line breaks"));
    }
}
