//! What server-side apply asks of a place: how the values of two owners become one.

use serde_json::Value;

use crate::node::{Kind, ListType, Node};

/// How two owners' values of a place become one.
#[derive(Clone, Debug, PartialEq)]
pub enum Merge<'a> {
    /// Replaced as a whole: scalars, lists by default, and maps that say so.
    Atomic,
    /// Field by field.
    Granular,
    /// A list without order or repetition.
    Set,
    /// A list of objects, each of which is known by its keys.
    Keys(Vec<Key<'a>>),
}

/// A field by which the elements of a list are told apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Key<'a> {
    pub name: &'a str,
    /// What an element without the field has.
    pub default: Option<&'a Value>,
}

/// One step into an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A field of an object or an entry of a map.
    Field(&'a str),
    /// Any element of a list.
    Item,
}

/// A place of a schema, to walk along beside an object.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Nothing is said of what is here and below.
    node: Option<&'a Node>,
}

impl<'a> Place<'a> {
    pub(crate) const fn new(node: &'a Node) -> Self {
        Place { node: Some(node) }
    }

    /// The place of a field of an object, or of an entry of a map.
    #[must_use]
    pub fn field(self, name: &str) -> Place<'a> {
        Place { node: self.node.and_then(|node| node.entry(name)) }
    }

    /// The place of the elements of a list.
    #[must_use]
    pub fn item(self) -> Place<'a> {
        Place { node: self.node.and_then(|node| node.items.as_deref()) }
    }

    /// Whether the schema says anything of this place.
    pub fn is_known(self) -> bool {
        self.node.is_some()
    }

    /// Whether a whole object stands here, with metadata of its own.
    pub fn is_embedded(self) -> bool {
        self.node.is_some_and(|node| node.embedded)
    }

    /// `None` where the schema does not say of what type the value is. Such values merge by what they are: objects field by
    /// field, everything else as a whole.
    pub fn merge(self) -> Option<Merge<'a>> {
        let node = self.node?;
        let Some(kind) = node.kind else { return node.int_or_string.then_some(Merge::Atomic) };
        Some(match kind {
            Kind::Object if node.atomic => Merge::Atomic,
            Kind::Object => Merge::Granular,
            Kind::Array => match node.list {
                ListType::Atomic => Merge::Atomic,
                ListType::Set => Merge::Set,
                ListType::Map => Merge::Keys(node.keys.iter().map(|key| self.key(key)).collect()),
            },
            Kind::String | Kind::Integer | Kind::Number | Kind::Boolean => Merge::Atomic,
        })
    }

    fn key(self, name: &'a str) -> Key<'a> {
        let field = self.item().node.and_then(|item| item.properties.get(name));
        Key { name, default: field.and_then(|field| field.default.as_ref()) }
    }
}
