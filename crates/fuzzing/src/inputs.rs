//! What targets are tried with: valid inputs, changed.

use bolero::{Driver, ValueGenerator};
use serde_json::Value;

use crate::dice::{self, Dice};
use crate::{bytes, json};

/// Inputs that are made of valid ones.
pub trait Inputs: ValueGenerator {
    /// The valid ones.
    fn seeds(&self) -> Vec<Self::Output>;
}

/// How many changes an input differs by: mostly few, since what is wrong in two ways is refused for the first.
fn changes(dice: &mut Dice<'_>) -> usize {
    1 << dice.below(4)
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Any bytes.
pub struct Bytes {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Bytes {
    /// `words` are what the format gives a meaning.
    #[must_use]
    pub fn new(seeds: Vec<Vec<u8>>, words: &[&[u8]]) -> Self {
        Self { seeds, words: words.iter().map(|word| word.to_vec()).collect() }
    }

    fn changed(&self, dice: &mut Dice<'_>) -> Vec<u8> {
        let mut changed = dice.pick(&self.seeds).clone();
        for _ in 0..changes(dice) {
            let other: &Vec<u8> = dice.pick(&self.seeds);
            bytes::mutate(&mut changed, other, &self.words, dice);
        }
        changed
    }
}

impl ValueGenerator for Bytes {
    type Output = Vec<u8>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Vec<u8>> {
        Some(self.changed(&mut Dice::new(&mut dice::of(driver))))
    }
}

impl Inputs for Bytes {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }
}

/// Any text.
pub struct Texts(Bytes);

impl Texts {
    #[must_use]
    pub fn new(seeds: &[&str], words: &[&str]) -> Self {
        let bytes = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        Self(Bytes { seeds: bytes(seeds), words: bytes(words) })
    }
}

impl ValueGenerator for Texts {
    type Output = String;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<String> {
        Some(String::from_utf8_lossy(&self.0.generate(driver)?).into_owned())
    }
}

impl Inputs for Texts {
    fn seeds(&self) -> Vec<String> {
        self.0.seeds.iter().map(|seed| String::from_utf8_lossy(seed).into_owned()).collect()
    }
}

/// Any JSON value.
pub struct Objects {
    seeds: Vec<Value>,
    words: Vec<String>,
}

impl Objects {
    /// `words` are names of fields and texts that mean something; those in the seeds come by themselves.
    #[must_use]
    pub fn new(seeds: Vec<Value>, words: &[&str]) -> Self {
        Self { seeds, words: owned(words) }
    }

    fn changed(&self, dice: &mut Dice<'_>) -> Value {
        let mut changed = dice.pick(&self.seeds).clone();
        for _ in 0..changes(dice) {
            json::mutate(&mut changed, dice.pick(&self.seeds), &self.words, dice);
        }
        changed
    }
}

impl ValueGenerator for Objects {
    type Output = Value;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Value> {
        Some(self.changed(&mut Dice::new(&mut dice::of(driver))))
    }
}

impl Inputs for Objects {
    fn seeds(&self) -> Vec<Value> {
        self.seeds.clone()
    }
}

/// Texts of JSON values: changed as values, as texts, or both; with keys that occur twice.
pub struct Documents(Objects);

impl Documents {
    #[must_use]
    pub fn new(seeds: Vec<Value>, words: &[&str]) -> Self {
        Self(Objects::new(seeds, words))
    }
}

impl ValueGenerator for Documents {
    type Output = Vec<u8>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Vec<u8>> {
        let mut throw = dice::of(driver);
        let mut dice = Dice::new(&mut throw);
        let value = if dice.one_in(3) { dice.pick(&self.0.seeds).clone() } else { self.0.changed(&mut dice) };
        let mut text = json::print(&value, &mut dice).into_bytes();
        if dice.one_in(2) {
            let other = dice.pick(&self.0.seeds).to_string();
            bytes::mutate(&mut text, other.as_bytes(), &[], &mut dice);
        }
        Some(text)
    }
}

impl Inputs for Documents {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.0.seeds.iter().map(|seed| seed.to_string().into_bytes()).collect()
    }
}

/// An object, and what an update of it asks for: both changed, from the same seed.
pub struct Updates(Objects);

impl Updates {
    #[must_use]
    pub fn new(seeds: Vec<Value>, words: &[&str]) -> Self {
        Self(Objects::new(seeds, words))
    }
}

impl ValueGenerator for Updates {
    type Output = (Value, Value);

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<(Value, Value)> {
        let mut throw = dice::of(driver);
        let mut dice = Dice::new(&mut throw);
        let old = if dice.one_in(2) { dice.pick(&self.0.seeds).clone() } else { self.0.changed(&mut dice) };
        let mut new = old.clone();
        for _ in 0..changes(&mut dice) {
            json::mutate(&mut new, dice.pick(&self.0.seeds), &self.0.words, &mut dice);
        }
        Some((old, new))
    }
}

impl Inputs for Updates {
    fn seeds(&self) -> Vec<(Value, Value)> {
        self.0.seeds.iter().map(|seed| (seed.clone(), seed.clone())).collect()
    }
}

/// Two that belong together: the seeds are the first with the first, the second with the second, and so on.
impl<A: Inputs, B: Inputs> Inputs for (A, B)
where
    (A, B): ValueGenerator<Output = (A::Output, B::Output)>,
{
    fn seeds(&self) -> Vec<(A::Output, B::Output)> {
        self.0.seeds().into_iter().zip(self.1.seeds()).collect()
    }
}
