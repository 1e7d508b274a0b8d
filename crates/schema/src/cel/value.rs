//! The values of expressions. Those of an object are read where they stand: nothing is copied before a rule looks at it.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use keelson_types::quantity::Quantity;
use semver::Version;
use serde_json::{Map, Value as Json};

use super::scope::unescape;
use super::text::Text;
use super::types::Type;
use crate::node::{Kind, ListType, Node};
use crate::url::Url;

#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Rc<[u8]>),
    Timestamp(Timestamp),
    Duration(SignedDuration),
    List(Rc<Vec<Value<'a>>>),
    /// A list of an object.
    Elements(&'a [Json], &'a Node),
    Map(Rc<Vec<(Value<'a>, Value<'a>)>>),
    /// An object or a map of an object; true when it has apiVersion, kind and metadata.
    Fields(&'a Map<String, Json>, &'a Node, bool),
    Metadata(&'a Map<String, Json>),
    Optional(Option<Rc<Value<'a>>>),
    Type(&'static str),
    Url(Rc<Url>),
    Quantity(Quantity),
    Semver(Rc<Version>),
    Ip(IpAddr),
    Cidr(IpAddr, u8),
    /// By its name.
    Format(&'static str),
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: impl Into<Text<'a>>) -> Self {
        Value::Text(text.into())
    }

    pub(crate) fn list(elements: Vec<Value<'a>>) -> Self {
        Value::List(Rc::new(elements))
    }

    /// The value at a place of an object.
    pub(crate) fn of(json: &'a Json, node: &'a Node, whole: bool) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => match (node.kind, number.as_i64()) {
                (Some(Kind::Number), _) | (_, None) => {
                    number.as_f64().map_or(Value::Null, |float| integer(float, node))
                }
                (_, Some(integer)) => Value::Int(integer),
            },
            Json::String(text) => formatted(text, node).unwrap_or(Value::Text(Text::Borrowed(text))),
            Json::Array(elements) => Value::Elements(elements, node),
            Json::Object(fields) => Value::Fields(fields, node, whole || node.embedded),
        }
    }

    /// A field that is there.
    pub(crate) fn field(&self, name: &str) -> Option<Value<'a>> {
        let text = |json: &'a Json| json.as_str().map(Value::text);
        match self {
            Value::Fields(fields, node, _) if node.additional.node().is_some() => {
                let field = node.additional.node()?;
                Some(Value::of(fields.get(name)?, field, field.embedded))
            }
            Value::Fields(fields, _, true) if matches!(name, "apiVersion" | "kind") => fields.get(name).and_then(text),
            Value::Fields(fields, _, true) if name == "metadata" => fields.get(name)?.as_object().map(Value::Metadata),
            Value::Fields(fields, node, _) => {
                let name = unescape(name)?;
                let field = node.properties.get(&name)?;
                Some(Value::of(fields.get(&name)?, field, field.embedded))
            }
            Value::Metadata(fields) => fields.get(name).and_then(text),
            Value::Map(entries) => {
                let key = Value::text(name.to_owned());
                entries.iter().find(|(known, _)| known.equals(&key)).map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// The elements of a list, or the keys of a map.
    pub(crate) fn iterate(&self) -> Option<Vec<Value<'a>>> {
        Some(match self {
            Value::Fields(fields, ..) | Value::Metadata(fields) => {
                fields.keys().map(|key| Value::Text(Text::Borrowed(key.as_str()))).collect()
            }
            Value::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            list => list.elements()?,
        })
    }

    /// Positions and elements of a list, or keys and values of a map.
    pub(crate) fn pairs(&self) -> Option<Vec<(Value<'a>, Value<'a>)>> {
        match self.elements() {
            Some(elements) => {
                let position = |index: usize| Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                Some(elements.into_iter().enumerate().map(|(index, element)| (position(index), element)).collect())
            }
            None => self.pairs_of_map(),
        }
    }

    /// Keys and values of a map.
    pub(crate) fn pairs_of_map(&self) -> Option<Vec<(Value<'a>, Value<'a>)>> {
        match self {
            Value::Map(entries) => Some(entries.to_vec()),
            Value::Fields(fields, ..) => {
                let pair = |key: &'a String| Some((Value::Text(Text::Borrowed(key)), self.field(key)?));
                Some(fields.keys().filter_map(pair).collect())
            }
            _ => None,
        }
    }

    /// The elements of a list.
    pub(crate) fn elements(&self) -> Option<Vec<Value<'a>>> {
        match self {
            Value::List(elements) => Some(elements.to_vec()),
            Value::Elements(elements, node) => {
                let item = node.items.as_deref()?;
                Some(elements.iter().map(|element| Value::of(element, item, item.embedded)).collect())
            }
            _ => None,
        }
    }

    /// The element at a position of a list.
    pub(crate) fn element(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Value::List(elements) => elements.get(index).cloned(),
            Value::Elements(elements, node) => {
                let item = node.items.as_deref()?;
                elements.get(index).map(|element| Value::of(element, item, item.embedded))
            }
            _ => None,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        let size = match self {
            Value::Text(text) => text.chars().count(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(elements) => elements.len(),
            Value::Elements(elements, _) => elements.len(),
            Value::Map(entries) => entries.len(),
            Value::Fields(fields, ..) | Value::Metadata(fields) => fields.len(),
            _ => 1,
        };
        size as u64
    }

    /// The type with this value's size, for finding the function that takes it.
    pub(crate) fn rough_type(&self) -> Type<'a> {
        let any = || Box::new(Type::Any);
        match self {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Uint(_) => Type::Uint,
            Value::Double(_) => Type::Double,
            Value::Text(_) => Type::String(self.size()),
            Value::Bytes(_) => Type::Bytes(self.size()),
            Value::Timestamp(_) => Type::Timestamp,
            Value::Duration(_) => Type::Duration,
            Value::List(_) | Value::Elements(..) => Type::List(any(), self.size()),
            Value::Fields(_, node, _) if node.additional.node().is_none() => Type::Metadata,
            Value::Map(_) | Value::Fields(..) => Type::Map(any(), any(), self.size()),
            Value::Metadata(_) => Type::Metadata,
            Value::Optional(_) => Type::Optional(any()),
            Value::Type(_) => Type::OfTypes,
            Value::Url(_) => Type::Url,
            Value::Quantity(_) => Type::Quantity,
            Value::Semver(_) => Type::Semver,
            Value::Ip(_) => Type::Ip,
            Value::Cidr(..) => Type::Cidr,
            Value::Format(_) => Type::Format,
        }
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::Text(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::List(_) | Value::Elements(..) => "list",
            Value::Map(_) => "map",
            Value::Fields(_, node, _) if node.additional.node().is_some() => "map",
            Value::Fields(..) | Value::Metadata(_) => "object",
            Value::Optional(_) => "optional_type",
            Value::Type(_) => "type",
            Value::Url(_) => "kubernetes.URL",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Semver(_) => "kubernetes.Semver",
            Value::Ip(_) => "net.IP",
            Value::Cidr(..) => "net.CIDR",
            Value::Format(_) => "kubernetes.NamedFormat",
        }
    }

    /// Values of different types are not equal, but numbers of all types are compared as numbers.
    pub(crate) fn equals(&self, other: &Value<'a>) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bytes(left), Value::Bytes(right)) => left == right,
            (Value::Optional(left), Value::Optional(right)) => match (left, right) {
                (Some(left), Some(right)) => left.equals(right),
                (left, right) => left.is_none() && right.is_none(),
            },
            (Value::Type(left), Value::Type(right)) | (Value::Format(left), Value::Format(right)) => left == right,
            (Value::Url(left), Value::Url(right)) => left.text == right.text,
            (Value::Quantity(left), Value::Quantity(right)) => left == right,
            // As in every comparison of versions, it does not matter what was built.
            (Value::Semver(left), Value::Semver(right)) => left.cmp_precedence(right).is_eq(),
            (Value::Ip(left), Value::Ip(right)) => left == right,
            (Value::Cidr(left, bits), Value::Cidr(right, other)) => left == right && bits == other,
            (Value::Fields(left, node, _), Value::Fields(right, other, _)) => {
                let field = |fields: &'a Map<String, Json>, node: &'a Node, name: &String| -> Option<Value<'a>> {
                    let node = node.entry(name)?;
                    Some(Value::of(fields.get(name)?, node, node.embedded))
                };
                left.len() == right.len()
                    && left.keys().all(|name| match (field(left, node, name), field(right, other, name)) {
                        (Some(left), Some(right)) => left.equals(&right),
                        _ => left.get(name) == right.get(name),
                    })
            }
            (Value::Map(_) | Value::Fields(..), Value::Map(_) | Value::Fields(..)) => self.equal_maps(other),
            // Lists of different lengths differ: neither is read.
            (Value::List(_) | Value::Elements(..), Value::List(_) | Value::Elements(..))
                if self.size() != other.size() =>
            {
                false
            }
            _ => match (self.elements(), other.elements()) {
                (Some(left), Some(right)) => self.equal_lists(&left, &right),
                _ => self.compare(other) == Some(Ordering::Equal),
            },
        }
    }

    fn equal_maps(&self, other: &Value<'a>) -> bool {
        let at = |map: &Value<'a>, key: &Value<'a>| map.at(key);
        let keys = self.iterate().unwrap_or_default();
        self.size() == other.size()
            && keys.iter().all(|key| match (at(self, key), at(other, key)) {
                (Some(left), Some(right)) => left.equals(&right),
                _ => false,
            })
    }

    /// Sets and lists with keys are equal in any order.
    fn equal_lists(&self, left: &[Value<'a>], right: &[Value<'a>]) -> bool {
        let any_order = matches!(self, Value::Elements(_, node) if node.list != ListType::Atomic);
        left.len() == right.len()
            && if any_order {
                left.iter().all(|element| right.iter().any(|other| other.equals(element)))
            } else {
                left.iter().zip(right).all(|(left, right)| left.equals(right))
            }
    }

    /// The entry of a map for a key of any type.
    pub(crate) fn at(&self, key: &Value<'a>) -> Option<Value<'a>> {
        match (self, key) {
            (Value::Map(entries), key) => {
                entries.iter().find(|(known, _)| known.equals(key)).map(|(_, value)| value.clone())
            }
            (_, Value::Text(name)) => self.field(name),
            _ => None,
        }
    }

    /// The order of two values; `None` when they have none.
    pub(crate) fn compare(&self, other: &Value<'a>) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
            (Value::Text(left), Value::Text(right)) => Some(left.as_ref().cmp(right.as_ref())),
            (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
            (Value::Timestamp(left), Value::Timestamp(right)) => Some(left.cmp(right)),
            (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
            (Value::Quantity(left), Value::Quantity(right)) => Some(left.cmp(right)),
            (Value::Double(_), _) | (_, Value::Double(_)) => self.float()?.partial_cmp(&other.float()?),
            _ => Some(self.whole()?.cmp(&other.whole()?)),
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Value::Int(integer) => Some((*integer).into()),
            Value::Uint(integer) => Some((*integer).into()),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "comparing with a float is no more exact")]
    fn float(&self) -> Option<f64> {
        match self {
            Value::Double(float) => Some(*float),
            other => other.whole().map(|whole| whole as f64),
        }
    }
}

/// An integer may be written with a fraction of zero.
fn integer<'a>(float: f64, node: &Node) -> Value<'a> {
    let whole = node.kind == Some(Kind::Integer) && float.fract() == 0.0 && float.abs() < 9.0e18;
    #[expect(clippy::cast_possible_truncation, reason = "bounded in the line before")]
    if whole { Value::Int(float as i64) } else { Value::Double(float) }
}

/// A text of a format that has a type of its own.
fn formatted<'a>(text: &str, node: &Node) -> Option<Value<'a>> {
    if node.kind != Some(Kind::String) {
        return None;
    }
    match node.limits.format.as_str() {
        "byte" => STANDARD.decode(text).ok().map(|bytes| Value::Bytes(bytes.into())),
        "date" => format!("{text}T00:00:00Z").parse().ok().map(Value::Timestamp),
        "date-time" => text.parse().ok().map(Value::Timestamp),
        "duration" => super::library::time::duration(text).map(Value::Duration),
        _ => None,
    }
}
