//! The types of expressions, with the most that a value of the type can hold. A schema's place gives its type.

use crate::node::{Kind, Node};

/// The size of the largest request that is accepted, from which bounds follow where a schema names none. Kubernetes' number:
/// its cost estimates are part of what a definition may hold.
pub(crate) const MAX_REQUEST_BYTES: u64 = 3 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type<'a> {
    /// Known when the rule runs. With the largest size.
    Dyn(u64),
    /// Of an element of the empty list, and the like: fits every type.
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    /// With the largest length.
    String(u64),
    Bytes(u64),
    Timestamp,
    Duration,
    List(Box<Type<'a>>, u64),
    /// The values of a map; keys are texts, unless the map is written in the rule.
    Map(Box<Type<'a>>, Box<Type<'a>>, u64),
    /// An object with named fields; `whole` when it has apiVersion, kind and metadata.
    Object {
        node: Place<'a>,
        whole: bool,
    },
    /// The metadata of a whole object: only the name is to be seen.
    Metadata,
    Optional(Box<Type<'a>>),
    /// Of a type itself.
    OfTypes,
    Url,
    Quantity,
    Semver,
    Ip,
    Cidr,
    Format,
}

/// A schema's place, compared by identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a>(pub &'a Node);

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

/// How long a date with its quotes is, and the longest text of a moment or a duration.
const DATE_BYTES: u64 = 12;
const TIME_BYTES: u64 = 32;

impl<'a> Type<'a> {
    /// The type of a place; `None` where the schema says too little for rules.
    pub(crate) fn of(node: &'a Node, whole: bool) -> Option<Type<'a>> {
        let limits = &node.limits;
        // A character may take four bytes.
        let length = || limits.max_length.map_or(MAX_REQUEST_BYTES - 2, |max| max.saturating_mul(4));
        if node.int_or_string {
            return Some(Type::Dyn(length()));
        }
        Some(match node.kind? {
            Kind::Array => {
                let item = node.items.as_deref()?;
                let of = Type::of(item, item.embedded)?;
                let max = limits.max_items.unwrap_or((MAX_REQUEST_BYTES - 2) / (item.min_bytes + 1));
                Type::List(Box::new(of), max)
            }
            Kind::Object => match node.additional.node() {
                Some(field) => {
                    let of = Type::of(field, field.embedded)?;
                    let max = limits.max_properties.unwrap_or((MAX_REQUEST_BYTES - 2) / (field.min_bytes + 6));
                    Type::Map(Box::new(Type::String(MAX_REQUEST_BYTES)), Box::new(of), max)
                }
                None => Type::Object { node: Place(node), whole: whole || node.embedded },
            },
            Kind::String => match limits.format.as_str() {
                "byte" => Type::Bytes(limits.max_length.unwrap_or(MAX_REQUEST_BYTES - 2)),
                "duration" => Type::Duration,
                "date" | "date-time" => Type::Timestamp,
                _ => Type::String(match (limits.max_length, limits.allowed.is_empty()) {
                    (None, false) => longest(node),
                    _ => length(),
                }),
            },
            Kind::Integer => Type::Int,
            Kind::Number => Type::Double,
            Kind::Boolean => Type::Bool,
        })
    }

    /// The type of a field.
    pub(crate) fn field(&self, name: &str) -> Option<Type<'a>> {
        let text = || Type::String(MAX_REQUEST_BYTES - 2);
        match self {
            Type::Object { whole: true, .. } if matches!(name, "apiVersion" | "kind") => Some(text()),
            Type::Object { whole: true, .. } if name == "metadata" => Some(Type::Metadata),
            Type::Object { node, .. } => {
                let field = node.0.properties.get(&super::scope::unescape(name)?)?;
                Type::of(field, field.embedded)
            }
            Type::Metadata => matches!(name, "name" | "generateName").then(text),
            Type::Map(_, value, _) => Some((**value).clone()),
            Type::Dyn(max) => Some(Type::Dyn(*max)),
            Type::Any => Some(Type::Any),
            Type::Optional(of) => of.field(name).map(Type::optional),
            _ => None,
        }
    }

    pub(crate) fn optional(self) -> Self {
        match self {
            Type::Optional(of) => Type::Optional(of),
            of => Type::Optional(Box::new(of)),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Type::Dyn(_) | Type::Any)
    }

    /// The largest size of a value: of scalars it is one.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Type::Dyn(max) | Type::String(max) | Type::Bytes(max) | Type::List(_, max) | Type::Map(_, _, max) => *max,
            Type::Timestamp | Type::Duration => TIME_BYTES,
            Type::Optional(of) => of.size(),
            Type::Any | Type::Object { .. } | Type::Metadata => u64::MAX,
            _ => 1,
        }
    }

    /// The type that holds the values of both; `None` when there is none but `dyn`.
    pub(crate) fn join(&self, other: &Type<'a>) -> Option<Type<'a>> {
        let larger = |left: u64, right: u64| left.max(right);
        Some(match (self, other) {
            (Type::Any, other) | (other, Type::Any) => other.clone(),
            (Type::Dyn(_), _) | (_, Type::Dyn(_)) => Type::Dyn(larger(self.size(), other.size())),
            (Type::String(left), Type::String(right)) => Type::String(larger(*left, *right)),
            (Type::Bytes(left), Type::Bytes(right)) => Type::Bytes(larger(*left, *right)),
            (Type::List(left, most), Type::List(right, max)) => {
                Type::List(Box::new(left.join(right)?), larger(*most, *max))
            }
            (Type::Map(key, left, most), Type::Map(other, right, max)) => {
                Type::Map(Box::new(key.join(other)?), Box::new(left.join(right)?), larger(*most, *max))
            }
            (Type::Optional(left), Type::Optional(right)) => Type::Optional(Box::new(left.join(right)?)),
            (left, right) if left == right => left.clone(),
            // An object may be compared with one of the same fields elsewhere.
            (Type::Object { .. }, Type::Object { .. }) => self.clone(),
            _ => return None,
        })
    }
}

fn longest(node: &Node) -> u64 {
    let lengths = node.limits.allowed.iter().filter_map(|value| value.as_str()).map(|text| text.len() as u64);
    lengths.max().unwrap_or_default()
}

impl std::fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Type::Dyn(_) | Type::Any => f.write_str("dyn"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String(_) => f.write_str("string"),
            Type::Bytes(_) => f.write_str("bytes"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Duration => f.write_str("duration"),
            Type::List(of, _) => write!(f, "list({of})"),
            Type::Map(key, value, _) => write!(f, "map({key}, {value})"),
            Type::Object { .. } | Type::Metadata => f.write_str("object"),
            Type::Optional(of) => write!(f, "optional_type({of})"),
            Type::OfTypes => f.write_str("type"),
            Type::Url => f.write_str("kubernetes.URL"),
            Type::Quantity => f.write_str("kubernetes.Quantity"),
            Type::Semver => f.write_str("kubernetes.Semver"),
            Type::Ip => f.write_str("net.IP"),
            Type::Cidr => f.write_str("net.CIDR"),
            Type::Format => f.write_str("kubernetes.NamedFormat"),
        }
    }
}

/// The least that a value of a place takes in a request, from which follows how many fit into one.
pub(crate) fn min_bytes(node: &Node) -> u64 {
    if node.int_or_string {
        return 1;
    }
    match node.kind {
        None => 0,
        Some(Kind::Object) if node.additional.node().is_none() => {
            let required = node.limits.required.iter().filter_map(|name| Some((name, node.properties.get(name)?)));
            let given = required.filter(|(_, field)| field.default.is_none());
            2 + given.map(|(name, field)| name.len() as u64 + field.min_bytes + 4).sum::<u64>()
        }
        Some(Kind::Object | Kind::Array) => 2,
        Some(Kind::String) => match node.limits.format.as_str() {
            "duration" => 3,
            "date" => DATE_BYTES,
            "date-time" => 21,
            _ => 2,
        },
        Some(Kind::Boolean) => 4,
        Some(Kind::Integer | Kind::Number) => 1,
    }
}
