//! `app=web,tier!=cache,env in (a, b),!legacy`

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde_json::Value;

use super::Error;
use crate::names;

/// Anything that has labels to look up.
pub trait Labels {
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labels for Option<BTreeMap<String, String>> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

/// A JSON object of labels; anything else has none.
impl Labels for Value {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    /// The label is an integer greater than the one value.
    Gt,
    Lt,
}

impl Operator {
    /// From the word that objects use, such as `NotIn`.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => Operator::Gt,
            "Lt" => Operator::Lt,
            _ => return None,
        })
    }
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

impl Requirement {
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let label = labels.label(&self.key);
        let contains = |label: &str| self.values.iter().any(|value| value == label);
        match self.operator {
            Operator::In => label.is_some_and(contains),
            Operator::NotIn => !label.is_some_and(contains),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::Gt => self.compare(label).is_some_and(|(label, value)| label > value),
            Operator::Lt => self.compare(label).is_some_and(|(label, value)| label < value),
        }
    }

    fn compare(&self, label: Option<&str>) -> Option<(i64, i64)> {
        Some((label?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

/// All of several requirements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// Selects nothing at all, as a nil selector of an object does.
    nothing: bool,
    pub requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// Selects everything.
    pub const fn everything() -> Self {
        LabelSelector { nothing: false, requirements: Vec::new() }
    }

    /// Selects nothing.
    pub const fn nothing() -> Self {
        LabelSelector { nothing: true, requirements: Vec::new() }
    }

    /// Parses what `-l` takes; the empty text selects everything.
    ///
    /// # Errors
    /// Text that is no selector, or names a key or value that no label can have.
    pub fn parse(text: &str) -> Result<Self, Error> {
        super::label::parser::parse(text)
    }

    /// Selects what has all of these labels: the selector of a Service, or a node selector. An empty map selects everything.
    pub fn from_map(labels: &BTreeMap<String, String>) -> Self {
        let requirements = labels
            .iter()
            .map(|(key, value)| Requirement { key: key.clone(), operator: Operator::In, values: vec![value.clone()] })
            .collect();
        LabelSelector { nothing: false, requirements }
    }

    /// The selector that an object holds. `None` selects nothing, an empty one everything.
    ///
    /// # Errors
    /// An operator that does not exist or whose values do not fit it.
    pub fn from_object(selector: Option<&meta::LabelSelector>) -> Result<Self, Error> {
        let Some(selector) = selector else { return Ok(Self::nothing()) };
        let mut result = selector.match_labels.as_ref().map(Self::from_map).unwrap_or_default();
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match Operator::from_word(&expression.operator) {
                Some(operator @ (Operator::In | Operator::NotIn | Operator::Exists | Operator::DoesNotExist)) => {
                    operator
                }
                _ => return Err(Error(format!("{:?} is not a valid label selector operator", expression.operator))),
            };
            let values = expression.values.clone().unwrap_or_default();
            if matches!(operator, Operator::In | Operator::NotIn) == values.is_empty() {
                return Err(Error(format!(
                    "values of operator {:?} on {:?}: for 'in', 'notin' operators, values set can't be empty; for exists \
                     it must be",
                    expression.operator, expression.key
                )));
            }
            result.requirements.push(Requirement { key: expression.key.clone(), operator, values });
        }
        Ok(result)
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::In if self.values.len() == 1 => write!(f, "{key}={values}"),
            Operator::NotIn if self.values.len() == 1 => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Gt => write!(f, "{key}>{values}"),
            Operator::Lt => write!(f, "{key}<{values}"),
        }
    }
}

/// The text that [`LabelSelector::parse`] reads back. One that selects nothing prints as `<nothing>`, which it does not.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nothing {
            return f.write_str("<nothing>");
        }
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

fn validate(requirement: &Requirement) -> Result<(), Error> {
    let Requirement { key, operator, values } = requirement;
    let complaint = |what: &str, value: &str, complaints: Vec<String>| match complaints.into_iter().next() {
        None => Ok(()),
        Some(detail) => Err(Error(format!("unable to parse requirement: {what}: Invalid value: {value:?}: {detail}"))),
    };
    complaint("key", key, names::qualified_name(key))?;
    if matches!(operator, Operator::Gt | Operator::Lt) {
        return match values.first().map(|value| value.parse::<i64>()) {
            Some(Ok(_)) => Ok(()),
            _ => {
                Err(Error("unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer".into()))
            }
        };
    }
    for (index, value) in values.iter().enumerate() {
        complaint(&format!("values[{index}][{key}]"), value, names::label_value(value))?;
    }
    Ok(())
}

mod parser;
