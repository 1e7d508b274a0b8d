//! `spec.nodeName=n1,status.phase!=Failed`

use std::fmt;

use super::Error;

/// All of several comparisons. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    equal: bool,
    value: String,
}

impl FieldSelector {
    /// Parses comma-separated `field=value`, `field==value` and `field!=value`; a backslash escapes `\`, `,` and `=`.
    ///
    /// # Errors
    /// A term without an operator.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut terms = Vec::new();
        for term in split_terms(text).iter().filter(|term| !term.is_empty()) {
            let invalid = || Error(format!("invalid selector: '{text}'; can't understand '{term}'"));
            let position = find_operator(term).ok_or_else(invalid)?;
            let (field, rest) = term.split_at(position);
            let (equal, value) = if let Some(value) = rest.strip_prefix("!=") {
                (false, value)
            } else if let Some(value) = rest.strip_prefix("==") {
                (true, value)
            } else {
                (true, &rest[1..])
            };
            terms.push(Term { field: field.to_owned(), equal, value: unescape(value) });
        }
        Ok(FieldSelector { terms })
    }

    /// Selects the one object with this name.
    pub fn name(name: &str) -> Self {
        Self::equal("metadata.name", name)
    }

    pub fn equal(field: &str, value: &str) -> Self {
        FieldSelector { terms: vec![Term { field: field.to_owned(), equal: true, value: value.to_owned() }] }
    }

    /// Selects everything.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The fields named, so that those that a kind does not offer can be refused:
    /// `field label not supported: spec.foo`.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|term| term.field.as_str())
    }

    /// The value that `field` must equal, if the selector says so: lets a list go straight to one object or index.
    pub fn required(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether an object is selected whose fields `lookup` tells. A field that it does not know counts as empty.
    pub fn matches<S: AsRef<str>>(&self, lookup: impl Fn(&str) -> Option<S>) -> bool {
        self.terms.iter().all(|term| {
            let found = lookup(&term.field);
            (found.as_ref().map_or("", AsRef::as_ref) == term.value) == term.equal
        })
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if term.equal { "=" } else { "!=" };
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", term.field)?;
        }
        Ok(())
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn find_operator(term: &str) -> Option<usize> {
    let position = term.find('=')?;
    if term[..position].ends_with('!') { Some(position - 1) } else { Some(position) }
}

fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut escaped = false;
    for c in value.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            text.push(c);
            escaped = false;
        }
    }
    text
}
