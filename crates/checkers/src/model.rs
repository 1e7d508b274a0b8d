//! What a correct system would do: sequential models that histories are compared with.

pub mod register;

use std::fmt::Display;
use std::hash::Hash;

use crate::history::Operation;

/// A sequential object. `step` must be pure.
pub trait Model {
    /// What one part of the object holds.
    type State: Clone + Eq + Hash + Display;
    /// What clients ask.
    type Call: Clone + Eq + Display;
    /// What they are answered.
    type Answer: Clone + Eq + Display;
    /// Names a part that is independent of all others. An object is linearizable when each of its parts is (Herlihy and
    /// Wing), so each is checked by itself.
    type Part: Clone + Ord + Display;

    /// The part that a call is about.
    fn part(call: &Self::Call) -> Self::Part;

    /// Before any call.
    fn initial() -> Self::State;

    /// All the states that `call` can lead to from `state` when it answers `answer`; none when it cannot have answered
    /// that. Without an answer its outcome is unknown and it takes effect here, whatever it would have answered.
    fn step(state: &Self::State, call: &Self::Call, answer: Option<&Self::Answer>) -> Vec<Self::State>;

    /// Those of the `unknown` operations, which have no answer, that can help to explain the `answered` ones of their
    /// part. The search leaves the others out, since never to take effect is one of their possible outcomes. All of them
    /// is always right, and slow.
    fn helpful<'a>(
        unknown: Vec<&'a Operation<Self::Call, Self::Answer>>,
        answered: &[&Operation<Self::Call, Self::Answer>],
    ) -> Vec<&'a Operation<Self::Call, Self::Answer>>;
}
