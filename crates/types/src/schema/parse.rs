//! Reads the table. It is part of the program, so a mistake in it is a mistake of ours and ends the program at its first
//! use; a test reads it first.

use std::collections::HashMap;

use serde_json::Value;

use super::{Field, Instead, Key, Merge, Message, Presence, Schema, Type};

pub(super) fn parse(text: &'static str) -> Schema {
    let lines = || text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let messages = || lines().filter(|line| !line.starts_with("= "));
    let by_name: HashMap<&'static str, usize> =
        messages().enumerate().map(|(index, line)| (line.split(' ').next().unwrap_or(line), index)).collect();
    let kinds = lines()
        .filter_map(|line| line.strip_prefix("= "))
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().expect("a line of a kind has three words");
            ((word(), word()), by_name[word()])
        })
        .collect();
    let messages = messages().map(|line| message(line, &by_name)).collect();
    Schema { messages, by_name, kinds }
}

fn message(line: &'static str, messages: &HashMap<&'static str, usize>) -> Message {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or(line);
    let mut words = words.peekable();
    let atomic = words.next_if_eq(&"%").is_some();
    let fields: Vec<Field> = words.map(|word| Cursor { rest: word, messages }.field()).collect();
    let by_name = fields.iter().enumerate().filter(|(_, field)| !field.name.is_empty());
    let by_name = by_name.map(|(index, field)| (field.name, index)).collect();
    Message { name, atomic, fields, by_name }
}

struct Cursor<'m> {
    rest: &'static str,
    messages: &'m HashMap<&'static str, usize>,
}

impl Cursor<'_> {
    fn field(mut self) -> Field {
        let name = self.until(|byte| byte == b':');
        self.skip(":");
        let number = self.until(|byte| !byte.is_ascii_digit()).parse().expect("a field has a number");
        let of = self.of();
        let presence = if self.skip("?") {
            Presence::Explicit
        } else if self.skip("!") {
            Presence::ZeroIsWritten
        } else {
            Presence::ZeroIsAbsent
        };
        let merge = self.merge(&of);
        Field { name: if name == "~" { "" } else { name }, number, of, presence, merge }
    }

    fn of(&mut self) -> Type {
        let letter = self.rest.as_bytes().first().copied().expect("a field has a type");
        self.rest = &self.rest[1..];
        match letter {
            b's' => Type::Text,
            b't' => Type::Truth,
            b'i' => Type::Int32,
            b'l' => Type::Int64,
            b'd' => Type::Double,
            b'J' => Type::Json,
            b'U' => self.either(),
            b'b' => Type::Bytes,
            b'Q' => Type::Quantity,
            b'O' => Type::IntOrText,
            b'T' => Type::Time,
            b'M' => Type::MicroTime,
            b'D' => Type::Duration,
            b'R' => Type::Raw,
            b'F' => Type::FieldSet,
            b'E' => Type::WrappedTexts,
            b'@' => Type::Message(self.message()),
            b'[' => Type::List(self.inner("]")),
            b'{' => Type::Map(self.inner("}")),
            other => panic!("no type is called {:?}", char::from(other)),
        }
    }

    fn message(&mut self) -> usize {
        self.messages[self.until(|byte| !(byte.is_ascii_alphanumeric() || byte == b'.'))]
    }

    fn either(&mut self) -> Type {
        let instead = match self.until(|byte| byte == b'@') {
            "t" => Instead::Truth,
            "l" => Instead::Messages,
            "s" => Instead::Texts,
            other => panic!("nothing stands instead of a message as {other:?}"),
        };
        assert!(self.skip("@"), "a message is named");
        Type::Either(instead, self.message())
    }

    fn inner(&mut self, end: &str) -> Box<Type> {
        let inner = self.of();
        assert!(self.skip(end), "{end} closes a type");
        Box::new(inner)
    }

    fn merge(&mut self, of: &Type) -> Merge {
        if self.skip("%") {
            return Merge::Atomic;
        }
        match (self.skip("+"), self.rest) {
            (false, "") => Merge::Usual,
            (true, "") => Merge::Set,
            (true, keys) => {
                assert!(matches!(of, Type::List(_)), "only a list has keys");
                let key = |text: &'static str| match text.split_once('=') {
                    None => Key { name: text, default: None },
                    Some((name, default)) => {
                        Key { name, default: Some(default.parse::<i64>().map_or_else(|_| default.into(), Value::from)) }
                    }
                };
                Merge::Keys(keys.split(',').map(key).collect())
            }
            (false, rest) => panic!("{rest:?} follows a field"),
        }
    }

    fn until(&mut self, end: impl Fn(u8) -> bool) -> &'static str {
        let length = self.rest.bytes().position(end).unwrap_or(self.rest.len());
        let (found, rest) = self.rest.split_at(length);
        self.rest = rest;
        found
    }

    fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}
