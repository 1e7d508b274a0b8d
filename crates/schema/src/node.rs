//! One place of a schema, as the rest of the crate reads it: what a value there may be.

use std::collections::BTreeMap;

use serde_json::{Number, Value};

use crate::cel::Expression;
use crate::pattern::Pattern;

/// A schema whose shape was checked. The schemas within `allOf` and the like are nodes too, with few of the fields set.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Absent for places that keep whatever they are given, for integers or texts, and within `allOf` and the like.
    pub kind: Option<Kind>,
    pub nullable: bool,
    pub default: Option<Value>,
    pub properties: BTreeMap<String, Node>,
    pub additional: Additional,
    pub items: Option<Box<Node>>,
    pub preserves_unknown: bool,
    /// A whole object with apiVersion, kind and metadata.
    pub embedded: bool,
    pub int_or_string: bool,
    pub list: ListType,
    /// The keys of a list whose elements are told apart by them.
    pub keys: Vec<String>,
    /// The map is owned and replaced as a whole.
    pub atomic: bool,
    pub limits: Limits,
    pub all_of: Vec<Node>,
    pub any_of: Vec<Node>,
    pub one_of: Vec<Node>,
    pub not: Option<Box<Node>>,
    pub rules: Vec<Rule>,
    /// There are rules here or below.
    pub has_rules: bool,
    /// The least that a value takes in a request.
    pub min_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Kind {
    pub(crate) const WORDS: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "object" => Kind::Object,
            "array" => Kind::Array,
            "string" => Kind::String,
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            _ => return None,
        })
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
        }
    }
}

/// What is said of the entries that `properties` does not name.
#[derive(Debug, Default)]
pub(crate) enum Additional {
    #[default]
    Unsaid,
    /// `additionalProperties: false`
    Refused,
    /// `additionalProperties: true`
    Anything,
    Of(Box<Node>),
}

impl Additional {
    pub(crate) fn node(&self) -> Option<&Node> {
        match self {
            Additional::Of(node) => Some(node),
            Additional::Unsaid | Additional::Refused | Additional::Anything => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    Map,
}

/// The keywords that a value is held against.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub format: String,
    pub allowed: Vec<Value>,
    pub minimum: Option<Number>,
    pub exclusive_minimum: bool,
    pub maximum: Option<Number>,
    pub exclusive_maximum: bool,
    pub multiple_of: Option<Number>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub pattern: Option<Pattern>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub required: Vec<String>,
}

/// An entry of `x-kubernetes-validations`.
#[derive(Debug)]
pub(crate) struct Rule {
    /// As it is written.
    pub source: Value,
    pub rule: String,
    pub message: String,
    /// The rule, parsed, or why it cannot be. Once the schema was accepted, it is there.
    pub expression: Option<Result<Expression, String>>,
    /// The rule compares the value with what it was.
    pub uses_old: bool,
    pub message_expression: Option<Result<Expression, String>>,
    pub reason: String,
    pub field_path: String,
    pub optional_old_self: Option<bool>,
}

impl Node {
    /// The schema of the entry `name` of a map or object, if anything is said of it.
    pub(crate) fn entry(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or_else(|| self.additional.node())
    }
}
