//! A script as commands: words, quotes, variables, and `;`, newline, `&&`, `||`, `|`, `<`, `>`, `>>`, `2>`, `2>&1`. No loops, no functions.

/// Something that a shell runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simple {
    /// `NAME=value` before the command.
    pub assignments: Vec<(String, Word)>,
    pub words: Vec<Word>,
    pub redirections: Vec<Redirection>,
}

/// A word's parts, joined after variables are replaced.
pub type Word = Vec<Part>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Variable(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirection {
    From(Word),
    To { file: Word, append: bool, error: bool },
    ErrorToOutput,
}

/// When a pipeline is run, after the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Succeeded,
    Failed,
}

/// Commands joined by `|`.
pub type Pipeline = Vec<Simple>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(Word),
    Sign(&'static str),
}

const SIGNS: [&str; 11] = ["2>&1", ">&2", "2>", "&&", "||", ">>", ";", "\n", "|", ">", "<"];

/// Reads a script.
///
/// # Errors
/// What is wrong with it, as a shell says it.
pub fn parse(script: &str) -> Result<Vec<(When, Pipeline)>, String> {
    let mut pipelines: Vec<(When, Pipeline)> = Vec::new();
    let (mut when, mut pipeline, mut simple) = (When::Always, Vec::new(), Simple::default());
    let mut tokens = tokens(script)?.into_iter().chain([Token::Sign("\n")]).peekable();
    let unexpected = |sign: &str| format!("syntax error: unexpected {sign:?}");
    while let Some(token) = tokens.next() {
        let sign = match token {
            Token::Word(word) => {
                match assignment(&word).filter(|_| simple.words.is_empty()) {
                    Some(assignment) => simple.assignments.push(assignment),
                    None => simple.words.push(word),
                }
                continue;
            }
            Token::Sign(sign) => sign,
        };
        match sign {
            "2>&1" => simple.redirections.push(Redirection::ErrorToOutput),
            // Only for `echo … >&2`, whose words nobody reads again.
            ">&2" => simple.redirections.push(Redirection::To {
                file: vec![Part::Text("/dev/stderr".to_owned())],
                append: true,
                error: false,
            }),
            "<" | ">" | ">>" | "2>" => match tokens.next() {
                Some(Token::Word(file)) if sign == "<" => simple.redirections.push(Redirection::From(file)),
                Some(Token::Word(file)) => {
                    simple.redirections.push(Redirection::To { file, append: sign == ">>", error: sign == "2>" });
                }
                _ => return Err(unexpected(sign)),
            },
            _ => {
                let empty = simple == Simple::default();
                if !empty {
                    pipeline.push(std::mem::take(&mut simple));
                } else if !matches!(sign, ";" | "\n") || !pipeline.is_empty() {
                    return Err(unexpected(sign));
                }
                if sign == "|" {
                    continue;
                }
                if !pipeline.is_empty() {
                    pipelines.push((when, std::mem::take(&mut pipeline)));
                }
                when = match sign {
                    "&&" => When::Succeeded,
                    "||" => When::Failed,
                    _ => When::Always,
                };
            }
        }
    }
    Ok(pipelines)
}

fn assignment(word: &Word) -> Option<(String, Word)> {
    let Part::Text(first) = word.first()? else { return None };
    let (name, value) = first.split_once('=')?;
    let valid = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    let rest = [Part::Text(value.to_owned())].into_iter().chain(word.iter().skip(1).cloned()).collect();
    valid.then(|| (name.to_owned(), rest))
}

fn tokens(script: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = script;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r']);
        if rest.starts_with('#') {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        }
        if rest.is_empty() {
            return Ok(tokens);
        }
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let (word, after) = word(rest)?;
            tokens.push(Token::Word(word));
            rest = after;
        }
    }
}

/// The word at the beginning, and what follows it.
fn word(text: &str) -> Result<(Word, &str), String> {
    let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
    let mut quoted = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '\'' if !quoted => {
                let end = after.find('\'').ok_or("syntax error: unterminated quoted string")?;
                plain.push_str(&after[..end]);
                rest = &after[end + 1..];
            }
            '"' => {
                quoted = !quoted;
                rest = after;
            }
            '\\' => {
                let next = after.chars().next().unwrap_or('\\');
                if quoted && !"\"\\$`".contains(next) {
                    plain.push('\\');
                }
                plain.push(next);
                rest = after.get(next.len_utf8()..).unwrap_or_default();
            }
            '$' => {
                let (name, after) = variable(after);
                rest = after;
                match name {
                    Some(name) => {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                        parts.push(Part::Variable(name.to_owned()));
                    }
                    None => plain.push('$'),
                }
            }
            c if !quoted && " \t\r\n;|&<>".contains(c) => break,
            c => {
                plain.push(c);
                rest = after;
            }
        }
    }
    if quoted {
        return Err("syntax error: unterminated quoted string".to_owned());
    }
    // A sign alone that means nothing here, such as `&`.
    if rest.len() == text.len() {
        return Err(format!("syntax error: unexpected {:?}", rest.chars().next().unwrap_or_default().to_string()));
    }
    parts.push(Part::Text(plain));
    parts.retain(|part| *part != Part::Text(String::new()));
    if parts.is_empty() {
        parts.push(Part::Text(String::new()));
    }
    Ok((parts, rest))
}

/// The variable's name after a `$`, and what follows it.
fn variable(text: &str) -> (Option<&str>, &str) {
    if let Some(inner) = text.strip_prefix('{')
        && let Some((name, rest)) = inner.split_once('}')
    {
        return (Some(name), rest);
    }
    if let Some(rest) = text.strip_prefix('?') {
        return (Some("?"), rest);
    }
    let end = text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    if end == 0 { (None, text) } else { (Some(&text[..end]), &text[end..]) }
}
