//! From a JSON object to a message.
//!
//! The object has been checked against its kind before, so that what does not fit here is a fault of ours or of the table; it
//! is told as an error and never left out silently. Fields that the table does not have are left out: protobuf has no place
//! for them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keelson_types::schema::{Field, Instead, Message, Type, schema};
use serde_json::{Map, Value};

use super::wire::{put_bytes, put_double, put_nested, put_number, put_varint};
use super::{Error, MAGIC, kind_of, time};

type Result<T = ()> = std::result::Result<T, Error>;

/// A whole document of an object that says its apiVersion and kind.
///
/// # Errors
/// When the table does not have the kind, or the object does not fit it.
pub fn document(object: &Value) -> Result<Vec<u8>> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let message = message(object, kind_of(api_version, kind)?)?;
    let mut out = prefixed_document_head(api_version, kind, message.len());
    out.reserve(message.len() + DOCUMENT_TAIL.len());
    out.extend_from_slice(&message);
    out.extend_from_slice(DOCUMENT_TAIL);
    Ok(out)
}

/// What follows a document's message: that it is neither compressed nor of another type.
pub const DOCUMENT_TAIL: &[u8] = &[0x1a, 0, 0x22, 0];

/// A document up to a message of `length` bytes.
pub fn prefixed_document_head(api_version: &str, kind: &str, length: usize) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let mut type_meta = Vec::new();
    put_bytes(1, api_version.as_bytes(), &mut type_meta);
    put_bytes(2, kind.as_bytes(), &mut type_meta);
    put_bytes(1, &type_meta, &mut out);
    put_varint(2 << 3 | 2, &mut out);
    put_varint(length as u64, &mut out);
    out
}

/// A message alone.
///
/// # Errors
/// When the object does not fit.
pub fn message(object: &Value, of: &'static Message) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let fields = object.as_object().ok_or_else(|| misfit(of.name))?;
    put_message(fields, of, &mut out)?;
    Ok(out)
}

/// A message as a field of another.
///
/// # Errors
/// When the object does not fit.
pub fn message_field(number: u32, object: &Value, of: &'static Message) -> Result<Vec<u8>> {
    let message = message(object, of)?;
    let mut out = Vec::with_capacity(message.len() + 6);
    put_bytes(number, &message, &mut out);
    Ok(out)
}

/// One event of a watch: its length in four bytes, its type, and a document.
///
/// # Errors
/// When the event is too long for its length.
pub fn watch_event(event: &str, document: &[u8]) -> Result<Vec<u8>> {
    let mut out = vec![0; 4];
    put_bytes(1, event.as_bytes(), &mut out);
    put_nested::<Error>(2, &mut out, |out| {
        put_bytes(1, document, out);
        Ok(())
    })?;
    let length = u32::try_from(out.len() - 4).map_err(|_| misfit("object"))?;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Ok(out)
}

fn misfit(name: &str) -> Error {
    Error::Malformed { path: name.to_owned(), what: "the value does not fit the field" }
}

fn put_message(object: &Map<String, Value>, of: &'static Message, out: &mut Vec<u8>) -> Result {
    for field in &of.fields {
        if field.name.is_empty() {
            put_among(object, field, out)?;
        } else if let Some(value) = object.get(field.name) {
            put_field(value, field, out)?;
        }
    }
    Ok(())
}

/// A message whose fields stand among those of `object`; left out when it has none of them.
fn put_among(object: &Map<String, Value>, field: &'static Field, out: &mut Vec<u8>) -> Result {
    let Type::Message(index) = field.of else { return Err(misfit("~")) };
    let mut inner = Vec::new();
    put_message(object, schema().message(index), &mut inner)?;
    if !inner.is_empty() {
        put_bytes(field.number, &inner, out);
    }
    Ok(())
}

fn put_field(value: &Value, field: &'static Field, out: &mut Vec<u8>) -> Result {
    match (&field.of, value) {
        (_, Value::Null) => Ok(()),
        (Type::List(of), Value::Array(list)) => {
            list.iter().try_for_each(|value| put_value(field.number, value, of, field, out))
        }
        // Texts in a message of their own are one value.
        (Type::WrappedTexts, value) => put_value(field.number, value, &field.of, field, out),
        (Type::Map(of), Value::Object(map)) => map.iter().try_for_each(|(key, value)| {
            put_nested(field.number, out, |out| {
                put_bytes(1, key.as_bytes(), out);
                put_value(2, value, of, field, out)
            })
        }),
        (of, value) => put_value(field.number, value, of, field, out),
    }
}

fn put_value(number: u32, value: &Value, of: &'static Type, field: &Field, out: &mut Vec<u8>) -> Result {
    let misfit = || misfit(field.name);
    match (of, value) {
        (Type::Text, Value::String(text)) => put_bytes(number, text.as_bytes(), out),
        (Type::Truth, Value::Bool(truth)) => put_number(number, u64::from(*truth), out),
        (Type::Int32 | Type::Int64, Value::Number(value)) => {
            // Negative numbers take all 64 bits.
            put_number(number, value.as_i64().ok_or_else(misfit)? as u64, out);
        }
        (Type::Double, Value::Number(value)) => put_double(number, value.as_f64().ok_or_else(misfit)?, out),
        (Type::Bytes, Value::String(text)) => {
            put_bytes(number, &STANDARD.decode(text).map_err(|_| misfit())?, out);
        }
        (Type::Quantity, value) => {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(misfit()),
            };
            put_nested::<Error>(number, out, |out| {
                put_bytes(1, text.as_bytes(), out);
                Ok(())
            })?;
        }
        (Type::IntOrText, value) => put_nested(number, out, |out| {
            let (is_text, number, text) = match value {
                Value::Number(number) => (0, number.as_i64().ok_or_else(misfit)?, ""),
                Value::String(text) => (1, 0, text.as_str()),
                _ => return Err(misfit()),
            };
            put_number(1, is_text, out);
            put_number(2, number as u64, out);
            put_bytes(3, text.as_bytes(), out);
            Ok(())
        })?,
        (Type::Time | Type::MicroTime, Value::String(text)) => {
            put_bytes(number, &time::encode(text).ok_or_else(misfit)?, out);
        }
        (Type::Duration, Value::String(text)) => {
            put_bytes(number, &time::encode_length(text).ok_or_else(misfit)?, out);
        }
        (Type::Raw | Type::FieldSet | Type::Json, value) => put_nested(number, out, |out| {
            let json = serde_json::to_vec(value).map_err(|_| misfit())?;
            put_bytes(1, &json, out);
            Ok::<(), Error>(())
        })?,
        (Type::WrappedTexts, Value::Array(texts)) => put_nested(number, out, |out| {
            for text in texts {
                put_bytes(1, text.as_str().ok_or_else(misfit)?.as_bytes(), out);
            }
            Ok::<(), Error>(())
        })?,
        (Type::Either(instead, index), value) => {
            put_nested(number, out, |out| put_either(value, *instead, *index, field, out))?
        }
        (Type::Message(index), Value::Object(object)) => {
            put_nested(number, out, |out| put_message(object, schema().message(*index), out))?;
        }
        _ => return Err(misfit()),
    }
    Ok(())
}

/// A message in which one field is set: the message itself, or what is instead of it.
fn put_either(value: &Value, instead: Instead, index: usize, field: &Field, out: &mut Vec<u8>) -> Result {
    let misfit = || misfit(field.name);
    let of = schema().message(index);
    match (instead, value) {
        (Instead::Truth, Value::Bool(truth)) => put_number(1, u64::from(*truth), out),
        (Instead::Truth, Value::Object(object)) => {
            put_number(1, 1, out);
            put_nested(2, out, |out| put_message(object, of, out))?;
        }
        (Instead::Messages | Instead::Texts, Value::Object(object)) => {
            put_nested(1, out, |out| put_message(object, of, out))?;
        }
        (Instead::Messages, Value::Array(list)) => {
            for value in list {
                let object = value.as_object().ok_or_else(misfit)?;
                put_nested(2, out, |out| put_message(object, of, out))?;
            }
        }
        (Instead::Texts, Value::Array(texts)) => {
            for text in texts {
                put_bytes(2, text.as_str().ok_or_else(misfit)?.as_bytes(), out);
            }
        }
        _ => return Err(misfit()),
    }
    Ok(())
}
