//! From the text of an expression to its tree.

mod chain;

use std::fmt::Write;
use std::thread;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, SourceInfo};
use cel::parser::{ParseErrors, Parser};

use crate::Origin;

/// How long an expression may be.
const MAX_BYTES: usize = 16 * 1024;
/// How deep its tree may be, so that walking it fits any stack.
const MAX_DEPTH: usize = 100;
/// The parser recurses for brackets and for what is in a row. So it gets a stack on which even the longest text fits.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// A parsed expression.
#[derive(Debug)]
pub(crate) struct Expression {
    pub root: IdedExpr,
    source: SourceInfo,
}

impl Expression {
    /// An error at a node, as CEL shows it: with the line, and a mark below the place.
    pub(crate) fn complaint(&self, id: u64, message: &str) -> String {
        let start = self.source.offset_for(id).map_or(0, |(start, _)| start as usize);
        show(&self.source.source, start, message)
    }
}

fn show(source: &str, offset: usize, message: &str) -> String {
    let mut before = 0;
    let mut number = 0;
    let mut shown = "";
    for (index, line) in source.split('\n').enumerate() {
        (number, shown) = (index + 1, line);
        let length = line.chars().count() + 1;
        if offset < before + length {
            break;
        }
        before += length;
    }
    let column = offset.saturating_sub(before).min(shown.chars().count());
    let mut text = format!("ERROR: <input>:{number}:{}: {message}\n | {shown}\n | ", column + 1);
    // Writing to a string does not fail.
    let _ = write!(text, "{}^", ".".repeat(column));
    text
}

/// # Errors
/// Says where the text is no expression, or that it is too long or too deep.
pub(crate) fn parse(text: &str, origin: Origin) -> Result<Expression, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("ERROR: <input>:1:1: an expression may not be longer than {MAX_BYTES} bytes"));
    }
    if origin == Origin::New {
        match chain::longest(text) {
            Ok(..=MAX_DEPTH) => {}
            Ok(_) => return Err(too_deep()),
            Err(at) => {
                let found: String = text[at..].chars().take(1).collect();
                let message = format!("Syntax error: token recognition error at: '{found}'");
                return Err(show(text, text[..at].chars().count(), &message));
            }
        }
    }
    let text = text.to_owned();
    let parsing = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let parser = Parser::new().enable_optional_syntax(true).enable_ident_escape_syntax(true);
        let (root, source) = parser.parse_with_source_info(&text).map_err(|errors| tell(&text, &errors))?;
        if is_too_deep(&root) {
            return Err(too_deep());
        }
        Ok(Expression { root, source })
    });
    match parsing.map(thread::JoinHandle::join) {
        Ok(Ok(parsed)) => parsed,
        // The parser panicked, or there is no memory for its stack.
        Ok(Err(_)) | Err(_) => Err("ERROR: <input>:1:1: the expression cannot be parsed".to_owned()),
    }
}

fn too_deep() -> String {
    format!("ERROR: <input>:1:1: an expression may not be deeper than {MAX_DEPTH} levels")
}

fn tell(text: &str, errors: &ParseErrors) -> String {
    let complaint = |error: &cel::ParseError| {
        let line = usize::try_from(error.pos.0).unwrap_or(1).max(1);
        let column = usize::try_from(error.pos.1).unwrap_or(1).max(1);
        let before: usize = text.split('\n').take(line - 1).map(|line| line.chars().count() + 1).sum();
        show(text, before + column - 1, &format!("Syntax error: {}", error.msg))
    };
    errors.errors.iter().take(3).map(complaint).collect::<Vec<_>>().join("\n")
}

/// Looks without recursion.
fn is_too_deep(root: &IdedExpr) -> bool {
    let mut open: Vec<(&IdedExpr, usize)> = vec![(root, 0)];
    while let Some((expression, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return true;
        }
        open.extend(children(&expression.expr).into_iter().map(|child| (child, depth + 1)));
    }
    false
}

/// The expressions within one.
pub(crate) fn children(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(loops) => {
            vec![&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(made) => made.entries.iter().flat_map(|entry| entry_children(&entry.expr)).collect(),
    }
}

fn entry_children(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// Whether an expression names a variable that is not its own.
pub(crate) fn names(expression: &IdedExpr, variable: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == variable)
        || children(&expression.expr).into_iter().any(|child| names(child, variable))
}
