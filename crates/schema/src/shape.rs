//! The shape of a schema as JSON: every keyword has the type that JSONSchemaProps gives it, and the whole is bounded.
//! What passes is read by the other checks without further care.

use keelson_types::field::{Error, Path};
use serde_json::Value;

use crate::json::get;

/// How deep a schema may be. Those in the wild reach about thirty; the JSON reader's own bound of 128 levels ends at 64,
/// because a property takes two.
pub const MAX_DEPTH: usize = 64;
/// How many places a schema may have. The largest in the wild have about twenty thousand.
pub const MAX_PLACES: usize = 100_000;
/// How many errors are told of one schema.
pub const MAX_ERRORS: usize = 100;

#[derive(Clone, Copy)]
enum Shape {
    Text,
    Texts,
    Truth,
    Number,
    /// A number of 64 bits without a fraction.
    Integer,
    Object,
    Anything,
    List,
    Schema,
    Schemas,
    /// By name.
    SchemaMap,
    SchemaOrTruth,
    /// A list is refused later, by its own message.
    SchemaOrList,
    Rules,
}

const KEYWORDS: [(&str, Shape); 46] = [
    ("$ref", Shape::Text),
    ("$schema", Shape::Text),
    ("additionalItems", Shape::SchemaOrTruth),
    ("additionalProperties", Shape::SchemaOrTruth),
    ("allOf", Shape::Schemas),
    ("anyOf", Shape::Schemas),
    ("default", Shape::Anything),
    ("definitions", Shape::Object),
    ("dependencies", Shape::Object),
    ("description", Shape::Text),
    ("enum", Shape::List),
    ("example", Shape::Anything),
    ("exclusiveMaximum", Shape::Truth),
    ("exclusiveMinimum", Shape::Truth),
    ("externalDocs", Shape::Object),
    ("format", Shape::Text),
    ("id", Shape::Text),
    ("items", Shape::SchemaOrList),
    ("maxItems", Shape::Integer),
    ("maxLength", Shape::Integer),
    ("maxProperties", Shape::Integer),
    ("maximum", Shape::Number),
    ("minItems", Shape::Integer),
    ("minLength", Shape::Integer),
    ("minProperties", Shape::Integer),
    ("minimum", Shape::Number),
    ("multipleOf", Shape::Number),
    ("not", Shape::Schema),
    ("nullable", Shape::Truth),
    ("oneOf", Shape::Schemas),
    ("pattern", Shape::Text),
    ("patternProperties", Shape::Object),
    ("properties", Shape::SchemaMap),
    ("required", Shape::Texts),
    ("title", Shape::Text),
    ("type", Shape::Text),
    ("uniqueItems", Shape::Truth),
    ("x-kubernetes-embedded-resource", Shape::Truth),
    ("x-kubernetes-int-or-string", Shape::Truth),
    ("x-kubernetes-list-map-keys", Shape::Texts),
    ("x-kubernetes-list-type", Shape::Text),
    ("x-kubernetes-map-type", Shape::Text),
    ("x-kubernetes-preserve-unknown-fields", Shape::Truth),
    ("x-kubernetes-validations", Shape::Rules),
    // Known to some tools; said here so that the table stays whole when one looks for them.
    ("x-kubernetes-group-version-kind", Shape::Anything),
    ("x-kubernetes-selectable-fields", Shape::Anything),
];

const RULE_KEYWORDS: [(&str, Shape); 6] = [
    ("rule", Shape::Text),
    ("message", Shape::Text),
    ("messageExpression", Shape::Text),
    ("reason", Shape::Text),
    ("fieldPath", Shape::Text),
    ("optionalOldSelf", Shape::Truth),
];

/// Whether JSONSchemaProps has the keyword.
pub(crate) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|(keyword, _)| *keyword == word)
}

/// Says what in `schema` is not of the shape of a schema.
pub(crate) fn check(schema: &Value, path: &Path<'_>) -> Vec<Error> {
    let mut walk = Walk { places: 0, errors: Vec::new() };
    walk.schema(schema, path, 0);
    walk.errors.truncate(MAX_ERRORS);
    walk.errors
}

struct Walk {
    places: usize,
    errors: Vec<Error>,
}

impl Walk {
    fn schema(&mut self, schema: &Value, path: &Path<'_>, depth: usize) {
        self.places += 1;
        if self.places == MAX_PLACES + 1 {
            self.errors.push(Error::forbidden(path, format!("a schema may not have more than {MAX_PLACES} places")));
        }
        if self.places > MAX_PLACES || self.errors.len() > MAX_ERRORS {
            return;
        }
        if depth >= MAX_DEPTH {
            self.errors.push(Error::forbidden(path, format!("a schema may not be deeper than {MAX_DEPTH} levels")));
            return;
        }
        if !schema.is_object() {
            return self.wrong(schema, path, "a schema, which is an object");
        }
        for (keyword, shape) in KEYWORDS {
            if let Some(value) = get(schema, keyword) {
                self.keyword(value, shape, &path.child(keyword), depth);
            }
        }
    }

    fn keyword(&mut self, value: &Value, shape: Shape, path: &Path<'_>, depth: usize) {
        match shape {
            Shape::Anything => {}
            Shape::Text if value.is_string() => {}
            Shape::Text => self.wrong(value, path, "a string"),
            Shape::Truth if value.is_boolean() => {}
            Shape::Truth => self.wrong(value, path, "a boolean"),
            Shape::Number if value.is_number() => {}
            Shape::Number => self.wrong(value, path, "a number"),
            Shape::Integer if value.is_i64() => {}
            Shape::Integer => self.wrong(value, path, "an integer of 64 bits"),
            Shape::Object if value.is_object() => {}
            Shape::Object => self.wrong(value, path, "an object"),
            Shape::List if value.is_array() => {}
            Shape::List => self.wrong(value, path, "a list"),
            Shape::Texts => match value.as_array() {
                Some(list) if list.iter().all(Value::is_string) => {}
                _ => self.wrong(value, path, "a list of strings"),
            },
            Shape::Schema => self.schema(value, path, depth + 1),
            Shape::SchemaOrTruth if value.is_boolean() => {}
            Shape::SchemaOrTruth => self.schema(value, path, depth + 1),
            Shape::SchemaOrList if value.is_array() => {}
            Shape::SchemaOrList => self.schema(value, path, depth + 1),
            Shape::Schemas => match value.as_array() {
                Some(list) => {
                    for (index, schema) in list.iter().enumerate() {
                        self.schema(schema, &path.index(index), depth + 1);
                    }
                }
                None => self.wrong(value, path, "a list of schemas"),
            },
            Shape::SchemaMap => match value.as_object() {
                Some(map) => {
                    for (name, schema) in map {
                        self.schema(schema, &path.key(name), depth + 1);
                    }
                }
                None => self.wrong(value, path, "a map of schemas"),
            },
            Shape::Rules => self.rules(value, path, depth),
        }
    }

    fn rules(&mut self, value: &Value, path: &Path<'_>, depth: usize) {
        let Some(list) = value.as_array() else { return self.wrong(value, path, "a list of rules") };
        for (index, rule) in list.iter().enumerate() {
            let path = path.index(index);
            if !rule.is_object() {
                self.wrong(rule, &path, "a rule, which is an object");
            }
            for (keyword, shape) in RULE_KEYWORDS {
                if let Some(value) = get(rule, keyword) {
                    self.keyword(value, shape, &path.child(keyword), depth);
                }
            }
        }
    }

    fn wrong(&mut self, value: &Value, path: &Path<'_>, what: &str) {
        self.errors.push(Error::invalid(path, value.clone(), format!("must be {what}")));
    }
}
