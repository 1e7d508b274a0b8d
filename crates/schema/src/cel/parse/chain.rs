//! How long the chains of members in an expression are, before it is parsed: the parser copies what is to the left of a member
//! once for each, so that a long chain takes it time by the square of its length.

/// The most members, calls and indexes that follow each other, such as 3 in `self.a.b[0] + self.c`; brackets within one another
/// count as well. A text that is no expression has some number, too.
pub(super) fn longest(text: &str) -> usize {
    let mut longest = 0;
    // Of each bracket that is open, the outermost first.
    let mut open: Vec<usize> = Vec::new();
    let mut here = 0_usize;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '"' | '\'' => literal(rest, is_raw(text, rest)),
            '/' if after.starts_with('/') => {
                rest = after.find('\n').map_or("", |end| &after[end..]);
                continue;
            }
            _ => after,
        };
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
    longest
}

/// What follows a text, which begins with a quote.
fn literal(text: &str, raw: bool) -> &str {
    // Quotes are one byte long.
    let single = &text[..1];
    let triple = single.repeat(3);
    let end = if text.starts_with(&triple) { triple.as_str() } else { single };
    let mut rest = &text[end.len()..];
    while let Some(character) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(end) {
            return after;
        }
        rest = &rest[character.len_utf8()..];
        if character == '\\' && !raw {
            rest = rest.chars().next().map_or("", |escaped| &rest[escaped.len_utf8()..]);
        }
    }
    ""
}

/// Whether a text that begins where `rest` does is one in which a backslash stands for itself.
fn is_raw(text: &str, rest: &str) -> bool {
    let before = &text.as_bytes()[..text.len() - rest.len()];
    let letters = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
    let prefix: Vec<u8> = letters.copied().collect();
    prefix.len() <= 2 && prefix.iter().any(|byte| matches!(byte, b'r' | b'R'))
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
            ("')", 0),
            (")]}", 0),
        ] {
            assert_eq!(longest(text), expected, "{text}");
        }
        assert_eq!(longest(&format!("self{}", ".a()".repeat(2000))), 2000);
    }
}
