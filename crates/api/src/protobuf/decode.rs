//! From a message to a JSON object.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keelson_types::schema::{Field, Instead, Message, Presence, Type, schema};
use serde_json::{Map, Value};

use super::wire::{Payload, Reader, Result};
use super::{Error, time};

/// Messages within messages that are read. No type of the table comes near; JSON is read no deeper.
pub(super) const DEPTH_MAX: usize = 100;

/// The fields of a message.
pub(super) fn message(bytes: &[u8], of: &'static Message) -> std::result::Result<Map<String, Value>, Error> {
    let mut decoder = Decoder { path: Vec::new() };
    let mut object = Map::new();
    match decoder.message(bytes, of, &mut object) {
        Ok(()) => Ok(object),
        Err(what) => {
            let path: Vec<&str> = decoder.path.into_iter().filter(|name| !name.is_empty()).collect();
            let path = if path.is_empty() { of.name.to_owned() } else { path.join(".") };
            Err(Error::Malformed { path, what })
        }
    }
}

/// The path stays where it was when something fails.
struct Decoder {
    path: Vec<&'static str>,
}

impl Decoder {
    /// Adds the fields of a message to `object`, where a message may come in several parts.
    fn message(&mut self, bytes: &[u8], of: &'static Message, object: &mut Map<String, Value>) -> Result<()> {
        let mut reader = Reader::new(bytes);
        while let Some((number, payload)) = reader.field()? {
            let Some(field) = of.numbered(number) else { continue };
            self.path.push(field.name);
            if self.path.len() > DEPTH_MAX {
                return Err("messages nest too deeply");
            }
            self.field(payload, field, object)?;
            self.path.pop();
        }
        Ok(())
    }

    fn field(&mut self, payload: Payload<'_>, field: &'static Field, object: &mut Map<String, Value>) -> Result<()> {
        match &field.of {
            // Its fields stand among ours.
            Type::Message(index) if field.name.is_empty() => {
                return self.message(payload.bytes()?, schema().message(*index), object);
            }
            Type::Message(index) => {
                let mut inner = match object.remove(field.name) {
                    Some(Value::Object(earlier)) => earlier,
                    _ => Map::new(),
                };
                self.message(payload.bytes()?, schema().message(*index), &mut inner)?;
                if field.presence == Presence::Explicit || !inner.is_empty() {
                    object.insert(field.name.to_owned(), Value::Object(inner));
                }
            }
            Type::List(of) => {
                let Value::Array(list) = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new())) else {
                    return Ok(());
                };
                let packed = matches!(**of, Type::Int32 | Type::Int64 | Type::Truth);
                match payload {
                    Payload::Bytes(bytes) if packed => {
                        let mut reader = Reader::new(bytes);
                        while let Some(number) = reader.packed()? {
                            list.push(self.value(Payload::Varint(number), of)?);
                        }
                    }
                    payload => list.push(self.value(payload, of)?),
                }
            }
            Type::Map(of) => {
                let (key, value) = self.entry(payload.bytes()?, of)?;
                let entry = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = entry {
                    map.insert(key, value);
                }
            }
            of => {
                let value = self.value(payload, of)?;
                if field.presence == Presence::ZeroIsAbsent && is_zero(&value) || value.is_null() {
                    object.remove(field.name);
                } else {
                    object.insert(field.name.to_owned(), value);
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, bytes: &[u8], of: &'static Type) -> Result<(String, Value)> {
        let mut reader = Reader::new(bytes);
        let (mut key, mut value) = (String::new(), None);
        while let Some((number, payload)) = reader.field()? {
            match number {
                1 => payload.text()?.clone_into(&mut key),
                2 => value = Some(self.value(payload, of)?),
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            None => self.value(absent(of), of)?,
        };
        Ok((key, value))
    }

    /// A value that stands for itself: no list, no map.
    fn value(&mut self, payload: Payload<'_>, of: &'static Type) -> Result<Value> {
        Ok(match of {
            Type::Text => payload.text()?.into(),
            Type::Truth => (payload.varint()? != 0).into(),
            // Negative numbers are sign-extended; higher bits are cut off, as every implementation does.
            Type::Int32 => (payload.varint()? as i32).into(),
            Type::Int64 => (payload.varint()? as i64).into(),
            Type::Double => payload.double()?.into(),
            Type::Bytes => STANDARD.encode(payload.bytes()?).into(),
            Type::Quantity => match only_text(payload.bytes()?)? {
                "" => "0".into(),
                text => text.into(),
            },
            Type::IntOrText => int_or_text(payload.bytes()?)?,
            Type::Time => time::decode(payload.bytes()?, time::Unit::Seconds)?,
            Type::MicroTime => time::decode(payload.bytes()?, time::Unit::Microseconds)?,
            Type::Duration => time::decode_length(payload.bytes()?)?,
            Type::Raw | Type::FieldSet | Type::Json => raw(payload.bytes()?)?,
            Type::Either(instead, index) => self.either(payload.bytes()?, *instead, schema().message(*index))?,
            Type::WrappedTexts => {
                let mut reader = Reader::new(payload.bytes()?);
                let mut texts = Vec::new();
                while let Some((number, payload)) = reader.field()? {
                    if number == 1 {
                        texts.push(payload.text()?.into());
                    }
                }
                Value::Array(texts)
            }
            Type::Message(index) => {
                let mut object = Map::new();
                self.message(payload.bytes()?, schema().message(*index), &mut object)?;
                Value::Object(object)
            }
            Type::List(_) | Type::Map(_) => return Err("a list of lists is not read"),
        })
    }

    /// What `encode::put_either` writes.
    fn either(&mut self, bytes: &[u8], instead: Instead, of: &'static Message) -> Result<Value> {
        let mut reader = Reader::new(bytes);
        let mut inner = None;
        let mut truth = false;
        let mut list = Vec::new();
        let own = if instead == Instead::Truth { 2 } else { 1 };
        while let Some((number, payload)) = reader.field()? {
            if number == own {
                let mut object = Map::new();
                self.message(payload.bytes()?, of, &mut object)?;
                inner = Some(Value::Object(object));
            } else if number == 1 {
                truth = payload.varint()? != 0;
            } else if number == 2 && instead == Instead::Messages {
                let mut object = Map::new();
                self.message(payload.bytes()?, of, &mut object)?;
                list.push(Value::Object(object));
            } else if number == 2 {
                list.push(payload.text()?.into());
            }
        }
        Ok(match (inner, instead) {
            (Some(inner), _) => inner,
            (None, Instead::Truth) => truth.into(),
            (None, Instead::Messages | Instead::Texts) => Value::Array(list),
        })
    }
}

/// What a map's entry has whose value was left out.
fn absent(of: &Type) -> Payload<'static> {
    match of {
        Type::Truth | Type::Int32 | Type::Int64 => Payload::Varint(0),
        _ => Payload::Bytes(&[]),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// A message whose only field is a text.
fn only_text(bytes: &[u8]) -> Result<&str> {
    let mut reader = Reader::new(bytes);
    let mut text = "";
    while let Some((number, payload)) = reader.field()? {
        if number == 1 {
            text = payload.text()?;
        }
    }
    Ok(text)
}

/// 1 says which of 2, the number, and 3, the text, counts.
fn int_or_text(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(bytes);
    let (mut is_text, mut number, mut text) = (0, 0, "");
    while let Some((field, payload)) = reader.field()? {
        match field {
            1 => is_text = payload.varint()?,
            2 => number = payload.varint()? as i32,
            3 => text = payload.text()?,
            _ => {}
        }
    }
    match is_text {
        0 => Ok(number.into()),
        1 => Ok(text.into()),
        _ => Err("it is neither a number nor a text"),
    }
}

/// JSON text within a message.
fn raw(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(bytes);
    let mut json: &[u8] = &[];
    while let Some((number, payload)) = reader.field()? {
        if number == 1 {
            json = payload.bytes()?;
        }
    }
    if json.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(json).map_err(|_| "what is embedded is not JSON")
}
