//! Objects of a kind by the table: any of its fields, with any values that JSON keeps.

use keelson_types::schema::{Message, Presence, Type, schema};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

/// Deeper messages stay empty.
const DEPTH_MAX: usize = 7;

pub(super) fn object(api_version: &str, kind: &str, seed: u64) -> Value {
    let of = schema().kind(api_version, kind).expect("a kind");
    let mut generator = Generator { random: StdRng::seed_from_u64(seed) };
    let mut object = generator.message(of, 0);
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Value::Object(object)
}

struct Generator {
    random: StdRng,
}

impl Generator {
    fn message(&mut self, of: &'static Message, depth: usize) -> Map<String, Value> {
        let mut object = Map::new();
        if depth > DEPTH_MAX {
            return object;
        }
        for field in &of.fields {
            let of = &field.of;
            if field.name.is_empty() {
                if let Type::Message(index) = of {
                    object.extend(self.message(schema().message(*index), depth + 1));
                }
                continue;
            }
            if self.random.random_range(0..3) > 0 {
                continue;
            }
            let value = self.value(of, depth, field.presence == Presence::ZeroIsAbsent);
            let means_absent = match &value {
                Value::Array(list) => list.is_empty() && *of != Type::WrappedTexts,
                Value::Object(map) => map.is_empty() && field.presence != Presence::Explicit,
                _ => false,
            };
            if !means_absent {
                object.insert(field.name.to_owned(), value);
            }
        }
        object
    }

    fn value(&mut self, of: &'static Type, depth: usize, zero_is_absent: bool) -> Value {
        let least = i64::from(zero_is_absent);
        match of {
            Type::Text => self.text(zero_is_absent).into(),
            Type::Truth => (zero_is_absent || self.random.random()).into(),
            Type::Int32 => self.random.random_range(least..=i64::from(i32::MAX)).into(),
            Type::Int64 => match self.random.random::<i64>() {
                0 => 1.into(),
                number => number.into(),
            },
            Type::Bytes => json!(if zero_is_absent { "AAEC/w==" } else { "" }),
            Type::Quantity => format!("{}Mi", self.random.random_range(0..1000)).into(),
            Type::IntOrText if self.random.random() => self.random.random_range(least..100).into(),
            Type::IntOrText => self.text(zero_is_absent).into(),
            Type::Time => "2026-02-03T04:05:06Z".into(),
            Type::MicroTime => "2026-02-03T04:05:06.000700Z".into(),
            Type::Duration => ["15s", "1m30.5s", "250ms"][self.random.random_range(0..3)].into(),
            Type::Double => 0.5.into(),
            Type::Json => json!({"a": [1, "b", true]}),
            Type::Either(_, index) => Value::Object(self.message(schema().message(*index), depth + 1)),
            Type::Raw | Type::FieldSet => json!({"f:a": {".": {}}}),
            Type::WrappedTexts => json!([self.text(false)]),
            Type::Message(index) => Value::Object(self.message(schema().message(*index), depth + 1)),
            Type::List(of) => (0..self.random.random_range(1..3)).map(|_| self.value(of, depth, false)).collect(),
            Type::Map(of) => {
                (0..self.random.random_range(1..3)).map(|_| (self.text(false), self.value(of, depth, false))).collect()
            }
        }
    }

    fn text(&mut self, some: bool) -> String {
        const TEXTS: [&str; 5] = ["a", "größe", "line\nline", "\u{1f980}", ""];
        TEXTS[self.random.random_range(0..TEXTS.len() - usize::from(some))].to_owned()
    }
}
