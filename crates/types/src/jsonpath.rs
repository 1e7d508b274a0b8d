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

use serde_json::Value;

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
        Template::parse(&format!("{{{dot}{inner}}}"))
    }

    /// The text that the template makes of a value. What is not there makes none.
    ///
    /// # Errors
    /// For an index that is out of range.
    pub fn print(&self, value: &Value) -> Result<String, String> {
        let mut printed = String::new();
        print(&self.0, value, value, &mut printed)?;
        Ok(printed)
    }

    /// The values that the first path of the template finds.
    ///
    /// # Errors
    /// As [`Template::print`].
    pub fn values(&self, value: &Value) -> Result<Vec<Value>, String> {
        let path = self.0.iter().find_map(|piece| match piece {
            Piece::Path(path) | Piece::Range(path, _) => Some(path),
            Piece::Text(_) => None,
        });
        path.map_or(Ok(Vec::new()), |path| path.find(value, value))
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

fn print(pieces: &[Piece], root: &Value, here: &Value, printed: &mut String) -> Result<(), String> {
    for piece in pieces {
        match piece {
            Piece::Text(text) => printed.push_str(text),
            Piece::Path(path) => {
                let values: Vec<String> = path.find(root, here)?.iter().map(text).collect();
                printed.push_str(&values.join(" "));
            }
            Piece::Range(path, inner) => {
                for value in path.find(root, here)? {
                    print(inner, root, &value, printed)?;
                }
            }
        }
    }
    Ok(())
}

impl Path {
    fn find(&self, root: &Value, here: &Value) -> Result<Vec<Value>, String> {
        let mut found = vec![if self.root { root.clone() } else { here.clone() }];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in &found {
                step.take(root, value, &mut next)?;
            }
            found = next;
        }
        Ok(found)
    }
}

impl Step {
    fn take(&self, root: &Value, value: &Value, found: &mut Vec<Value>) -> Result<(), String> {
        match self {
            Step::Field(name) => found.extend(value.get(name).filter(|value| !value.is_null()).cloned()),
            Step::Fields(names) => found.extend(names.iter().filter_map(|name| value.get(name)).cloned()),
            Step::All => match value {
                Value::Array(items) => found.extend(items.iter().cloned()),
                Value::Object(fields) => found.extend(fields.values().cloned()),
                _ => {}
            },
            Step::Below(name) => below(value, name, found),
            Step::Index(index) => {
                let Some(items) = value.as_array() else { return Ok(()) };
                let at = if *index < 0 { items.len() as i64 + index } else { *index };
                let item = usize::try_from(at).ok().and_then(|at| items.get(at));
                found.push(
                    item.ok_or_else(|| format!("array index out of bounds: index {index}, length {}", items.len()))?
                        .clone(),
                );
            }
            Step::Slice { from, to, step } => {
                let Some(items) = value.as_array() else { return Ok(()) };
                let length = items.len() as i64;
                let place = |at: Option<i64>, default: i64| {
                    let at = at.unwrap_or(default);
                    usize::try_from(if at < 0 { at + length } else { at }.clamp(0, length)).unwrap_or_default()
                };
                let (from, to) = (place(*from, 0), place(*to, length));
                let step = usize::try_from(*step).unwrap_or(1).max(1);
                found.extend(items.get(from..to).unwrap_or_default().iter().step_by(step).cloned());
            }
            Step::Filter(filter) => {
                let Some(items) = value.as_array() else { return Ok(()) };
                for item in items {
                    if filter.holds(root, item)? {
                        found.push(item.clone());
                    }
                }
            }
        }
        Ok(())
    }
}

fn below(value: &Value, name: &str, found: &mut Vec<Value>) {
    if let Some(own) = value.get(name) {
        found.push(own.clone());
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| below(item, name, found)),
        Value::Object(fields) => fields.values().for_each(|field| below(field, name, found)),
        _ => {}
    }
}

impl Filter {
    fn holds(&self, root: &Value, here: &Value) -> Result<bool, String> {
        let left = self.left.value(root, here)?;
        let Some((operator, right)) = &self.right else { return Ok(left.is_some()) };
        let (Some(left), Some(right)) = (left, right.value(root, here)?) else { return Ok(false) };
        let order = match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => Some(text(&left).cmp(&text(&right))),
        };
        Ok(order.is_some_and(|order| match operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }))
    }
}

impl Operand {
    fn value(&self, root: &Value, here: &Value) -> Result<Option<Value>, String> {
        match self {
            Operand::Value(value) => Ok(Some(value.clone())),
            Operand::Path(path) => Ok(path.find(root, here)?.into_iter().next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_print_what_kubectl_prints() {
        let pods = json!({"kind": "List", "items": [
            {"metadata": {"name": "a", "labels": {"app.io/x": "1"}}, "status": {"phase": "Running", "n": 3}},
            {"metadata": {"name": "b", "labels": {}}, "status": {"phase": "Pending", "n": 10}},
        ]});
        for (template, printed) in [
            ("{.kind}", "List"),
            ("{$.kind}: {@.kind}", "List: List"),
            ("{.items[*].metadata.name}", "a b"),
            ("{.items[0].metadata.name}", "a"),
            ("{.items[-1].metadata.name}", "b"),
            ("{.items[-1:].metadata.name}", "b"),
            ("{.items[0:2:2].metadata.name}", "a"),
            ("{.items[0].metadata.labels.app\\.io/x}", "1"),
            ("{.items[0].metadata.labels['app.io/x']}", "1"),
            ("{.items[0].metadata['name','labels']}", "a {\"app.io/x\":\"1\"}"),
            ("{..name}", "a b"),
            ("{.items[?(@.status.phase==\"Pending\")].metadata.name}", "b"),
            ("{.items[?(@.status.phase!='Pending')].metadata.name}", "a"),
            ("{.items[?(@.status.n>5)].metadata.name}", "b"),
            ("{.items[?(@.nothing)].metadata.name}", ""),
            ("{range .items[*]}{.metadata.name}{\"\\t\"}{.status.phase}{\"\\n\"}{end}", "a\tRunning\nb\tPending\n"),
            ("{range .items[*]}[{.metadata.name}]{end} of {.kind}", "[a][b] of List"),
            ("{.nothing.at.all}", ""),
            ("{.items[*]['metadata']['name']}", "a b"),
            ("plain", "plain"),
        ] {
            assert_eq!(
                Template::parse(template).and_then(|read| read.print(&pods)),
                Ok(printed.to_owned()),
                "{template}"
            );
        }
        let relaxed = |path: &str| Template::relaxed(path).and_then(|read| read.print(&pods));
        for path in ["kind", ".kind", "{.kind}", "{kind}"] {
            assert_eq!(relaxed(path), Ok("List".to_owned()), "{path}");
        }
        assert!(Template::parse("{.items[7]}").expect("reads").print(&pods).is_err());
    }

    #[test]
    fn what_is_no_template_is_told() {
        for template in [
            "{",
            "{.a",
            "{.a[}",
            "{.a[1}",
            "{range .a}",
            "{end}",
            "{.a[?(@.b==)]}",
            "{.a[?(@.b]}",
            "{'open}",
            "{.a b}",
            "{.a[x]}",
        ] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }
}
