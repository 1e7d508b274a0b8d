//! The path to the field that a rule blames: `.spec.name` or `.labels['a/b']`.

use crate::node::Node;

/// The path as errors show it, without a dot in front; `None` when it leads nowhere in the schema.
pub(crate) fn resolve(path: &str, node: &Node) -> Option<String> {
    let mut shown = String::new();
    let mut place = node;
    let mut rest = path;
    while !rest.is_empty() {
        let name;
        (name, rest) = step(rest)?;
        if let Some(field) = place.properties.get(&name) {
            if !shown.is_empty() {
                shown.push('.');
            }
            shown.push_str(&name);
            place = field;
        } else if place.properties.is_empty() {
            shown.push_str(&format!("[{name}]"));
            place = place.additional.node()?;
        } else {
            return None;
        }
    }
    Some(shown).filter(|shown| !shown.is_empty())
}

/// The name of the first step, and what follows it.
fn step(path: &str) -> Option<(String, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    }
    let mut name = String::new();
    let mut characters = path.strip_prefix("['")?.char_indices();
    let text = &path[2..];
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' => return text.get(at + 1..)?.strip_prefix(']').map(|rest| (name, rest)),
            '\\' => name.push(match characters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '\'' => '\'',
                '\\' => '\\',
                _ => return None,
            }),
            character => name.push(character),
        }
    }
    None
}
