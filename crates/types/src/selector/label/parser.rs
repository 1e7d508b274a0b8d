//! Reads label selectors. The grammar is Kubernetes': requirements separated by commas, white space anywhere.

use super::{LabelSelector, Operator, Requirement, validate};
use crate::selector::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Symbol(&'a str),
    End,
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn split(&self) -> (Token<'a>, &'a str) {
        const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", ",", "(", ")", ">", "<"];
        let rest = self.rest.trim_start();
        if rest.is_empty() {
            return (Token::End, rest);
        }
        for symbol in SYMBOLS {
            if let Some(after) = rest.strip_prefix(symbol) {
                return (Token::Symbol(symbol), after);
            }
        }
        let special = |c: char| c.is_whitespace() || matches!(c, '=' | '!' | ',' | '(' | ')' | '>' | '<');
        let (word, after) = rest.split_at(rest.find(special).unwrap_or(rest.len()));
        (Token::Word(word), after)
    }

    fn peek(&self) -> Token<'a> {
        self.split().0
    }

    fn next(&mut self) -> Token<'a> {
        let (token, rest) = self.split();
        self.rest = rest;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, Error> {
        if self.peek() == Token::Symbol("!") {
            self.next();
            let key = self.word("identifier")?;
            return Ok(Requirement { key: key.to_owned(), operator: Operator::DoesNotExist, values: Vec::new() });
        }
        let key = self.word("identifier")?.to_owned();
        let (operator, values) = match self.peek() {
            Token::End | Token::Symbol(",") => (Operator::Exists, Vec::new()),
            _ => match self.next() {
                Token::Symbol("=" | "==") => (Operator::In, vec![self.value()]),
                Token::Symbol("!=") => (Operator::NotIn, vec![self.value()]),
                Token::Symbol(">") => (Operator::Gt, vec![self.value()]),
                Token::Symbol("<") => (Operator::Lt, vec![self.value()]),
                Token::Word("in") => (Operator::In, self.values()?),
                Token::Word("notin") => (Operator::NotIn, self.values()?),
                token => return Err(unexpected(token, "in, notin, =, ==, !=, gt, lt")),
            },
        };
        Ok(Requirement { key, operator, values })
    }

    fn word(&mut self, expected: &str) -> Result<&'a str, Error> {
        match self.next() {
            Token::Word(word) => Ok(word),
            token => Err(unexpected(token, expected)),
        }
    }

    /// A value may be empty.
    fn value(&mut self) -> String {
        match self.peek() {
            Token::Word(word) => {
                self.next();
                word.to_owned()
            }
            _ => String::new(),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, Error> {
        match self.next() {
            Token::Symbol("(") => {}
            token => return Err(unexpected(token, "'('")),
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value());
            match self.next() {
                Token::Symbol(",") => {}
                Token::Symbol(")") => break,
                token => return Err(unexpected(token, "',' or ')'")),
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn unexpected(token: Token<'_>, expected: &str) -> Error {
    let found = match token {
        Token::Word(text) | Token::Symbol(text) => text,
        Token::End => "",
    };
    Error(format!("unable to parse requirement: found '{found}', expected: {expected}"))
}

pub(super) fn parse(text: &str) -> Result<LabelSelector, Error> {
    let mut parser = Parser { rest: text };
    let mut requirements = Vec::new();
    if parser.peek() == Token::End {
        return Ok(LabelSelector::everything());
    }
    loop {
        let requirement = parser.requirement()?;
        validate(&requirement)?;
        requirements.push(requirement);
        match parser.next() {
            Token::End => return Ok(LabelSelector { nothing: false, requirements }),
            Token::Symbol(",") => {}
            token => return Err(unexpected(token, "',' or 'end of string'")),
        }
    }
}
