//! Regular expressions. RE2, which Kubernetes uses, and the crate `regex` are nearly the same language; both run in time
//! linear in the text. What differs is rewritten here: the classes of RE2 are of ASCII, and its brackets do not nest.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

use crate::Origin;

/// How large a compiled expression may be. RE2 has the like of it.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// How large all the expressions of a schema may be together. The largest schemas in the wild have some dozens that differ.
const MAX_SCHEMA_BYTES: usize = 8 << 20;
/// As what an expression is counted at least.
const MIN_COUNTED_BYTES: usize = 1 << 10;

/// A regular expression of RE2.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    compiled: Regex,
}

impl Pattern {
    /// Whether it matches anywhere in `text`.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn regex(&self) -> &Regex {
        &self.compiled
    }
}

/// The expressions of one schema: each is compiled once, and all of them together are bounded in a new schema.
#[derive(Debug)]
pub(crate) struct Patterns {
    known: HashMap<String, Result<Pattern, String>>,
    /// `None` is without a bound.
    left_bytes: Option<usize>,
}

impl Patterns {
    pub(crate) fn new(origin: Origin) -> Patterns {
        let left_bytes = match origin {
            Origin::New => Some(MAX_SCHEMA_BYTES),
            Origin::Stored => None,
        };
        Patterns { known: HashMap::new(), left_bytes }
    }

    /// # Errors
    /// As [`compile`], and for one that has no room beside the others.
    pub(crate) fn compile(&mut self, text: &str) -> Result<Pattern, String> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let compiled = match self.left_bytes {
            Some(left_bytes) => self.count(text, left_bytes),
            None => compile(text),
        };
        self.known.insert(text.to_owned(), compiled.clone());
        compiled
    }

    /// Nobody tells the size of an expression. It is counted as the first power of two into which it fits, or as three quarters of
    /// that: as half again what it is, at most. (Its text is not much larger than itself, and need not be read for each power below.)
    fn count(&mut self, text: &str, left_bytes: usize) -> Result<Pattern, String> {
        let mut size_bytes = text.len().next_power_of_two().clamp(MIN_COUNTED_BYTES, MAX_COMPILED_BYTES);
        loop {
            if size_bytes / 4 * 3 > left_bytes {
                // The schema is refused. What follows is not compiled: there may be thousands.
                self.left_bytes = Some(0);
                return Err("the expressions of the schema are too large together".to_owned());
            }
            match build(text, size_bytes) {
                Err(regex::Error::CompiledTooBig(_)) if size_bytes < MAX_COMPILED_BYTES => size_bytes *= 2,
                built => {
                    let smaller = size_bytes / 4 * 3;
                    let counted_bytes = if build(text, smaller).is_ok() { smaller } else { size_bytes };
                    self.left_bytes = Some(left_bytes.saturating_sub(counted_bytes));
                    return tell(text, built);
                }
            }
        }
    }
}

/// # Errors
/// Says in one line what is wrong with the expression.
pub(crate) fn compile(text: &str) -> Result<Pattern, String> {
    tell(text, build(text, MAX_COMPILED_BYTES))
}

fn build(text: &str, size_bytes: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&translate(text)).size_limit(size_bytes).build()
}

fn tell(text: &str, built: Result<Regex, regex::Error>) -> Result<Pattern, String> {
    match built {
        Ok(compiled) => Ok(Pattern { text: text.to_owned(), compiled }),
        Err(regex::Error::CompiledTooBig(_)) => Err("expression too large".to_owned()),
        Err(error) => {
            let text = error.to_string();
            let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it cannot be parsed");
            Err(line.trim_start_matches("error: ").to_owned())
        }
    }
}

fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => escape(characters.next(), false, &mut out),
            '[' => brackets(&mut characters, &mut out),
            // What is no repetition stands for itself.
            '{' if !is_repetition(characters.clone()) => out.push_str("\\{"),
            character => out.push(character),
        }
    }
    out
}

/// Whether what follows an opening brace counts repetitions: `2}`, `2,}` or `2,3}`.
fn is_repetition(mut characters: Peekable<Chars<'_>>) -> bool {
    let mut number = || {
        let mut digits = 0;
        while characters.next_if(char::is_ascii_digit).is_some() {
            digits += 1;
        }
        (digits, characters.next())
    };
    match number() {
        (1.., Some('}')) => true,
        (1.., Some(',')) => matches!(number(), (_, Some('}'))),
        _ => false,
    }
}

/// What follows an opening bracket, up to the one that closes it.
fn brackets(characters: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if characters.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if characters.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
    while let Some(character) = characters.next() {
        match character {
            ']' => return out.push(']'),
            '\\' => escape(characters.next(), true, out),
            // A class with a name, such as `[:alpha:]`.
            '[' if characters.peek() == Some(&':') => {
                out.push('[');
                for character in characters.by_ref() {
                    out.push(character);
                    if character == ']' {
                        break;
                    }
                }
            }
            // These mean something to `regex` alone.
            '[' | '&' | '~' => out.extend(['\\', character]),
            character => out.push(character),
        }
    }
}

fn escape(escaped: Option<char>, within_brackets: bool, out: &mut String) {
    let class = match escaped {
        Some('d') => "[0-9]",
        Some('w') => "[0-9A-Za-z_]",
        Some('s') => "[\\t\\n\\x0C\\r ]",
        Some('D') => "[^0-9]",
        Some('W') => "[^0-9A-Za-z_]",
        Some('S') => "[^\\t\\n\\x0C\\r ]",
        // They mean something to `regex` alone.
        Some('<') => "<",
        Some('>') => ">",
        Some('b') if !within_brackets => "(?-u:\\b)",
        Some(other) => return out.extend(['\\', other]),
        None => "\\",
    };
    out.push_str(class);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_as_in_re2() {
        let table = [
            (r"^[a-z]+$", "abc", true),
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^[\d.]+$", "1.2", true),
            (r"^[^\s]+$", "a b", false),
            (r"^[[]$", "[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a&&b]+$", "&", true),
            (r"^[[:alpha:]-]+$", "a-b", true),
            (r"^\w+$", "é", false),
            (r"^.$", "é", true),
            (r"^(foo|bar)?$", "", true),
            (r"^{.*}$", "{a}", true),
            (r"^a{x}$", "a{x}", true),
            (r"^a{,2}$", "a{,2}", true),
            (r"^a{,2}$", "aa", false),
            (r"^a{2}b{1,}c{0,1}$", "aabb", true),
            (r"^[{]a{2$", "{a{2", true),
            (r"^\<a\>$", "<a>", true),
            (r"^[\<\>]$", ">", true),
        ];
        for (pattern, text, matches) in table {
            assert_eq!(compile(pattern).expect(pattern).matches(text), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn the_expressions_of_a_schema_are_bounded_together_and_the_same_one_counts_once() {
        let mut patterns = Patterns::new(Origin::New);
        for _ in 0..10_000 {
            patterns.compile("^[a-z]+$").expect("is one expression");
        }
        let taken = MAX_SCHEMA_BYTES - patterns.left_bytes.expect("is bounded");
        assert!(taken < 8 << 10, "{taken} for a small one");
        let large = |index: usize| format!("^{index}(a{{100}}){{20}}$");
        let refused = (0..1000).find_map(|index| patterns.compile(&large(index)).err()).expect("there is an end");
        assert_eq!(refused, "the expressions of the schema are too large together");
        patterns.compile(&large(0)).expect("it is there already");
        assert!(patterns.compile("(").is_err());

        let mut stored = Patterns::new(Origin::Stored);
        for index in 0..100 {
            stored.compile(&large(index)).expect("what is stored was let through once");
        }
        assert!(stored.compile("(").is_err());
    }

    #[test]
    fn an_expression_takes_little_more_than_its_size_from_the_others() {
        // Any character of UTF-8 takes a KiB: 260 KiB each.
        let mut patterns = Patterns::new(Origin::New);
        for index in 0..20 {
            patterns.compile(&format!("^{index}.{{1,256}}$")).expect("there is room");
        }
    }

    #[test]
    fn a_wrong_expression_is_told_in_one_line() {
        for pattern in ["(", "a{2,1}", "(?=a)", r"(a)\1", "[", "a{1000}{1000}"] {
            let error = compile(pattern).expect_err(pattern);
            assert!(!error.is_empty() && !error.contains('\n'), "{error:?}");
        }
    }
}
