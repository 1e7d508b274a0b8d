//! Amounts of resources.

use std::cmp::Ordering;

use keelson_types::quantity::Quantity;

use super::Answer;
use crate::cel::value::Value;

pub(super) fn call<'a>(name: &str, _: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    let order = |order: Ordering| Value::Int(order as i64);
    Some(match (name, arguments) {
        ("quantity", [Value::Text(text)]) => match text.parse::<Quantity>() {
            Ok(quantity) => Ok(Value::Quantity(quantity)),
            Err(error) => Err(error.to_string()),
        },
        ("isQuantity", [Value::Text(text)]) => Ok(Value::Bool(text.parse::<Quantity>().is_ok())),
        ("sign", [Value::Quantity(quantity)]) => Ok(order(quantity.cmp(&Quantity::ZERO))),
        ("isInteger", [Value::Quantity(quantity)]) => Ok(Value::Bool(whole(*quantity).is_some())),
        ("asInteger", [Value::Quantity(quantity)]) => {
            whole(*quantity).map(Value::Int).ok_or_else(|| "cannot convert value to integer".to_owned())
        }
        #[expect(clippy::cast_precision_loss, reason = "the function's name says so")]
        ("asApproximateFloat", [Value::Quantity(quantity)]) => {
            let whole = quantity.units() - i64::from(*quantity < units(quantity.units())?);
            let rest = (*quantity - units(whole)?).millis();
            Ok(Value::Double(whole as f64 + rest as f64 / 1000.0))
        }
        ("isGreaterThan", [Value::Quantity(left), Value::Quantity(right)]) => Ok(Value::Bool(left > right)),
        ("isLessThan", [Value::Quantity(left), Value::Quantity(right)]) => Ok(Value::Bool(left < right)),
        ("compareTo", [Value::Quantity(left), Value::Quantity(right)]) => Ok(order(left.cmp(right))),
        ("add", [Value::Quantity(left), Value::Quantity(right)]) => Ok(Value::Quantity(*left + *right)),
        ("add", [Value::Quantity(left), Value::Int(right)]) => Ok(Value::Quantity(*left + units(*right)?)),
        ("sub", [Value::Quantity(left), Value::Quantity(right)]) => Ok(Value::Quantity(*left - *right)),
        ("sub", [Value::Quantity(left), Value::Int(right)]) => Ok(Value::Quantity(*left - units(*right)?)),
        _ => return None,
    })
}

fn units(count: i64) -> Option<Quantity> {
    count.to_string().parse().ok()
}

/// The amount when it has no fraction.
fn whole(quantity: Quantity) -> Option<i64> {
    let count = quantity.units();
    (units(count)? == quantity).then_some(count)
}
