//! What is wrong with a value's type, in the words of JSON rather than of Rust.

/// What serde says of a value, for somebody who wrote JSON: `must be an integer, not string "3"`.
pub(super) fn plain(said: &str) -> String {
    let parts = said.strip_prefix("invalid type: ").or_else(|| said.strip_prefix("invalid value: "));
    // What was found may be a text with these words in it; what was expected is never.
    match parts.and_then(|parts| parts.rsplit_once(", expected ")) {
        Some((found, expected)) => format!("must be {}, not {}", wanted(expected), met(found)),
        None => said.to_owned(),
    }
}

fn wanted(expected: &str) -> String {
    match expected {
        "i8" | "i16" | "i32" | "u8" | "u16" | "u32" => "a 32-bit integer".to_owned(),
        "i64" | "u64" => "an integer".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        // The type of an object goes by its name.
        name if name.starts_with(|first: char| first.is_ascii_uppercase()) => format!("an object ({name})"),
        name => name.strip_prefix("struct ").map_or_else(|| name.to_owned(), |name| format!("an object ({name})")),
    }
}

fn met(found: &str) -> String {
    match found {
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        found => {
            let kinds = [
                ("integer ", "the number "),
                ("floating point ", "the number "),
                ("boolean ", ""),
                ("string ", "the text "),
            ];
            let named = kinds.iter().find_map(|(kind, word)| Some(format!("{word}{}", found.strip_prefix(kind)?)));
            named.map_or_else(|| found.to_owned(), |named| named.replace('`', ""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_in_words_of_json() {
        for (said, plainly) in [
            ("invalid type: string \"3\", expected i32", "must be a 32-bit integer, not the text \"3\""),
            ("invalid type: integer `5`, expected a string", "must be a string, not the number 5"),
            ("invalid type: boolean `true`, expected a sequence", "must be a list, not true"),
            ("invalid type: map, expected a sequence", "must be a list, not an object"),
            ("invalid type: sequence, expected PodSpec", "must be an object (PodSpec), not a list"),
            ("invalid type: string \", expected a\", expected f64", "must be a number, not the text \", expected a\""),
            (
                "invalid value: integer `3000000000`, expected i32",
                "must be a 32-bit integer, not the number 3000000000",
            ),
            ("premature end of input", "premature end of input"),
        ] {
            assert_eq!(plain(said), plainly);
        }
    }
}
