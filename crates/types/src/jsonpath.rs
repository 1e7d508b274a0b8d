//! The JSONPath templates of kubectl: text with `{expressions}`.
//!
//! ```text
//! {.metadata.name}   {.items[0]}  {.items[-1:]}  {.items[*].x}  {..name}  {['a','b']}  {.labels.app\.io/name}
//! {.items[?(@.status.phase=="Running")].metadata.name}   {range .items[*]}…{end}   {"\n"}   {$}   {@}
//! ```
//!
//! Values of one expression are joined by a space, as kubectl does. There is no well-kept library for this dialect: RFC 9535 has
//! neither templates nor its way with quotes and dots.

mod parse;
mod search;

use std::borrow::Cow;

use serde_json::Value;

use search::Search;

/// Values that all columns of a row may look at together. They are found for each row of a list, by paths that users write; what
/// is usual for one takes ten.
pub const WORK_MAX: usize = 10_000;

/// A template that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Path(Path),
    Range(Path, Vec<Piece>),
}

/// From the root, or from where a range or a filter is.
#[derive(Clone, Debug, PartialEq)]
struct Path {
    root: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Fields(Vec<String>),
    /// `*`
    All,
    /// `..` and a field
    Below(String),
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: i64,
    },
    Index(i64),
    Filter(Filter),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    /// Without an operator: whether the left side exists.
    right: Option<(Operator, Operand)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Path),
    Value(Value),
}

impl Template {
    /// # Errors
    /// Says where the template makes no sense.
    pub fn parse(template: &str) -> Result<Template, String> {
        parse::template(template).map(Template)
    }

    /// A path as column definitions have it: with or without braces and the first dot.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn relaxed(path: &str) -> Result<Template, String> {
        let inner = path.strip_prefix('{').and_then(|path| path.strip_suffix('}')).unwrap_or(path);
        let dot = if inner.starts_with(['.', '[', '$', '@']) { "" } else { "." };
        let template = Template::parse(&format!("{{{dot}{inner}}}"))?;
        match template.0.as_slice() {
            [Piece::Path(_)] => Ok(template),
            _ => Err("it is more than one path".to_owned()),
        }
    }

    /// The text that the template makes of a value. What is not there makes none.
    ///
    /// # Errors
    /// For an index that is out of range.
    pub fn print(&self, value: &Value) -> Result<String, String> {
        let mut printed = String::new();
        print(&self.0, &mut Search::new(value), value, &mut printed)?;
        Ok(printed)
    }

    /// The values that the first path of the template finds.
    ///
    /// # Errors
    /// As [`Template::print`].
    pub fn values<'a>(&self, value: &'a Value) -> Result<Vec<&'a Value>, String> {
        self.path().map_or(Ok(Vec::new()), |path| Search::new(value).all(path, value))
    }

    /// The first value that the first path of the template finds, when that takes no more than `work` looks at values. What it
    /// took is taken off.
    ///
    /// # Errors
    /// As [`Template::print`], and for a path that would have to look at too much.
    pub fn first<'a>(&self, value: &'a Value, work: &mut usize) -> Result<Option<&'a Value>, String> {
        let Some(path) = self.path() else { return Ok(None) };
        let mut search = Search::bounded(value, *work);
        let first = search.first(path, value);
        *work = search.work_left();
        first
    }

    /// How often the template asks for a field wherever it is (`..name`). Each one may look at all that the one before has
    /// found.
    pub fn descents(&self) -> usize {
        descents(&self.0)
    }

    fn path(&self) -> Option<&Path> {
        self.0.iter().find_map(|piece| match piece {
            Piece::Path(path) | Piece::Range(path, _) => Some(path),
            Piece::Text(_) => None,
        })
    }
}

/// A value as kubectl prints it: a text without quotes, everything else as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The same, but for what is longer than `bytes_max`: its beginning and an ellipsis.
pub fn text_within(value: &Value, bytes_max: usize) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(beginning(other, bytes_max + 1)),
    };
    if text.len() <= bytes_max {
        text.into_owned()
    } else {
        format!("{}…", &text[..text.floor_char_boundary(bytes_max)])
    }
}

/// At most the first bytes of a value's JSON; nothing behind them is written.
fn beginning(value: &Value, bytes_max: usize) -> String {
    struct Beginning(Vec<u8>, usize);
    impl std::io::Write for Beginning {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = bytes.len().min(self.1 - self.0.len());
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut written = Beginning(Vec::new(), bytes_max);
    // A writer that takes no more ends the writing: that is all that can go wrong.
    let _ = serde_json::to_writer(&mut written, value);
    String::from_utf8_lossy(&written.0).into_owned()
}

fn print<'a>(pieces: &[Piece], search: &mut Search<'a>, here: &'a Value, printed: &mut String) -> Result<(), String> {
    for piece in pieces {
        match piece {
            Piece::Text(text) => printed.push_str(text),
            Piece::Path(path) => {
                let values: Vec<String> = search.all(path, here)?.into_iter().map(text).collect();
                printed.push_str(&values.join(" "));
            }
            Piece::Range(path, inner) => {
                for value in search.all(path, here)? {
                    print(inner, search, value, printed)?;
                }
            }
        }
    }
    Ok(())
}

fn descents(pieces: &[Piece]) -> usize {
    let of_piece = |piece: &Piece| match piece {
        Piece::Text(_) => 0,
        Piece::Path(path) => path.descents(),
        Piece::Range(path, inner) => path.descents() + descents(inner),
    };
    pieces.iter().map(of_piece).sum()
}

impl Path {
    fn descents(&self) -> usize {
        let of_operand = |operand: &Operand| match operand {
            Operand::Path(path) => path.descents(),
            Operand::Value(_) => 0,
        };
        let of_step = |step: &Step| match step {
            Step::Below(_) => 1,
            Step::Filter(Filter { left, right }) => {
                of_operand(left) + right.iter().map(|(_, right)| of_operand(right)).sum::<usize>()
            }
            _ => 0,
        };
        self.steps.iter().map(of_step).sum()
    }
}

#[cfg(test)]
mod tests;
