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
            Shape::Whole | Shape::Set | Shape::Keyed(..) => Shape::Whole,
        }
    }

    /// The shape of a list's elements.
    pub(super) fn element(self) -> Shape {
        match self {
            Shape::Keyed(_, of) => Shape::of_value(of),
            _ => Shape::Whole,
        }
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
                    let value = value.or(key.default.as_ref()).ok_or_else(|| {
                        format!(
                            "associative list with keys has an element that omits key field {:?} (and doesn't have \
                             default value)",
                            key.name
                        )
                    })?;
                    values.insert(key.name.to_owned(), value.clone());
                }
                Ok(format!("k:{}", Value::Object(values)))
            }
            _ => Ok(format!("v:{element}")),
        }
    }
}
