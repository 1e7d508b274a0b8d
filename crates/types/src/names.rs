//! Which names are allowed. Each check returns Kubernetes' complaints; none means the name is good.

const DNS1123_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS1123_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
     '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS1035_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
     alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
     validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
     must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
     validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_MAP_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
     or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_VAR: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";

/// The longest label, such as a pod's container name or a namespace.
pub const LABEL_BYTES_MAX: usize = 63;
/// The longest subdomain, such as a pod's name.
pub const SUBDOMAIN_BYTES_MAX: usize = 253;
/// How long a prefix for generated names may be, so that five random characters still fit into a label.
pub const GENERATED_PREFIX_BYTES_MAX: usize = LABEL_BYTES_MAX - 5;

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn is_lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            is_lower_alphanumeric(*first)
                && is_lower_alphanumeric(*last)
                && bytes.iter().all(|byte| is_lower_alphanumeric(*byte) || *byte == b'-')
        }
        _ => false,
    }
}

/// Names such as those of namespaces and containers.
pub fn dns1123_label(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_BYTES_MAX {
        errors.push(too_long(LABEL_BYTES_MAX));
    }
    if !is_label(name) {
        let subdomain = name.split('.').all(is_label);
        errors.push(if subdomain { "must not contain dots".to_owned() } else { DNS1123_LABEL.to_owned() });
    }
    errors
}

/// Names such as those of pods and most other objects.
pub fn dns1123_subdomain(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > SUBDOMAIN_BYTES_MAX {
        errors.push(too_long(SUBDOMAIN_BYTES_MAX));
    }
    if !name.split('.').all(is_label) {
        errors.push(DNS1123_SUBDOMAIN.to_owned());
    }
    errors
}

/// Names that may be anything that can stand in a path, such as those of roles.
pub fn path_segment(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if matches!(name, "." | "..") {
        errors.push(format!("may not be '{name}'"));
    }
    for strange in ['/', '%'] {
        if name.contains(strange) {
            errors.push(format!("may not contain '{strange}'"));
        }
    }
    errors
}

/// Names of services, which become host names.
pub fn dns1035_label(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > LABEL_BYTES_MAX {
        errors.push(too_long(LABEL_BYTES_MAX));
    }
    if !is_label(name) || !name.as_bytes().first().is_some_and(u8::is_ascii_lowercase) {
        errors.push(DNS1035_LABEL.to_owned());
    }
    errors
}

fn is_qualified_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        }
        _ => false,
    }
}

/// Keys of labels and annotations, resource names, finalizers: a name with an optional domain before a slash.
pub fn qualified_name(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let part = match name.split_once('/') {
        None => name,
        Some((_, rest)) if rest.contains('/') => {
            errors.push(format!(
                "a qualified name {QUALIFIED_NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return errors;
        }
        Some((prefix, part)) => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(dns1123_subdomain(prefix).into_iter().map(|error| format!("prefix part {error}")));
            }
            part
        }
    };
    if part.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if part.len() > LABEL_BYTES_MAX {
        errors.push(format!("name part {}", too_long(LABEL_BYTES_MAX)));
    }
    if !is_qualified_part(part) {
        errors.push(format!("name part {QUALIFIED_NAME}"));
    }
    errors
}

/// Values of labels.
pub fn label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_BYTES_MAX {
        errors.push(too_long(LABEL_BYTES_MAX));
    }
    if !value.is_empty() && !is_qualified_part(value) {
        errors.push(LABEL_VALUE.to_owned());
    }
    errors
}

/// Keys of ConfigMaps and Secrets.
pub fn config_map_key(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if key.len() > SUBDOMAIN_BYTES_MAX {
        errors.push(too_long(SUBDOMAIN_BYTES_MAX));
    }
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        errors.push(CONFIG_MAP_KEY.to_owned());
    }
    if key == "." || key == ".." {
        errors.push(format!("must not be '{key}'"));
    } else if key.starts_with("..") {
        errors.push("must not start with '..'".to_owned());
    }
    errors
}

/// Names of environment variables.
pub fn env_var(name: &str) -> Vec<String> {
    if name.is_empty() || !name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        vec![ENV_VAR.to_owned()]
    } else {
        Vec::new()
    }
}

/// Names of ports: like labels, but short and with a letter in them.
pub fn port_name(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 15 {
        errors.push("must be no more than 15 characters".to_owned());
    }
    if !name.bytes().all(|byte| is_lower_alphanumeric(byte) || byte == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// Kubernetes' alphabet for generated suffixes: no vowels, so no words.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// `prefix` and five random characters, cut so that the name stays a label. Randomness is the caller's: five numbers.
pub fn generated(prefix: &str, random: [u32; 5]) -> String {
    let mut end = prefix.len().min(GENERATED_PREFIX_BYTES_MAX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = prefix[..end].to_owned();
    for number in random {
        name.push(char::from(ALPHABET[number as usize % ALPHABET.len()]));
    }
    name
}

/// A text that is safe in a name, made of a hash: what Deployments put into their ReplicaSets' names.
pub fn safe_encode(text: &str) -> String {
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Texts, fuzz};

    use super::*;

    #[test]
    fn good_names_pass_and_bad_ones_do_not() {
        for name in ["a", "nginx", "my-app-1", "0a"] {
            assert!(dns1123_label(name).is_empty(), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(!dns1123_label(name).is_empty(), "{name}");
        }
        assert!(dns1123_subdomain("a.b-c.d").is_empty());
        assert!(!dns1123_subdomain("a..b").is_empty());
        assert!(!dns1035_label("0a").is_empty());
        assert!(qualified_name("example.com/My_Name.1").is_empty());
        assert!(!qualified_name("/x").is_empty());
        assert!(!qualified_name("a/b/c").is_empty());
        assert!(label_value("").is_empty());
        assert!(!label_value("-x").is_empty());
        assert!(config_map_key("a.B_c-1").is_empty());
        assert!(!config_map_key("..").is_empty());
        assert!(port_name("http-1").is_empty());
        assert!(!port_name("1234").is_empty());
    }

    #[test]
    fn generated_names_stay_labels() {
        let name = generated(&"a".repeat(80), [1, 2, 3, 4, u32::MAX]);
        assert_eq!(name.len(), LABEL_BYTES_MAX);
        assert!(dns1123_label(&name).is_empty());
    }

    #[test]
    fn what_is_a_name_is_one_wherever_less_is_asked() {
        let seeds = ["nginx", "my-app-1", "a", "web-0"];
        fuzz!(Texts::new(&seeds, &["-", ".", "_", "/", "A", "0", "=", "é"]), |name| {
            let is = |check: fn(&str) -> Vec<String>| check(name).is_empty();
            for (strict, loose) in [
                (dns1035_label as fn(&str) -> Vec<String>, dns1123_label as fn(&str) -> Vec<String>),
                (dns1123_label, dns1123_subdomain),
                (dns1123_label, label_value),
                (dns1123_label, qualified_name),
                (dns1123_subdomain, config_map_key),
                (config_map_key, env_var),
            ] {
                assert!(!is(strict) || is(loose), "{name}");
            }
            assert!(!is(dns1123_label) || name.len() <= LABEL_BYTES_MAX);
            assert!(!is(dns1123_subdomain) || name.len() <= SUBDOMAIN_BYTES_MAX);
            assert!(!is(dns1123_label) || is_label(&generated(name, [0, 1, 2, 3, u32::MAX])));
            is(dns1123_label)
        });
    }
}
