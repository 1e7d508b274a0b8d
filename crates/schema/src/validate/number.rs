//! The bounds of numbers. Integers are compared as integers, so that 64 bits keep all their digits.

use std::cmp::Ordering;

use keelson_types::field::Path;
use serde_json::{Number, Value};

use super::Checking;
use super::tell::Told;
use crate::node::{Kind, Node};

impl Checking<'_> {
    pub(super) fn number(&mut self, number: &Number, node: &Node, path: &Path<'_>) {
        let limits = &node.limits;
        self.range(number, node, path);
        let should = |should: String| Told::Invalid { value: Value::Number(number.clone()), should };
        if let Some(factor) = &limits.multiple_of
            && !is_multiple(number, factor)
        {
            self.tell(path, should(format!("should be a multiple of {factor}")));
        }
        if let Some(minimum) = &limits.minimum {
            let order = compare(number, minimum);
            if order == Ordering::Less || (order == Ordering::Equal && limits.exclusive_minimum) {
                let than = if limits.exclusive_minimum { "greater than" } else { "greater than or equal to" };
                self.tell(path, should(format!("should be {than} {minimum}")));
            }
        }
        if let Some(maximum) = &limits.maximum {
            let order = compare(number, maximum);
            if order == Ordering::Greater || (order == Ordering::Equal && limits.exclusive_maximum) {
                let than = if limits.exclusive_maximum { "less than" } else { "less than or equal to" };
                self.tell(path, should(format!("should be {than} {maximum}")));
            }
        }
    }

    /// Whether the number fits the bits of its format.
    fn range(&mut self, number: &Number, node: &Node, path: &Path<'_>) {
        let format = node.limits.format.as_str();
        let (kind, fits, format) = match (node.kind, format) {
            (Some(Kind::Integer), "int32") => {
                ("integer", whole(number).is_some_and(|whole| i32::try_from(whole).is_ok()), format)
            }
            (Some(Kind::Integer), format) => {
                let format = if format == "int64" { format } else { "" };
                ("integer", whole(number).is_some_and(|whole| i64::try_from(whole).is_ok()), format)
            }
            (Some(Kind::Number), "float") => {
                ("number", number.as_f64().is_some_and(|number| number.abs() <= f64::from(f32::MAX)), format)
            }
            _ => return,
        };
        if !fits {
            let format =
                if format.is_empty() { " (default format)".to_owned() } else { format!(" with format {format}") };
            self.tell(path, Told::Plain(format!("Checked value must be of type {kind}{format} in {path}")));
        }
    }
}

/// The number when it has no fraction.
fn whole(number: &Number) -> Option<i128> {
    if let Some(integer) = number.as_i64() {
        return Some(integer.into());
    }
    if let Some(integer) = number.as_u64() {
        return Some(integer.into());
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e30)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    Some(float as i128)
}

fn compare(left: &Number, right: &Number) -> Ordering {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => {
            let float = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
            float(left).partial_cmp(&float(right)).unwrap_or(Ordering::Equal)
        }
    }
}

fn is_multiple(number: &Number, factor: &Number) -> bool {
    if let (Some(number), Some(factor)) = (whole(number), whole(factor)) {
        return factor > 0 && number % factor == 0;
    }
    let (Some(number), Some(factor)) = (number.as_f64(), factor.as_f64()) else { return false };
    if factor <= 0.0 {
        return false;
    }
    let quotient = if factor < 1.0 { 1.0 / factor * number } else { number / factor };
    // As near to an integer as the reader of JSON numbers is.
    (quotient - quotient.round()).abs() < 1e-9 * quotient.abs().max(1.0)
}
