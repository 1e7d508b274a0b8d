//! What a rule means where it stands: its names and types, whether what it compares can be found again, and what it costs.

use keelson_types::field::{Error, Path};

use super::field_path;
use crate::cel::{self, Checked, Expression, MAX_REQUEST_BYTES, Type};
use crate::node::{ListType, Node, Rule};

/// What a rule may cost in all its places in an object, by estimate.
const RULE_COST_MAX: u64 = 10_000_000;
/// What all the rules of a schema may cost together, by estimate.
const SCHEMA_COST_MAX: u64 = 100_000_000;
/// So many of the most expensive rules are blamed when all of them cost too much together.
const BLAMED: usize = 4;

/// Says what is wrong with the rules of a schema.
pub(crate) fn check(root: &Node, path: &Path<'_>) -> Vec<Error> {
    let mut walk = Walk { errors: Vec::new(), costs: Vec::new() };
    walk.node(root, Around { whole: true, times: Some(1), uncorrelated: None }, path);
    let total = walk.costs.iter().fold(0_u64, |total, (cost, _)| total.saturating_add(*cost));
    if total > SCHEMA_COST_MAX {
        walk.costs.sort_by(|(left, _), (right, _)| right.cmp(left));
        for (_, place) in walk.costs.iter().take(BLAMED) {
            let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            walk.errors.push(Error::forbidden(&Path::new(place), detail));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        walk.errors.push(Error::forbidden(path, over_budget(what, total, SCHEMA_COST_MAX)));
    }
    walk.errors
}

/// What a place takes from those around it.
#[derive(Clone)]
struct Around {
    whole: bool,
    /// How often the place is in an object at most; `None` when only the size of the request bounds it.
    times: Option<u64>,
    /// The list around it whose elements cannot be found again after a change.
    uncorrelated: Option<String>,
}

struct Walk {
    errors: Vec<Error>,
    /// Of each expression, with where it stands.
    costs: Vec<(u64, String)>,
}

impl Walk {
    fn node(&mut self, node: &Node, around: Around, path: &Path<'_>) {
        let rules = path.child("x-kubernetes-validations");
        for (index, rule) in node.rules.iter().enumerate() {
            self.rule(rule, node, &around, &rules.index(index));
        }
        let times = |most: Option<u64>| Some(around.times?.saturating_mul(most?));
        let properties = path.child("properties");
        for (name, field) in &node.properties {
            let inner = Around { whole: field.embedded, ..around.clone() };
            self.node(field, inner, &properties.key(name));
        }
        if let Some(field) = node.additional.node() {
            let inner = Around { whole: field.embedded, times: times(node.limits.max_properties), ..around.clone() };
            self.node(field, inner, &path.child("additionalProperties"));
        }
        if let Some(item) = node.items.as_deref() {
            let lost = (node.list != ListType::Map).then(|| path.to_string());
            let inner = Around {
                whole: item.embedded,
                times: times(node.limits.max_items),
                uncorrelated: around.uncorrelated.clone().or(lost),
            };
            self.node(item, inner, &path.child("items"));
        }
    }

    fn rule(&mut self, rule: &Rule, node: &Node, around: &Around, path: &Path<'_>) {
        let rule_path = path.child("rule");
        if !rule.field_path.is_empty() && field_path::resolve(rule.field_path.trim(), node).is_none() {
            let path = path.child("fieldPath");
            self.errors.push(Error::invalid(&path, rule.field_path.clone(), "must be a valid path"));
        }
        let Some(of) = Type::of(node, around.whole) else {
            let detail = "compilation failed: the schema says too little of this place for a rule";
            self.errors.push(Error::invalid(&rule_path, rule.source.clone(), detail));
            return;
        };
        let times = around.times.unwrap_or(MAX_REQUEST_BYTES / (node.min_bytes + 1));
        let old = if rule.optional_old_self == Some(true) { of.clone().optional() } else { of.clone() };
        let variables = [("self", of), ("oldSelf", old)];
        match checked(rule.expression.as_ref(), &variables) {
            Ok(None) => {}
            Ok(Some(Checked { of, .. })) if of != Type::Bool && !of.is_open() => {
                let detail = "cel expression must evaluate to a bool";
                self.errors.push(Error::invalid(&rule_path, rule.source.clone(), detail));
            }
            Ok(Some(Checked { cost, .. })) => self.cost("estimated rule cost", cost.saturating_mul(times), &rule_path),
            Err(error) => {
                let detail = format!("compilation failed: {error}");
                self.errors.push(Error::invalid(&rule_path, rule.source.clone(), detail));
            }
        }
        let message_path = path.child("messageExpression");
        match checked(rule.message_expression.as_ref(), &variables) {
            Ok(None) => {}
            Ok(Some(Checked { of, .. })) if !matches!(of, Type::String(_)) => {
                let detail = "messageExpression must evaluate to a string";
                self.errors.push(Error::invalid(&message_path, rule.source.clone(), detail));
            }
            Ok(Some(Checked { cost, .. })) => self.cost("estimated messageExpression cost", cost, &message_path),
            Err(error) => {
                let detail = format!("messageExpression compilation failed: {error}");
                self.errors.push(Error::invalid(&message_path, rule.source.clone(), detail));
            }
        }
        if let (true, Some(list)) = (rule.uses_old, &around.uncorrelated) {
            let detail = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {list}");
            self.errors.push(Error::invalid(&rule_path, rule.rule.clone(), detail));
        }
        if let (false, Some(optional)) = (rule.uses_old, rule.optional_old_self) {
            let detail = "may not be set if oldSelf is not used in rule";
            self.errors.push(Error::invalid(&path.child("optionalOldSelf"), optional, detail));
        }
    }

    fn cost(&mut self, what: &str, cost: u64, path: &Path<'_>) {
        if cost > RULE_COST_MAX {
            self.errors.push(Error::forbidden(path, over_budget(what, cost, RULE_COST_MAX)));
        }
        self.costs.push((cost, path.to_string()));
    }
}

fn checked<'a>(
    expression: Option<&Result<Expression, String>>,
    variables: &[(&str, Type<'a>)],
) -> Result<Option<Checked<'a>>, String> {
    match expression {
        None => Ok(None),
        Some(Err(error)) => Err(error.clone()),
        Some(Ok(expression)) => cel::check(expression, variables).map(Some),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a factor is shown with one digit")]
fn over_budget(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength \
         where arrays, maps, and strings are declared)"
    )
}
