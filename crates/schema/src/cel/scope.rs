//! Names of fields that are no identifiers are written in rules in an escaped form.

/// Words that CEL keeps for itself.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name of the field that a rule writes as `name`; `None` when no field can be written so.
pub(crate) fn unescape(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return None;
    }
    if !name.contains("__") {
        return Some(name.to_owned());
    }
    if let Some(word) = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"))
        && RESERVED.contains(&word)
    {
        return Some(word.to_owned());
    }
    let mut out = String::new();
    let mut rest = name;
    while let Some(at) = rest.find("__") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (escape, character) = [("__underscores__", "__"), ("__dot__", "."), ("__dash__", "-"), ("__slash__", "/")]
            .into_iter()
            .find(|(escape, _)| rest.starts_with(escape))?;
        out.push_str(character);
        rest = &rest[escape.len()..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_stand_for_fields() {
        let table = [
            ("a", Some("a")),
            ("a__dash__b", Some("a-b")),
            ("a__dot__b__slash__c", Some("a.b/c")),
            ("__namespace__", Some("namespace")),
            ("namespace", None),
            ("a__underscores__b", Some("a__b")),
            ("a__b", None),
        ];
        for (name, field) in table {
            assert_eq!(unescape(name).as_deref(), field, "{name}");
        }
    }
}
