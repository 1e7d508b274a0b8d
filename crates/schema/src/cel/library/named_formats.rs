//! Formats by name: `format.dns1123Label().validate('a.b')` is what is wrong with the text, or nothing.

use std::rc::Rc;

use keelson_types::names;

use super::Answer;
use crate::cel::value::Value;
use crate::validate::format;

type Check = fn(&str) -> Vec<String>;

const FORMATS: [(&str, Check); 13] = [
    ("dns1123Label", names::dns1123_label),
    ("dns1123Subdomain", names::dns1123_subdomain),
    ("dns1035Label", names::dns1035_label),
    ("qualifiedName", names::qualified_name),
    ("dns1123LabelPrefix", |text| names::dns1123_label(&as_prefix(text))),
    ("dns1123SubdomainPrefix", |text| names::dns1123_subdomain(&as_prefix(text))),
    ("dns1035LabelPrefix", |text| names::dns1035_label(&as_prefix(text))),
    ("labelValue", names::label_value),
    ("uri", |text| complaint(crate::url::parse(text).is_some(), "invalid URI")),
    ("uuid", |text| complaint(format::fits("uuid", None, text), "does not match the UUID format")),
    ("byte", |text| complaint(format::fits("byte", None, text), "invalid base64")),
    ("date", |text| complaint(format::fits("date", None, text), "invalid date")),
    ("datetime", |text| complaint(format::fits("datetime", None, text), "invalid datetime")),
];

/// A prefix may end in a hyphen, because more follows.
fn as_prefix(text: &str) -> String {
    match text.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => text.to_owned(),
    }
}

fn complaint(fits: bool, message: &str) -> Vec<String> {
    if fits { Vec::new() } else { vec![message.to_owned()] }
}

pub(super) fn call<'a>(name: &str, _: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    let find = |name: &str| FORMATS.iter().find(|(known, _)| *known == name);
    Some(Ok(match (name, arguments) {
        ("format.named", [Value::Text(name)]) => {
            Value::Optional(find(name).map(|(name, _)| Rc::new(Value::Format(name))))
        }
        ("validate", [Value::Format(name), Value::Text(text)]) => {
            let (_, check) = find(name)?;
            let complaints: Vec<Value<'a>> = check(text).into_iter().map(Value::text).collect();
            Value::Optional((!complaints.is_empty()).then(|| Rc::new(Value::list(complaints))))
        }
        (name, []) => Value::Format(find(name.strip_prefix("format.")?)?.0),
        _ => return None,
    }))
}
