//! Facts about Kubernetes' API types: for each, its fields with their JSON names, protobuf numbers, types, and how they
//! merge. One table serves every kind, so that a new kind needs no code for protobuf or server-side apply.
//!
//! The table is text, `schema/facts.txt`, made by `scripts/kubernetes-facts` from Kubernetes' Go types and read once:
//!
//! ```text
//! = apps/v1 Deployment apps.v1.Deployment            a kind and its type
//! core.v1.Volume name:1s! ~:2@core.v1.VolumeSource   a type and its fields, in the order of their numbers
//! ```
//!
//! A field is `name:number type presence merge`, without the spaces. The name `~` is a message whose fields stand among those
//! of the type that has it, in JSON.
//!
//! | type | is | JSON |
//! |---|---|---|
//! | `s` `t` `i` `l` | text, truth, 32 and 64 bit integers | the same |
//! | `b` | bytes | base64 |
//! | `Q` `O` | quantity; integer or text | text; either |
//! | `T` `M` | time in seconds, in microseconds | RFC 3339 |
//! | `D` | a length of time | as Go writes it: `1m30s` |
//! | `d` | a 64 bit float | a number |
//! | `R` `F` `J` | any object; a set of fields; any value | itself |
//! | `Ut@x` `Ul@x` `Us@x` | a message, or instead of it a truth, a list of such messages, a list of texts | either |
//! | `E` | a message around texts | a list of texts |
//! | `@x.y.Z` `[…]` `{…}` | a message, a list, a map by text | object, array, object |
//!
//! Presence: `?` when absent and zero differ, `!` when zero is written all the same, neither when zero is left out.
//! Merge: `%` replaces the value as a whole (behind the name of a type: every value of it), `+` merges a list as a set,
//! `+a,b=c` as a map by the keys a and b, where b is c unless it is said.

mod parse;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a message has.
#[derive(Debug)]
pub struct Message {
    /// `core.v1.Pod`
    pub name: &'static str,
    /// Its values are owned, and replaced, as a whole.
    pub atomic: bool,
    /// In the order of their numbers.
    pub fields: Vec<Field>,
    by_name: HashMap<&'static str, usize>,
}

#[derive(Debug)]
pub struct Field {
    /// Empty when the fields of this message stand among those of the one around it.
    pub name: &'static str,
    pub number: u32,
    pub of: Type,
    pub presence: Presence,
    pub merge: Merge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Zero is the same as absent, and left out.
    ZeroIsAbsent,
    /// Zero is the same as absent, but written.
    ZeroIsWritten,
    /// Zero is a value of its own.
    Explicit,
}

/// How a value is written.
#[derive(Debug, PartialEq, Eq)]
pub enum Type {
    Text,
    Truth,
    Int32,
    Int64,
    Double,
    Bytes,
    Quantity,
    IntOrText,
    Time,
    MicroTime,
    Duration,
    /// Any object, as JSON text.
    Raw,
    /// The same, but always a set of fields.
    FieldSet,
    /// Any value, as JSON text.
    Json,
    /// A message, by its index, or something instead of it.
    Either(Instead, usize),
    /// A message whose only field is a list of texts; a list of texts in JSON.
    WrappedTexts,
    /// By its index; see [`Schema::message`].
    Message(usize),
    List(Box<Type>),
    /// By text.
    Map(Box<Type>),
}

/// What may stand where a message is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    Truth,
    Messages,
    Texts,
}

/// How two owners' values of a field become one.
#[derive(Debug, PartialEq, Eq)]
pub enum Merge {
    /// Messages and maps field by field; lists and scalars are replaced.
    Usual,
    /// Replaced as a whole.
    Atomic,
    /// A list without order or repetition.
    Set,
    /// A list of messages, each of which is known by its keys.
    Keys(Vec<Key>),
}

/// A field by which the elements of a list are told apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    pub name: &'static str,
    /// What an element without the field has.
    pub default: Option<serde_json::Value>,
}

/// Every type.
#[derive(Debug)]
pub struct Schema {
    messages: Vec<Message>,
    by_name: HashMap<&'static str, usize>,
    /// By apiVersion and kind.
    kinds: HashMap<(&'static str, &'static str), usize>,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| parse::parse(include_str!("schema/facts.txt")));

/// The table.
pub fn schema() -> &'static Schema {
    &SCHEMA
}

impl Schema {
    /// The type of a kind, or of one that belongs to every group, such as `DeleteOptions`.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<&Message> {
        let common = || self.by_name.get(format!("meta.v1.{kind}").as_str());
        self.kinds.get(&(api_version, kind)).or_else(common).and_then(|index| self.messages.get(*index))
    }

    /// The message that a type names.
    pub fn message(&self, index: usize) -> &Message {
        // The parser checks every index.
        &self.messages[index]
    }

    /// The field of `message` that JSON knows by `name`, of its own or of a message that stands among its fields.
    pub fn field<'a>(&'a self, message: &'a Message, name: &str) -> Option<&'a Field> {
        if let Some(index) = message.by_name.get(name) {
            return message.fields.get(*index);
        }
        message.fields.iter().filter(|field| field.name.is_empty()).find_map(|field| match field.of {
            Type::Message(index) => self.field(self.message(index), name),
            _ => None,
        })
    }
}

impl Message {
    /// The field with a number of the wire.
    pub fn numbered(&self, number: u32) -> Option<&Field> {
        self.fields.binary_search_by_key(&number, |field| field.number).ok().and_then(|index| self.fields.get(index))
    }
}
