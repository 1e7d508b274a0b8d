//! How long the chains of members in an expression are, before it is parsed: the parser copies what is to the left of a member
//! once for each, so that a long chain takes it time by the square of its length.

/// Tokens of two characters.
const PAIRS: [&str; 6] = ["==", "!=", "<=", ">=", "&&", "||"];

/// The most members, calls and indexes that follow each other, such as 3 in `self.a.b[0] + self.c`; brackets within one another
/// count as well.
///
/// # Errors
/// The byte at which something begins that is no token. The lexer would leave it out, and join what stands around it to chains
/// that are not seen here; so this must know tokens exactly as the lexer does.
pub(super) fn longest(text: &str) -> Result<usize, usize> {
    let mut longest = 0;
    // Of each bracket that is open, the outermost first.
    let mut open: Vec<usize> = Vec::new();
    let mut here = 0_usize;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        let at = text.len() - rest.len();
        rest = token(&text[..at], rest, character).ok_or(at)?;
        match character {
            '.' => here += 1,
            '(' | '[' | '{' => {
                // An index is a step of its own; a call is one with its member.
                open.push(here + usize::from(character == '['));
                here = 0;
            }
            ')' | ']' | '}' => here = open.pop().unwrap_or_default(),
            ',' | '&' | '|' | '?' | ':' | '+' | '-' | '*' | '/' | '%' | '<' | '>' | '=' | '!' => here = 0,
            _ => {}
        }
        longest = longest.max(here).max(open.len());
    }
    Ok(longest)
}

/// What follows the token that `text` begins with, or its first character when that is one of a word.
fn token<'t>(before: &str, text: &'t str, first: char) -> Option<&'t str> {
    let after = text.strip_prefix(first)?;
    let pair = PAIRS.iter().find_map(|pair| text.strip_prefix(pair));
    match first {
        '"' | '\'' => literal(text, is_raw(before)?),
        '`' => escaped_name(after),
        '=' | '&' | '|' => pair,
        '<' | '>' | '!' => pair.or(Some(after)),
        '.' | '(' | '[' | '{' | ')' | ']' | '}' | ',' | '?' | ':' | '+' | '-' | '*' | '/' | '%' => Some(after),
        ' ' | '\t' | '\r' | '\n' | '\u{c}' | '_' => Some(after),
        _ => first.is_ascii_alphanumeric().then_some(after),
    }
}

/// What follows a text, which begins with a quote; `None` when it does not end, or has an escape or a line break that it may not
/// have.
fn literal(text: &str, raw: bool) -> Option<&str> {
    // Quotes are one byte long.
    let single = &text[..1];
    let triple = single.repeat(3);
    let (end, lines) = if text.starts_with(&triple) { (triple.as_str(), true) } else { (single, false) };
    let mut rest = &text[end.len()..];
    loop {
        if let Some(after) = rest.strip_prefix(end) {
            return Some(after);
        }
        let character = rest.chars().next()?;
        rest = &rest[character.len_utf8()..];
        match character {
            '\n' | '\r' if !lines => return None,
            '\\' if !raw => rest = escape(rest)?,
            _ => {}
        }
    }
}

/// What follows an escape, which begins after its backslash.
fn escape(text: &str) -> Option<&str> {
    let after = text.get(1..)?;
    let (digits, largest) = match text.as_bytes().first()? {
        b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`' => return Some(after),
        b'0'..=b'3' => (2, b'7'),
        b'x' | b'X' => (2, b'f'),
        b'u' => (4, b'f'),
        b'U' => (8, b'f'),
        _ => return None,
    };
    let is_digit = |byte: u8| byte.is_ascii_hexdigit() && byte.to_ascii_lowercase() <= largest;
    after.bytes().take(digits).all(is_digit).then(|| after.get(digits..)).flatten()
}

/// What follows a name in backticks, after the first of them.
fn escaped_name(text: &str) -> Option<&str> {
    let (name, after) = text.split_once('`')?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/ ".contains(&byte);
    (!name.is_empty() && name.bytes().all(allowed)).then_some(after)
}

/// Whether a backslash stands for itself in the text that begins after `before`; `None` when another word touches it, which is
/// nowhere right, so that nobody need know how the lexer would divide it.
fn is_raw(before: &str) -> Option<bool> {
    let word = before.bytes().rev().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    match &before[before.len() - word..] {
        "" | "b" | "B" => Some(false),
        "r" | "R" | "br" | "bR" | "Br" | "BR" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::longest;

    #[test]
    fn only_what_is_in_one_chain_counts() {
        for (text, expected) in [
            ("", 0),
            ("self", 0),
            ("self.a.b[0] + self.c", 3),
            ("self.a && self.b && self.c.d", 2),
            ("self.all(x, x.a.b.c)", 3),
            ("self.f(self.a.b).g().h()", 3),
            ("'a.b.c.d' + \"\\\".e.f\" + r'\\'.size()", 1),
            ("\"\"\"a.\".b.c\"\"\".d", 1),
            ("self.a // .b.c.d\n.e", 2),
            ("((((1))))", 4),
            (")]}", 0),
            (r#"self.a == '' && self.b != b'\x41.c.d.e' || br'\'.c.d <= "\u00e9\101\?".e"#, 2),
            ("'''a\n'.b.c''' + r\"\"\"\\\"\"\".d.e + ''", 2),
            ("self.`a-b//c`.d // `", 2),
        ] {
            assert_eq!(longest(text), Ok(expected), "{text}");
        }
        assert_eq!(longest(&format!("self{}", ".a()".repeat(2000))), Ok(2000));
    }

    #[test]
    fn what_the_lexer_would_leave_out_hides_no_chain() {
        let chain = ".a".repeat(2000);
        for start in [
            "'",
            "\"",
            "'\n",
            "'\r'",
            "'\n'",
            r"'\q'",
            r"'\'",
            r#""\x4""#,
            r"'\u12g4'",
            r"'\400'",
            r"'\08",
            "'''a'",
            "r'''",
            r"xr'\'",
            r"rb'\'",
            r"0r'\'",
            "`",
            "`a\n`",
            "``",
            "`a'b`",
            "#",
            "\\",
            "é",
            "\u{a0}",
            ";",
            "@",
            "$",
        ] {
            let text = format!("1 + {start} self{chain}");
            let wrong = ['\'', '"', '`', '#', '\\', 'é', '\u{a0}', ';', '@', '$'];
            assert_eq!(longest(&text).err(), text.find(wrong), "{start:?}");
        }
        for between in ["&", "|", "=", "^", "~"] {
            let text = format!("self{}", format!(".a{between}").repeat(2000));
            assert_eq!(longest(&text), Err(6), "{between}");
        }
    }
}
