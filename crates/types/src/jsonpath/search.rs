//! The values that a path finds, by reference: nothing is copied.
//!
//! Values are found one after the other, depth first, in the order of the text. Who needs one only stops there, and who does not
//! trust the path says how many values may be looked at.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::{Filter, Operand, Operator, Path, Step};

/// Bytes of two texts that are compared for the price of a look at a value.
const BYTES_A_LOOK: usize = 256;

/// Why a search ends before its end.
enum Stop {
    /// What was wanted is found.
    Enough,
    Failed(String),
}

/// Called with each value that is found.
type Found<'f, 'a> = &'f mut dyn FnMut(&'a Value) -> Result<(), Stop>;

/// Searches in one value.
pub(super) struct Search<'a> {
    root: &'a Value,
    work_left: usize,
}

impl<'a> Search<'a> {
    pub fn new(root: &'a Value) -> Self {
        Self::bounded(root, usize::MAX)
    }

    /// A search that fails when it has looked at `work` values.
    pub fn bounded(root: &'a Value, work: usize) -> Self {
        Self { root, work_left: work }
    }

    /// How many values it may still look at.
    pub fn work_left(&self) -> usize {
        self.work_left
    }

    pub fn all(&mut self, path: &Path, here: &'a Value) -> Result<Vec<&'a Value>, String> {
        let mut values = Vec::new();
        let mut found = |value| {
            values.push(value);
            Ok(())
        };
        match self.walk(&path.steps, self.start(path, here), &mut found) {
            Ok(()) | Err(Stop::Enough) => Ok(values),
            Err(Stop::Failed(why)) => Err(why),
        }
    }

    pub fn first(&mut self, path: &Path, here: &'a Value) -> Result<Option<&'a Value>, String> {
        let mut first = None;
        let mut found = |value| {
            first = Some(value);
            Err(Stop::Enough)
        };
        match self.walk(&path.steps, self.start(path, here), &mut found) {
            Ok(()) | Err(Stop::Enough) => Ok(first),
            Err(Stop::Failed(why)) => Err(why),
        }
    }

    fn start(&self, path: &Path, here: &'a Value) -> &'a Value {
        if path.root { self.root } else { here }
    }

    fn spend(&mut self, work: usize) -> Result<(), Stop> {
        match self.work_left.checked_sub(work) {
            Some(left) => {
                self.work_left = left;
                Ok(())
            }
            None => Err(Stop::Failed("the path looks at too many values".to_owned())),
        }
    }

    /// Takes the steps from `value` on. It calls itself for each step, of which a path has a bounded number.
    fn walk(&mut self, steps: &[Step], value: &'a Value, found: Found<'_, 'a>) -> Result<(), Stop> {
        self.spend(1)?;
        let Some((step, rest)) = steps.split_first() else { return found(value) };
        match step {
            Step::Field(name) => match value.get(name) {
                None | Some(Value::Null) => Ok(()),
                Some(field) => self.walk(rest, field, found),
            },
            Step::Fields(names) => {
                names.iter().filter_map(|name| value.get(name)).try_for_each(|field| self.walk(rest, field, found))
            }
            Step::All => match value {
                Value::Array(items) => items.iter().try_for_each(|item| self.walk(rest, item, found)),
                Value::Object(fields) => fields.values().try_for_each(|field| self.walk(rest, field, found)),
                _ => Ok(()),
            },
            Step::Below(name) => self.below(name, rest, value, found),
            Step::Index(index) => {
                let Some(items) = value.as_array() else { return Ok(()) };
                let at = if *index < 0 { items.len() as i64 + index } else { *index };
                match usize::try_from(at).ok().and_then(|at| items.get(at)) {
                    Some(item) => self.walk(rest, item, found),
                    None => {
                        Err(Stop::Failed(format!("array index out of bounds: index {index}, length {}", items.len())))
                    }
                }
            }
            Step::Slice { from, to, step } => {
                let Some(items) = value.as_array() else { return Ok(()) };
                let length = items.len() as i64;
                let place = |at: Option<i64>, default: i64| {
                    let at = at.unwrap_or(default);
                    usize::try_from(if at < 0 { at.saturating_add(length) } else { at }.clamp(0, length))
                        .unwrap_or_default()
                };
                let (from, to) = (place(*from, 0), place(*to, length));
                let step = usize::try_from(*step).unwrap_or(1).max(1);
                let taken = items.get(from..to).unwrap_or_default().iter().step_by(step);
                taken.into_iter().try_for_each(|item| self.walk(rest, item, found))
            }
            Step::Filter(filter) => value
                .as_array()
                .into_iter()
                .flatten()
                .try_for_each(|item| if self.holds(filter, item)? { self.walk(rest, item, found) } else { Ok(()) }),
        }
    }

    /// The field of this name in `value` and in all that is in it. Values nest as deep as their parser allows.
    fn below(&mut self, name: &str, rest: &[Step], value: &'a Value, found: Found<'_, 'a>) -> Result<(), Stop> {
        self.spend(1)?;
        if let Some(own) = value.get(name) {
            self.walk(rest, own, found)?;
        }
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.below(name, rest, item, found)),
            Value::Object(fields) => fields.values().try_for_each(|field| self.below(name, rest, field, found)),
            _ => Ok(()),
        }
    }

    fn holds(&mut self, filter: &Filter, here: &'a Value) -> Result<bool, Stop> {
        let left = self.operand(&filter.left, here)?;
        let Some((operator, right)) = &filter.right else { return Ok(left.is_some()) };
        let (Some(left), Some(right)) = (left, self.operand(right, here)?) else { return Ok(false) };
        let order = self.compare(left, right)?;
        Ok(order.is_some_and(|order| match operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }))
    }

    fn operand<'o>(&mut self, operand: &'o Operand, here: &'a Value) -> Result<Option<&'o Value>, Stop>
    where
        'a: 'o,
    {
        match operand {
            Operand::Value(value) => Ok(Some(value)),
            Operand::Path(path) => self.first(path, here).map_err(Stop::Failed),
        }
    }

    /// `None` for what cannot be compared: lists, maps, and what is no number with itself.
    fn compare(&mut self, left: &Value, right: &Value) -> Result<Option<Ordering>, Stop> {
        if let (Some(left), Some(right)) = (left.as_f64(), right.as_f64()) {
            return Ok(left.partial_cmp(&right));
        }
        let (Some(left), Some(right)) = (plain(left), plain(right)) else { return Ok(None) };
        self.spend(left.len().min(right.len()) / BYTES_A_LOOK)?;
        Ok(Some(left.cmp(&right)))
    }
}

/// The text of a value that is neither list nor map.
fn plain(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => Some(Cow::Borrowed("")),
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        Value::Array(_) | Value::Object(_) => None,
    }
}
