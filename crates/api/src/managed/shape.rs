//! How a value takes part in a merge, by the table of types.

use keelson_types::schema::{Field, Key, Merge, Message, Type, schema};
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// As a whole.
    Whole,
    /// Field by field.
    Fields(&'static Message),
    /// Entry by entry.
    Map(&'static Type),
    /// A list as a set of scalars.
    Set,
    /// A list of maps that are told apart by keys.
    Keyed(&'static [Key], &'static Type),
    /// An object as a whole, by the schema that its users wrote.
    Custom(&'static Value),
    /// What a schema that users wrote says: maps are merged entry by entry.
    Schema(&'static Value),
    /// A list of maps that are told apart by keys, by the schema of the list.
    SchemaKeyed(&'static Value),
    /// What no schema describes: maps are merged entry by entry, lists are replaced.
    Open,
}

impl Shape {
    pub(super) fn of_field(field: &'static Field) -> Shape {
        match (&field.merge, &field.of) {
            (Merge::Atomic, _) => Shape::Whole,
            (Merge::Set, Type::List(_)) => Shape::Set,
            (Merge::Keys(keys), Type::List(of)) => Shape::Keyed(keys, of),
            (_, of) => Shape::of_value(of),
        }
    }

    pub(super) fn of_value(of: &'static Type) -> Shape {
        match of {
            Type::Message(index) => match schema().message(*index) {
                message if message.atomic => Shape::Whole,
                message => Shape::Fields(message),
            },
            Type::Map(of) => Shape::Map(of),
            _ => Shape::Whole,
        }
    }

    /// The shape of the value at `name` of a map.
    pub(super) fn child(self, name: &str) -> Shape {
        match self {
            Shape::Fields(message) => schema().field(message, name).map_or(Shape::Whole, Shape::of_field),
            Shape::Map(of) => Shape::of_value(of),
            Shape::Custom(schema) => match name {
                // The one part of every object that is not its users' to describe.
                "metadata" => metadata(),
                name => Shape::of_entry(schema, name),
            },
            Shape::Schema(schema) => Shape::of_entry(schema, name),
            Shape::Open => Shape::Open,
            Shape::Whole | Shape::Set | Shape::Keyed(..) | Shape::SchemaKeyed(_) => Shape::Whole,
        }
    }

    /// The shape of a list's elements.
    pub(super) fn element(self) -> Shape {
        match self {
            Shape::Keyed(_, of) => Shape::of_value(of),
            Shape::SchemaKeyed(list) => Shape::of_schema(&list["items"]),
            _ => Shape::Whole,
        }
    }

    fn of_entry(schema: &'static Value, name: &str) -> Shape {
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(property), _) => Shape::of_schema(property),
            (None, Some(entry)) if entry.is_object() => Shape::of_schema(entry),
            _ => Shape::Open,
        }
    }

    fn of_schema(schema: &'static Value) -> Shape {
        let list = schema["x-kubernetes-list-type"].as_str();
        match (schema["type"].as_str(), list) {
            (Some("array"), Some("set")) => Shape::Set,
            (Some("array"), Some("map")) => Shape::SchemaKeyed(schema),
            (Some("array"), _) => Shape::Whole,
            _ if schema["x-kubernetes-map-type"] == "atomic" => Shape::Whole,
            (Some("object"), _) if schema["x-kubernetes-embedded-resource"] == true => Shape::Custom(schema),
            (Some("object"), _) => Shape::Schema(schema),
            (None, _) if schema["x-kubernetes-preserve-unknown-fields"] == true => Shape::Open,
            _ => Shape::Whole,
        }
    }

    /// Whether a value of this shape is a map whose entries take part on their own.
    pub(super) fn is_map(self) -> bool {
        matches!(self, Shape::Fields(_) | Shape::Map(_) | Shape::Custom(_) | Shape::Schema(_) | Shape::Open)
    }

    /// Whether every entry of the map is owned as such, whatever it holds.
    pub(super) fn owns_entries(self) -> bool {
        match self {
            Shape::Map(_) | Shape::Open => true,
            Shape::Schema(schema) => schema["properties"].is_null(),
            _ => false,
        }
    }

    /// Whether a value of this shape is a list whose elements take part on their own.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Shape::Set | Shape::Keyed(..) | Shape::SchemaKeyed(_))
    }

    /// How an element of a list is known.
    ///
    /// # Errors
    /// Which key it lacks.
    pub(super) fn name_of(self, element: &Value) -> Result<String, String> {
        match self {
            Shape::Keyed(keys, _) => {
                let mut values = Map::new();
                for key in keys {
                    let value = element.get(key.name).filter(|value| !value.is_null());
                    let value = value.or(key.default.as_ref()).ok_or_else(|| lacks(key.name))?;
                    values.insert(key.name.to_owned(), value.clone());
                }
                Ok(format!("k:{}", Value::Object(values)))
            }
            Shape::SchemaKeyed(list) => {
                let mut values = Map::new();
                for key in list["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str)
                {
                    let default = list["items"]["properties"][key].get("default");
                    let value = element.get(key).filter(|value| !value.is_null()).or(default);
                    values.insert(key.to_owned(), value.ok_or_else(|| lacks(key))?.clone());
                }
                Ok(format!("k:{}", Value::Object(values)))
            }
            _ => Ok(format!("v:{element}")),
        }
    }
}

fn lacks(key: &str) -> String {
    format!("associative list with keys has an element that omits key field {key:?} (and doesn't have default value)")
}

fn metadata() -> Shape {
    schema().kind("v1", "ObjectMeta").map_or(Shape::Open, Shape::Fields)
}
