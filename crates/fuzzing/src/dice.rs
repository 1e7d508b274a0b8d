//! Where a mutation's choices come from: a random number generator in tests, the bytes of a fuzzer that sees what they covered.

use std::ops::Bound;

use bolero::Driver;

pub(crate) struct Dice<'a>(&'a mut dyn FnMut(usize) -> usize);

impl<'a> Dice<'a> {
    /// `throw` answers a number below the one it is given.
    pub fn new(throw: &'a mut dyn FnMut(usize) -> usize) -> Self {
        Self(throw)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        if end <= 1 { 0 } else { (self.0)(end).min(end - 1) }
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 1
    }

    /// One of `choices`, which are not none.
    pub fn pick<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }

    /// A part of something that is `length` long. Short ones are as likely as long ones.
    pub fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let rest = length - start;
        let longest = if self.one_in(2) { rest } else { rest.min(8) };
        start..start + self.below(longest + 1)
    }
}

/// The throws of a driver. One that has no bytes left answers 0.
pub(crate) fn of<D: Driver>(driver: &mut D) -> impl FnMut(usize) -> usize {
    move |end| driver.gen_usize(Bound::Included(&0), Bound::Excluded(&end)).unwrap_or(0)
}
