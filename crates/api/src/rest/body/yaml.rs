//! YAML to JSON text, token by token.
//!
//! An alias stands for what its anchor names, so a short text can mean a gigantic one: what is written is counted while it is
//! written, and more than [`JSON_BYTES_MAX`] is refused. A key that occurs twice is written twice, for the pipeline to tell.

use std::fmt;

use bytes::Bytes;
use keelson_types::status::Status;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The longest text that a body may mean: escapes make JSON longer than YAML, but not by so much.
const JSON_BYTES_MAX: usize = 3 * super::BODY_BYTES_MAX;

/// # Errors
/// 400 with the position of what is wrong.
pub(super) fn to_json(yaml: &[u8]) -> Result<Bytes, Status> {
    let mut json = Vec::with_capacity(yaml.len());
    let document = serde_norway::Deserializer::from_slice(yaml);
    match Node(&mut json).deserialize(document) {
        Ok(()) => Ok(json.into()),
        Err(error) => Err(Status::bad_request(format!("error converting YAML to JSON: {error}"))),
    }
}

/// Writes one node.
struct Node<'a>(&'a mut Vec<u8>);

impl Node<'_> {
    fn put<E: Error>(&mut self, text: &[u8]) -> Result<(), E> {
        if self.0.len() + text.len() > JSON_BYTES_MAX {
            return Err(E::custom(format!("the document means more than {JSON_BYTES_MAX} bytes")));
        }
        self.0.extend_from_slice(text);
        Ok(())
    }

    fn put_text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        // Checked before it is escaped, since the text may be an alias of a long one.
        self.put(&[])?;
        let text = serde_json::to_vec(text).map_err(E::custom)?;
        self.put(&text)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what JSON has, too")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.put(b"null")
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.put(if value { b"true" } else { b"false" })
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.put(value.to_string().as_bytes())
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.put(value.to_string().as_bytes())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("JSON has no infinite numbers"))?;
        self.put(number.to_string().as_bytes())
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        self.put_text(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        self.put(b"[")?;
        let start = self.0.len();
        while elements.next_element_seed(Separated { start, json: self.0 })?.is_some() {}
        self.put(b"]")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.put(b"{")?;
        let mut first = true;
        while let Some(Key(key)) = entries.next_key()? {
            if !std::mem::take(&mut first) {
                self.put(b",")?;
            }
            self.put_text(&key)?;
            self.put(b":")?;
            entries.next_value_seed(Node(self.0))?;
        }
        self.put(b"}")
    }
}

/// An element of a list, behind a comma unless it is the first.
struct Separated<'a> {
    /// Where the first one begins.
    start: usize,
    json: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Separated<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.json.len() > self.start {
            Node(self.json).put(b",")?;
        }
        Node(self.json).deserialize(deserializer)
    }
}

/// A key, which YAML may write as a number or a truth.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a scalar as a key")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Key, E> {
                Ok(Key(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Key, E> {
                Ok(Key(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Key, E> {
                Ok(Key(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Key, E> {
                Ok(Key(value.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Key, E> {
                Ok(Key("null".to_owned()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Key, E> {
                Ok(Key(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Texts, fuzz, seeds};
    use serde_json::Value;

    use super::*;

    #[test]
    fn yaml_means_what_it_means_in_kubernetes() {
        for (yaml, json) in [
            ("a: 1\nb: [x, 'y', true, null, 1.5]\n", r#"{"a":1,"b":["x","y",true,null,1.5]}"#),
            ("1: one\ntrue: yes\n", r#"{"1":"one","true":"yes"}"#),
            ("a: &x {b: 1}\nc: *x\n", r#"{"a":{"b":1},"c":{"b":1}}"#),
            ("text: |\n  two\n  lines\n", r#"{"text":"two\nlines\n"}"#),
            ("a: 1\na: 2\n", r#"{"a":1,"a":2}"#),
            ("[]", "[]"),
            ("{\"json\": [1, {\"is\": \"yaml\"}]}", r#"{"json":[1,{"is":"yaml"}]}"#),
        ] {
            assert_eq!(to_json(yaml.as_bytes()).expect(yaml), json);
        }
        for yaml in
            ["a: [", "a: 1\n b: 2\n", "? [a]\n: 1\n", "a: .inf", "\u{0}", "a: *nobody", "---\na: 1\n---\nb: 1\n"]
        {
            assert_eq!(to_json(yaml.as_bytes()).expect_err(yaml).code, 400);
        }
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100_000));
        let mut nested = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            nested += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        for yaml in [long, nested, "[".repeat(100_000)] {
            assert_eq!(to_json(yaml.as_bytes()).expect_err("is refused").code, 400);
        }
    }

    /// YAML takes some characters only as escapes, which JSON does not need, and no key of more than 1,024 without a mark.
    fn is_yaml(json: &str) -> bool {
        let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}');
        json.len() <= 1024 && json.chars().all(is_plain)
    }

    #[test]
    fn what_is_yaml_is_bounded_json_that_means_the_same_as_yaml() {
        let mut documents: Vec<&str> = seeds::MANIFEST.split("---\n").filter(|text| text.contains("kind")).collect();
        documents.extend(["a: &x {b: [1, 0x1f, 1.5, ~, yes]}\nc: *x\n'd': \"e\\x7f\"\nf: |-\n  g\n", "{\"a\":[1,{}]}"]);
        let words = [
            "&a ", "*a", "*a, ", "[", "{", "- ", ": ", "? ", "!!str ", "!x ", "<<", "|", ">", "---", "#", "\t", ".inf",
        ];
        fuzz!(Texts::new(&documents, &words), |text| {
            let Ok(json) = to_json(text.as_bytes()) else { return false };
            assert!(json.len() <= JSON_BYTES_MAX);
            let value = match serde_json::from_slice::<Value>(&json) {
                Ok(value) => value,
                // The pipeline tells so, with the place.
                Err(error) if error.to_string().contains("recursion limit") => return true,
                Err(error) => panic!("{error} in {}", String::from_utf8_lossy(&json)),
            };
            match to_json(&json) {
                Ok(again) => assert_eq!(serde_json::from_slice::<Value>(&again).expect("is JSON again"), value),
                Err(error) => assert!(!is_yaml(std::str::from_utf8(&json).expect("is UTF-8")), "{error}"),
            }
            true
        });
    }
}
