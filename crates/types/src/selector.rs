//! Label and field selectors: parsed from text, built from objects, matched against either shape of labels.

mod field;
mod label;

pub use field::FieldSelector;
pub use label::{LabelSelector, Labels, Operator, Requirement};

/// The text is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

#[cfg(test)]
mod tests;
