//! What a regular expression takes once it is compiled. It is read no further than for that: what is no expression is refused elsewhere.

use std::iter::Peekable;
use std::str::Chars;

/// What a regular expression takes at least, compiled and used by one thread, as was measured.
const BYTES: usize = 16 << 10;
/// What it takes for each character and class of ASCII, repetitions written out.
const NARROW_BYTES: usize = 512;
/// What it takes for a class with characters beyond ASCII, such as any character: a machine for their bytes.
const WIDE_BYTES: usize = 5 << 10;
/// What it may take: the schema's reader compiles none of more than a MiB, which is built for both directions, and used.
const BYTES_MAX: usize = 4 << 20;

/// What is repeated is compiled as often as it may stand there.
pub(super) fn bytes(text: &str) -> usize {
    let mut rest = text.chars().peekable();
    let mut bytes = 0_usize;
    // A parenthesis that is closed and never opened ends nothing.
    while rest.peek().is_some() {
        bytes = bytes.saturating_add(alternatives(&mut rest, 0));
    }
    if ignores_case(text) {
        bytes = bytes.saturating_mul(2);
    }
    bytes.saturating_add(BYTES).min(BYTES_MAX)
}

/// How deep groups are read; the schema's reader compiles none that are deeper than 250.
const DEPTH_MAX: usize = 250;

/// Everything up to the end of a group, which is taken, too.
fn alternatives(rest: &mut Peekable<Chars<'_>>, depth: usize) -> usize {
    let mut bytes = 0_usize;
    let mut last = 0_usize;
    while let Some(character) = rest.next() {
        let atom = match character {
            ')' => return bytes,
            '(' if depth < DEPTH_MAX => alternatives(rest, depth + 1),
            '(' => BYTES_MAX,
            '[' => class(rest),
            '\\' => escape(rest.next()),
            '.' => WIDE_BYTES,
            '{' => {
                // Of what stands before it, one is counted already.
                let more = last.saturating_mul(repetitions(rest).saturating_sub(1));
                last = last.saturating_add(more);
                bytes = bytes.saturating_add(more);
                continue;
            }
            _ => NARROW_BYTES,
        };
        last = atom;
        bytes = bytes.saturating_add(atom);
    }
    bytes
}

/// How often the last may stand there, after the brace that opens; 1 for what counts nothing.
fn repetitions(rest: &mut Peekable<Chars<'_>>) -> usize {
    let mut ahead = rest.clone();
    let counts: String = ahead.by_ref().take_while(|character| *character != '}').take(COUNTS_MAX).collect();
    let most = counts.split(',').filter_map(|count| count.trim().parse::<usize>().ok()).max();
    if most.is_some() {
        *rest = ahead;
    }
    most.unwrap_or(1).max(1)
}

/// Characters between the braces of a repetition.
const COUNTS_MAX: usize = 20;

/// After the bracket that opens.
fn class(rest: &mut Peekable<Chars<'_>>) -> usize {
    let mut bytes = if rest.next_if_eq(&'^').is_some() { WIDE_BYTES } else { NARROW_BYTES };
    let _itself = rest.next_if_eq(&']');
    while let Some(character) = rest.next() {
        match character {
            ']' => break,
            '\\' => bytes = bytes.max(escape(rest.next())),
            // With a name, such as `[:^alpha:]`.
            '[' if rest.peek() == Some(&':') => {
                let negated = rest.by_ref().take_while(|character| *character != ']').any(|character| character == '^');
                bytes = bytes.max(if negated { WIDE_BYTES } else { NARROW_BYTES });
            }
            character if !character.is_ascii() => bytes = bytes.max(WIDE_BYTES),
            _ => {}
        }
    }
    bytes
}

fn escape(escaped: Option<char>) -> usize {
    match escaped {
        Some('D' | 'W' | 'S') => WIDE_BYTES,
        // Classes of all of Unicode are large.
        Some('p' | 'P') => UNICODE_CLASS_BYTES,
        _ => NARROW_BYTES,
    }
}

/// What a class of Unicode's may take.
const UNICODE_CLASS_BYTES: usize = 128 << 10;

fn ignores_case(text: &str) -> bool {
    let mut flags = text.split("(?").skip(1).map(|rest| rest.chars().take_while(char::is_ascii_alphabetic));
    flags.any(|mut flags| flags.any(|flag| flag == 'i'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was measured of regex 1.x: live bytes after an expression was compiled and has looked at a few texts.
    const MEASURED: [(&str, usize); 31] = [
        ("ab", 2610),
        ("^a$", 5376),
        ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", 7430),
        ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", 9654),
        (".", 10_458),
        ("....", 18_450),
        ("[^a][^b]", 14_970),
        ("^.{1,10}$", 29_166),
        ("^.{1,63}$", 118_334),
        ("^.{1,256}$", 531_438),
        ("^.{1,512}$", 962_926),
        ("^[0-9A-Za-z_]{1,63}$", 21_886),
        ("[^/]{1,253}", 622_966),
        ("\\pL", 93_478),
        ("(?i)stra\u{df}e", 23_520),
        ("(?i)abcdefghijklmnop", 17_054),
        ("^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$", 9294),
        ("^((25[0-5]|(2[0-4]|1[0-9]|[1-9]|)[0-9])\\.?){4}$", 13_648),
        ("a|b|c|d|e", 6141),
        ("(a|b|c|d|e){50}", 27_498),
        ("^a{1,1000}$", 204_750),
        ("^(a{1,10}){10}$", 22_704),
        ("x{5,}", 7039),
        ("(.+.+.+)+", 20_276),
        ("[\u{4e00}-\u{9fff}]", 7732),
        ("^(?:[^:@]+:[^:@]+@)?https?://.+$", 14_030),
        ("(?:foo|bar|bazz|qu+x){3}", 16_689),
        ("[[:^alpha:]]", 10_522),
        ("[^\\t\\n\\x0C\\r ]+", 13_654),
        ("(a|.){20}", 97_392),
        ("((.){5}){5}", 113_184),
    ];

    #[test]
    fn an_expression_is_counted_as_what_it_takes() {
        for (text, measured) in MEASURED {
            let counted = bytes(text);
            assert!((measured..=measured.saturating_mul(10).max(BYTES * 2)).contains(&counted), "{text}: {counted}");
        }
    }

    #[test]
    fn whatever_is_written_is_counted_and_bounded() {
        for text in ["", "(", ")", "[", "[^", "[]", "a{", "{2}", "a{x}", "\\", "a)b(", "[[:", "(?", "(?i"] {
            assert!((BYTES..BYTES * 3).contains(&bytes(text)), "{text}");
        }
        assert_eq!(bytes("(a{1,1000}){1000}"), BYTES_MAX);
        assert_eq!(bytes(&"(".repeat(100_000)), BYTES_MAX);
    }
}
