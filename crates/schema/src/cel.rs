//! CEL, the language of rules, as Kubernetes speaks it: parsed by the crate `cel`, then typed, priced and evaluated here,
//! because Kubernetes promises more than an interpreter gives. Names and types are checked when a rule is written, its cost
//! is estimated from the bounds of the schema, and an evaluation is ended when it costs more than it may.
//!
//! A function that is not in [`functions`] is undeclared: the rule that names it is refused.

pub(crate) mod check;
mod dialect;
mod evaluate;
mod functions;
mod library;
mod operators;
mod pairs;
mod parse;
mod scope;
mod text;
mod types;
mod value;
mod weight;

pub(crate) use check::{Checked, check, check_as};
pub(crate) use dialect::Dialect;
pub(crate) use evaluate::{Budget, Fault, Variables, evaluate};
pub(crate) use parse::{Expression, names, parse};
pub(crate) use types::{MAX_REQUEST_BYTES, Type, min_bytes};
pub(crate) use value::Value;
