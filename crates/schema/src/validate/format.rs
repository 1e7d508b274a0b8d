//! The formats of texts. A format that is not known here restricts nothing, as in Kubernetes.

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use crate::node::Kind;

type Check = fn(&str) -> bool;

/// Dashes do not count in the names of formats: `date-time` and `datetime` are the same.
const FORMATS: [(&str, Check); 27] = [
    ("bsonobjectid", |text| text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())),
    ("byte", is_base64),
    ("cidr", is_cidr),
    ("creditcard", is_credit_card),
    ("date", is_date),
    ("datetime", is_date_time),
    ("duration", is_duration),
    ("email", is_email),
    ("hexcolor", |text| {
        let digits = text.strip_prefix('#').unwrap_or(text);
        matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    }),
    ("hostname", is_hostname),
    ("ipv4", |text| is_address(text) && text.contains('.')),
    ("ipv6", |text| is_address(text) && text.contains(':')),
    ("isbn", |text| is_isbn10(text) || is_isbn13(text)),
    ("isbn10", is_isbn10),
    ("isbn13", is_isbn13),
    ("k8slongname", |text| keelson_types::names::dns1123_subdomain(text).is_empty()),
    ("k8sshortname", |text| keelson_types::names::dns1123_label(text).is_empty()),
    ("mac", is_mac),
    ("password", |_| true),
    ("rgbcolor", |text| RGB.is_match(text)),
    ("ssn", |text| SSN.is_match(text)),
    ("uri", is_uri),
    ("uuid", |text| UUID.is_match(text)),
    ("uuid3", |text| UUID.is_match(text) && version(text) == Some('3')),
    ("uuid4", |text| UUID.is_match(text) && version(text) == Some('4') && has_variant(text)),
    ("uuid5", |text| UUID.is_match(text) && version(text) == Some('5') && has_variant(text)),
    ("", |_| true),
];

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($text).expect("a pattern of ours, which a test compiles"));
    };
}
pattern!(UUID, "(?i)^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$");
pattern!(SSN, "^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$");
pattern!(RGB, {
    r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*(,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*){2}\)$"
});
pattern!(DATE_TIME, {
    r"^[0-9]{4}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
});
pattern!(HOSTNAME, {
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\p{S}\p{L}-]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
});
pattern!(CREDIT_CARD, {
    r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9]{2})[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$"
});
pattern!(DURATION_PART, r"([0-9]+)\s*([A-Za-zµ]+)");
pattern!(GO_DURATION, r"^[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$");

/// Whether `text` is of `format`, at a place of type `kind`.
pub(crate) fn fits(format: &str, kind: Option<Kind>, text: &str) -> bool {
    if format.is_empty() || !matches!(kind, None | Some(Kind::String)) {
        return true;
    }
    check(format).is_none_or(|check| check(text))
}

/// Whether a format restricts the values of a type.
pub(crate) fn restricts(format: &str, kind: Option<Kind>) -> bool {
    match kind {
        None | Some(Kind::String) => !format.is_empty() && check(format).is_some(),
        Some(Kind::Integer) => matches!(format, "int32" | "int64"),
        Some(Kind::Number) => matches!(format, "float" | "double"),
        Some(Kind::Object | Kind::Array | Kind::Boolean) => false,
    }
}

/// The check of a format that restricts texts.
fn check(format: &str) -> Option<Check> {
    let format = format.replace('-', "");
    FORMATS.iter().find(|(name, _)| *name == format).map(|(_, check)| *check)
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// An address, with zeros in front of the numbers of the fourth version, as old clients write them.
pub(crate) fn is_address(text: &str) -> bool {
    parse_address(text).is_some()
}

fn parse_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        return text.parse().ok();
    }
    let numbers: Vec<&str> = text.split('.').collect();
    let plain = |number: &&str| match number.trim_start_matches('0') {
        "" if !number.is_empty() => "0".to_owned(),
        rest => rest.to_owned(),
    };
    numbers.iter().map(plain).collect::<Vec<_>>().join(".").parse().ok()
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        let bits = match parse_address(address) {
            Some(address) if address.is_ipv4() => 32,
            Some(_) => 128,
            None => return false,
        };
        length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u8>().is_ok_and(|length| length <= bits)
    })
}

pub(crate) fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

pub(crate) fn is_date_time(text: &str) -> bool {
    DATE_TIME.is_match(text) && text.get(..10).is_some_and(is_date)
}

pub(crate) fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 13] = ["ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk", "μs", "min"];
    const PREFIXES: [&str; 8] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];
    GO_DURATION.is_match(text)
        || DURATION_PART.captures_iter(text).any(|part| {
            let unit = part[2].to_lowercase();
            UNITS.contains(&unit.as_str()) || PREFIXES.iter().any(|prefix| unit.starts_with(prefix))
        })
}

/// The counts of a duration with their units in lower case.
pub(crate) fn duration_parts(text: &str) -> Vec<(u64, String)> {
    DURATION_PART.captures_iter(text).filter_map(|part| Some((part[1].parse().ok()?, part[2].to_lowercase()))).collect()
}

fn is_email(text: &str) -> bool {
    // `Name <mail@host>` is an address too.
    let address = match text.trim_end().strip_suffix('>') {
        Some(rest) => match rest.rsplit_once('<') {
            Some((_, address)) => address,
            None => return false,
        },
        None => text.trim(),
    };
    let atom = |text: &str| {
        !text.is_empty()
            && text.split('.').all(|part| {
                !part.is_empty()
                    && part
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c))
            })
    };
    address.rsplit_once('@').is_some_and(|(local, host)| {
        let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
        (quoted || atom(local)) && (atom(host) || (host.starts_with('[') && host.ends_with(']')))
    })
}

fn is_hostname(text: &str) -> bool {
    text.len() <= 255 && text.split('.').all(|label| label.len() <= 63) && HOSTNAME.is_match(text)
}

fn is_uri(text: &str) -> bool {
    crate::url::parse(text).is_some()
}

fn is_mac(text: &str) -> bool {
    let pairs = |separator: char| {
        let parts: Vec<&str> = text.split(separator).collect();
        matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|part| is_hex(part, 2))
    };
    let quads: Vec<&str> = text.split('.').collect();
    pairs(':') || pairs('-') || (matches!(quads.len(), 3 | 4 | 10) && quads.iter().all(|part| is_hex(part, 4)))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|character| character.to_digit(10)).collect()
}

fn is_isbn10(text: &str) -> bool {
    let text = text.replace([' ', '-'], "");
    let Some((front, last)) = text.split_at_checked(9) else { return false };
    let last = match last {
        "X" => 10,
        last if last.len() == 1 => match last.parse::<u32>() {
            Ok(last) => last,
            Err(_) => return false,
        },
        _ => return false,
    };
    let front = digits(front);
    let sum: u32 = (1..).zip(&front).map(|(place, digit)| place * digit).sum();
    front.len() == 9 && (sum + 10 * last).is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let text = text.replace([' ', '-'], "");
    let digits = digits(&text);
    let sum: u32 =
        digits.iter().enumerate().map(|(place, digit)| if place % 2 == 0 { *digit } else { 3 * digit }).sum();
    text.len() == 13 && digits.len() == 13 && sum.is_multiple_of(10)
}

fn is_credit_card(text: &str) -> bool {
    let number: String = text.chars().filter(char::is_ascii_digit).collect();
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let from_the_right = digits(&number).into_iter().rev().enumerate();
    let sum: u32 = from_the_right.map(|(place, digit)| if place % 2 == 0 { digit } else { doubled(digit) }).sum();
    CREDIT_CARD.is_match(&number) && sum.is_multiple_of(10)
}

fn version(text: &str) -> Option<char> {
    text.chars().filter(|character| *character != '-').nth(12)
}

fn has_variant(text: &str) -> bool {
    let variant = text.chars().filter(|character| *character != '-').nth(16);
    variant.is_some_and(|character| "89abAB".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_and_refuse() {
        let table: [(&str, &[&str], &[&str]); 20] = [
            (
                "date-time",
                &["2014-12-15T19:30:20.000Z", "2014-12-15t19:30:20+01:00"],
                &["2014-12-15", "2014-13-15T19:30:20Z"],
            ),
            ("date", &["2006-01-02"], &["2006-1-2", "2006-02-30", "x"]),
            ("byte", &["aGVsbG8=", "YWJj"], &["", "a", "aGVsbG8", "a_b="]),
            ("uuid", &["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "F81D4FAE7DEC11D0A76500A0C91E6BF6"], &["f81d4fae", ""]),
            ("uuid4", &["9b2a6a0e-6b3a-4f0e-8b1c-1c2d3e4f5a6b"], &["9b2a6a0e-6b3a-1f0e-8b1c-1c2d3e4f5a6b"]),
            ("ipv4", &["10.0.0.1", "010.000.000.001"], &["10.0.0", "256.1.1.1", "::1"]),
            ("ipv6", &["::1", "2001:db8::1"], &["10.0.0.1", "::g"]),
            ("cidr", &["10.0.0.0/8", "2001:db8::/64"], &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8"]),
            ("hostname", &["example.com", "a", "1a.example.com"], &["-a", "a_b", "a..b"]),
            ("uri", &["http://example.com/a?b#c", "/path", "urn:a:b"], &["", "example.com", "http://[::1"]),
            ("email", &["a@example.com", "A B <a@b.c>"], &["a", "a@", "@b", "a b@c"]),
            ("duration", &["22 ns", "1h30m", "-1.5s", "3 weeks", "0"], &["", "5", "1 fortnight"]),
            ("mac", &["01:23:45:67:89:ab", "0123.4567.89ab"], &["01:23", "01:23:45:67:89:zz"]),
            ("isbn", &["0321751043", "978-0321751041"], &["0321751044", "9780321751042"]),
            ("creditcard", &["4111 1111 1111 1111"], &["4111 1111 1111 1112"]),
            ("ssn", &["123-45-6789"], &["123-45-678"]),
            ("hexcolor", &["#FFFFFF", "abc"], &["#ffff"]),
            ("rgbcolor", &["rgb(255,0, 10)"], &["rgb(256,0,0)"]),
            ("password", &["anything"], &[]),
            ("k8s-short-name", &["a-b"], &["a.b", "A"]),
        ];
        for (format, good, bad) in table {
            for text in good {
                assert!(fits(format, Some(Kind::String), text), "{text:?} is of {format}");
            }
            for text in bad {
                assert!(!fits(format, Some(Kind::String), text), "{text:?} is not of {format}");
            }
        }
        assert!(fits("unheard", Some(Kind::String), "x") && fits("date", Some(Kind::Integer), "x"));
    }
}
