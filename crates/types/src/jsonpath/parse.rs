//! Templates from text.

use serde_json::Value;

use super::{Filter, Operand, Operator, Path, Piece, Step};

/// Ranges in one another, and filters in one another: each costs a few calls on the stack.
const DEPTH_MAX: usize = 16;
/// Steps of one path. A value is nested no deeper than this, whoever parsed it.
const STEPS_MAX: usize = 128;

pub(super) fn template(text: &str) -> Result<Vec<Piece>, String> {
    let mut reader = Reader { rest: text, filters: 0 };
    // The innermost open range is last; the first is the template itself.
    let mut open: Vec<(Option<Path>, Vec<Piece>)> = vec![(None, Vec::new())];
    while !reader.rest.is_empty() {
        let piece = match reader.rest.find('{') {
            Some(0) => {
                reader.rest = &reader.rest[1..];
                match reader.expression()? {
                    Expression::Range(path) if open.len() < DEPTH_MAX => {
                        open.push((Some(path), Vec::new()));
                        continue;
                    }
                    Expression::Range(_) => return Err("too many ranges in one another".to_owned()),
                    Expression::End => match open.pop() {
                        Some((Some(path), inner)) => Piece::Range(path, inner),
                        _ => return Err("{end} without {range}".to_owned()),
                    },
                    Expression::Piece(piece) => piece,
                }
            }
            end => {
                let (plain, rest) = reader.rest.split_at(end.unwrap_or(reader.rest.len()));
                reader.rest = rest;
                Piece::Text(plain.to_owned())
            }
        };
        if let Some((_, pieces)) = open.last_mut() {
            pieces.push(piece);
        }
    }
    match open.pop() {
        Some((None, pieces)) => Ok(pieces),
        _ => Err("{range} without {end}".to_owned()),
    }
}

enum Expression {
    Piece(Piece),
    Range(Path),
    End,
}

struct Reader<'a> {
    rest: &'a str,
    /// How many filters are open.
    filters: usize,
}

impl Reader<'_> {
    /// What is between braces; the first is read already.
    fn expression(&mut self) -> Result<Expression, String> {
        self.skip_spaces();
        let expression = if self.take("range ") {
            self.skip_spaces();
            Expression::Range(self.path()?)
        } else if self.take("end") {
            Expression::End
        } else if self.rest.starts_with(['"', '\'']) {
            Expression::Piece(Piece::Text(self.quoted()?))
        } else {
            Expression::Piece(Piece::Path(self.path()?))
        };
        self.skip_spaces();
        self.expect("}")?;
        Ok(expression)
    }

    fn path(&mut self) -> Result<Path, String> {
        let root = self.take("$");
        if !root {
            let _here = self.take("@");
        }
        let mut steps = Vec::new();
        loop {
            if steps.len() > STEPS_MAX {
                return Err(format!("a path of more than {STEPS_MAX} steps"));
            }
            if self.take("..") {
                steps.push(Step::Below(self.name()?));
            } else if self.take(".*") {
                steps.push(Step::All);
            } else if self.take(".") {
                // `{.}` is the whole, and a dot before a bracket means nothing.
                if !self.rest.is_empty() && !self.rest.starts_with(['}', '[', ' ', ')']) {
                    steps.push(Step::Field(self.name()?));
                }
            } else if self.take("[") {
                steps.push(self.bracket()?);
            } else if steps.is_empty() && self.rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                steps.push(Step::Field(self.name()?));
            } else {
                return Ok(Path { root, steps });
            }
        }
    }

    /// A field's name; a backslash takes the next character as it is.
    fn name(&mut self) -> Result<String, String> {
        let mut name = String::new();
        let mut characters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => name.extend(characters.next().map(|(_, next)| next)),
                '.' | '[' | ']' | '}' | '{' | ')' | '(' | ' ' | '=' | '!' | '<' | '>' | ',' => {
                    end = at;
                    break;
                }
                c => name.push(c),
            }
        }
        self.rest = &self.rest[end..];
        if name.is_empty() { Err(self.unexpected()) } else { Ok(name) }
    }

    /// What is between brackets; the first is read already.
    fn bracket(&mut self) -> Result<Step, String> {
        self.skip_spaces();
        if self.take("?(") {
            if self.filters == DEPTH_MAX {
                return Err("too many filters in one another".to_owned());
            }
            self.filters += 1;
            let filter = self.filter()?;
            self.filters -= 1;
            self.expect(")")?;
            self.expect("]")?;
            return Ok(Step::Filter(filter));
        }
        if self.take("*") {
            self.expect("]")?;
            return Ok(Step::All);
        }
        if self.rest.starts_with(['"', '\'']) {
            let mut names = vec![self.quoted()?];
            self.skip_spaces();
            while self.take(",") {
                self.skip_spaces();
                names.push(self.quoted()?);
                self.skip_spaces();
            }
            self.expect("]")?;
            return Ok(match <[String; 1]>::try_from(names) {
                Ok([name]) => Step::Field(name),
                Err(names) => Step::Fields(names),
            });
        }
        let end = self.rest.find(']').ok_or("a [ without ]")?;
        let inner = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse::<i64>().map(Some).map_err(|_| format!("{text:?} is no index")),
        };
        let parts: Vec<Option<i64>> = inner.split(':').map(number).collect::<Result<_, _>>()?;
        match parts.as_slice() {
            [Some(index)] => Ok(Step::Index(*index)),
            [from, to] => Ok(Step::Slice { from: *from, to: *to, step: 1 }),
            [from, to, step] => Ok(Step::Slice { from: *from, to: *to, step: step.unwrap_or(1) }),
            _ => Err(format!("[{inner}] is no index")),
        }
    }

    fn filter(&mut self) -> Result<Filter, String> {
        let left = self.operand()?;
        self.skip_spaces();
        let operators = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let operator = operators.into_iter().find(|(sign, _)| self.take(sign)).map(|(_, operator)| operator);
        let right = match operator {
            Some(operator) => {
                self.skip_spaces();
                Some((operator, self.operand()?))
            }
            None => None,
        };
        self.skip_spaces();
        Ok(Filter { left, right })
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.skip_spaces();
        if self.rest.starts_with(['"', '\'']) {
            return Ok(Operand::Value(Value::String(self.quoted()?)));
        }
        if self.rest.starts_with(['@', '$', '.']) {
            return Ok(Operand::Path(self.path()?));
        }
        let end = self.rest.find([')', ' ', '=', '!', '<', '>']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.unexpected());
        }
        self.rest = rest;
        Ok(Operand::Value(serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.to_owned()))))
    }

    /// A text in quotes of either kind, with `\n`, `\t` and the like.
    fn quoted(&mut self) -> Result<String, String> {
        let mut characters = self.rest.char_indices();
        let Some((_, quote @ ('"' | '\''))) = characters.next() else { return Err(self.unexpected()) };
        let mut text = String::new();
        while let Some((at, c)) = characters.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => text.extend(characters.next().map(|(_, escaped)| match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                })),
                c => text.push(c),
            }
        }
        Err("a quote without its end".to_owned())
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, wanted: &str) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        if self.take(wanted) { Ok(()) } else { Err(format!("{wanted:?} is missing before {:?}", self.rest)) }
    }

    fn unexpected(&self) -> String {
        match self.rest.chars().next() {
            Some(c) => format!("unexpected {c:?}"),
            None => "unexpected end".to_owned(),
        }
    }
}
