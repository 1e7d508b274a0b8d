//! Regular expressions. RE2, which Kubernetes uses, and the crate `regex` are nearly the same language; both run in time
//! linear in the text. What differs is rewritten here: the classes of RE2 are of ASCII, and its brackets do not nest.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// How large a compiled expression may be. RE2 has the like of it.
const MAX_COMPILED_BYTES: usize = 1 << 20;

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

/// # Errors
/// Says in one line what is wrong with the expression.
pub(crate) fn compile(text: &str) -> Result<Pattern, String> {
    let compiled = build(text)?;
    Ok(Pattern { text: text.to_owned(), compiled })
}

fn build(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(&translate(text)).size_limit(MAX_COMPILED_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "expression too large".to_owned(),
        error => {
            let text = error.to_string();
            let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it cannot be parsed");
            line.trim_start_matches("error: ").to_owned()
        }
    })
}

fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => escape(characters.next(), false, &mut out),
            '[' => brackets(&mut characters, &mut out),
            character => out.push(character),
        }
    }
    out
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
        ];
        for (pattern, text, matches) in table {
            assert_eq!(compile(pattern).expect(pattern).matches(text), matches, "{pattern} on {text}");
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
