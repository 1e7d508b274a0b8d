//! What the rules say of an object.

use std::rc::Rc;

use keelson_types::field::{Error, Path, Reason};
use serde_json::Value as Json;

use super::field_path;
use crate::cel::{self, Budget, Expression, Fault, Value, Variables};
use crate::json::equal;
use crate::node::{Kind, Node, Rule};
use crate::validate::{Correlated, NOWHERE, type_word};

/// What one evaluation may cost: about a tenth of a second on old machines.
const CALL_COST_MAX: u64 = 1_000_000;
/// What all the evaluations for one object may cost.
const OBJECT_COST_MAX: u64 = 10_000_000;
/// How long a message may be that a rule makes.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;
const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// Adds what the rules say of an object, unless `errors` say already that it has not the shape that rules rely on.
pub(crate) fn object(new: &Json, old: Option<&Json>, root: &Node, errors: &mut Vec<Error>) {
    if !root.has_rules {
        return;
    }
    let blocks = |error: &Error| {
        matches!(error.reason, Reason::Required | Reason::TooLong | Reason::TooMany | Reason::TypeInvalid)
    };
    if errors.iter().any(blocks) {
        let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to \
                      complete validation";
        errors.push(Error {
            path: "<nil>".into(),
            reason: Reason::Invalid,
            bad_value: Json::Null,
            detail: detail.into(),
        });
        return;
    }
    let before = errors.len();
    let mut walk = Walk { left: OBJECT_COST_MAX, budget: Budget::default(), errors };
    // Whether the budget lasted shows in the errors.
    let _ = walk.value(new, At { old, unchanged: old.map(|old| (new, old)), whole: true }, root, &Path::ROOT);
    for error in errors.iter_mut().skip(before).filter(|error| error.path.is_empty()) {
        error.path = NOWHERE.to_owned();
    }
}

/// The same for a value of a place, such as a default.
pub(crate) fn within(value: &Json, node: &Node, path: &Path<'_>, errors: &mut Vec<Error>) {
    if node.has_rules {
        let mut walk = Walk { left: OBJECT_COST_MAX, budget: Budget::default(), errors };
        let _ = walk.value(value, At { old: None, unchanged: None, whole: node.embedded }, node, path);
    }
}

/// What is known of a value beside its place.
#[derive(Clone, Copy)]
struct At<'a> {
    /// What it was.
    old: Option<&'a Json>,
    /// It, or the nearest value around it that can be found in the old object, with what that was.
    unchanged: Option<(&'a Json, &'a Json)>,
    whole: bool,
}

impl<'a> At<'a> {
    fn inner(self, value: &'a Json, old: Option<&'a Json>, node: &Node) -> Self {
        // Where nothing was, there is nothing to compare with.
        let old = old.filter(|old| !old.is_null());
        At { old, unchanged: old.map_or(self.unchanged, |old| Some((value, old))), whole: node.embedded }
    }
}

struct Walk<'e> {
    left: u64,
    budget: Budget,
    errors: &'e mut Vec<Error>,
}

/// The budget is spent: nothing more is evaluated.
struct Spent;

impl Walk<'_> {
    fn value<'a>(&mut self, value: &'a Json, at: At<'a>, node: &'a Node, path: &Path<'_>) -> Result<(), Spent> {
        if value.is_null() || !node.has_rules {
            return Ok(());
        }
        for rule in &node.rules {
            self.rule(rule, value, at, node, path)?;
        }
        match value {
            Json::Object(fields) => {
                for (name, value) in fields {
                    let old = at.old.and_then(|old| old.get(name));
                    if let Some(field) = node.properties.get(name) {
                        self.value(value, at.inner(value, old, field), field, &path.child(name))?;
                    } else if let Some(field) = node.additional.node() {
                        self.value(value, at.inner(value, old, field), field, &path.key(name))?;
                    }
                }
            }
            Json::Array(elements) => {
                let Some(item) = node.items.as_deref() else { return Ok(()) };
                let old = Correlated::new(node, at.old);
                for (index, element) in elements.iter().enumerate() {
                    self.value(element, at.inner(element, old.element(element), item), item, &path.index(index))?;
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
        Ok(())
    }

    fn rule<'a>(
        &mut self,
        rule: &Rule,
        value: &'a Json,
        at: At<'a>,
        node: &'a Node,
        path: &Path<'_>,
    ) -> Result<(), Spent> {
        let Some(Ok(expression)) = &rule.expression else { return Ok(()) };
        let optional = rule.optional_old_self == Some(true);
        if rule.uses_old && at.old.is_none() && !optional {
            return Ok(());
        }
        let variables = || -> Variables<'a> {
            let of = |json: &'a Json| Value::of(json, node, at.whole);
            let old = match (at.old, optional) {
                (old, true) => Ok(Value::Optional(old.map(|old| Rc::new(of(old))))),
                (Some(old), false) => Ok(of(old)),
                (None, false) => Err(Fault::Error("no such attribute: oldSelf".to_owned())),
            };
            vec![("self".to_owned(), Ok(of(value))), ("oldSelf".to_owned(), old)]
        };
        let kind = node.kind.map_or_else(|| type_word(value), Kind::as_str);
        let text = if rule.message.is_empty() { rule.rule.trim() } else { rule.message.trim() };
        match self.evaluate(expression, variables()) {
            Ok(Value::Bool(true)) => return Ok(()),
            Ok(_) => {}
            Err(Fault::Error(error)) if error == "no such overload" => {
                let detail = format!(
                    "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {text}"
                );
                self.errors.push(Error::invalid(path, kind, detail));
                return Ok(());
            }
            Err(Fault::Error(error)) => {
                self.errors.push(Error::invalid(path, kind, format!("{error} evaluating rule: {text}")));
                return Ok(());
            }
            Err(Fault::Budget) if self.left == 0 => {
                self.errors.push(Error::invalid(path, kind, OUT_OF_BUDGET));
                return Err(Spent);
            }
            Err(Fault::Budget) => {
                let detail = format!(
                    "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call \
                     cost exceeds limit for rule: {text}"
                );
                self.errors.push(Error::invalid(path, kind, detail));
                return Err(Spent);
            }
        }
        if !rule.uses_old && at.unchanged.is_some_and(|(new, old)| equal(new, old)) {
            return Ok(());
        }
        let made = match &rule.message_expression {
            Some(Ok(expression)) => self.message(expression, variables(), kind, path)?,
            _ => None,
        };
        let message = made
            .unwrap_or_else(|| if rule.message.is_empty() { format!("failed rule: {text}") } else { text.to_owned() });
        let at = field_path::resolve(rule.field_path.trim(), node);
        let error = match &at {
            Some(field) => told(rule, value, &path.child(field), message),
            None => told(rule, value, path, message),
        };
        self.errors.push(error);
        Ok(())
    }

    fn evaluate<'a>(&mut self, expression: &Expression, variables: Variables<'a>) -> Result<Value<'a>, Fault> {
        let given = self.left.min(CALL_COST_MAX);
        self.budget.left = given;
        let outcome = cel::evaluate(expression, variables, &mut self.budget);
        self.left -= given - self.budget.left;
        outcome
    }

    /// The message that a rule makes; `None` when it makes none that can be shown.
    fn message<'a>(
        &mut self,
        expression: &Expression,
        variables: Variables<'a>,
        kind: &str,
        path: &Path<'_>,
    ) -> Result<Option<String>, Spent> {
        match self.evaluate(expression, variables) {
            Ok(Value::Text(text)) => {
                let text = text.trim();
                let fits = !text.is_empty() && text.len() <= MESSAGE_BYTES_MAX && !text.contains('\n');
                Ok(fits.then(|| text.to_owned()))
            }
            Err(Fault::Budget) => {
                let detail = "messageExpression evaluation failed due to running out of cost budget, no further validation \
                              rules will be run";
                self.errors.push(Error::invalid(path, kind, detail));
                Err(Spent)
            }
            Ok(_) | Err(Fault::Error(_)) => Ok(None),
        }
    }
}

/// The error for the reason that the rule names.
fn told(rule: &Rule, value: &Json, path: &Path<'_>, message: String) -> Error {
    let large = value.is_object() || value.is_array();
    match rule.reason.as_str() {
        "FieldValueForbidden" => Error::forbidden(path, message),
        "FieldValueRequired" => Error::required(path, message),
        "FieldValueDuplicate" => Error::duplicate(path, value.clone()),
        _ if large => Error::invalid_unshown(path, message),
        _ => Error::invalid(path, value.clone(), message),
    }
}
