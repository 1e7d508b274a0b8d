//! What a command is about: kinds and names, as people type them.

use std::collections::HashMap;

use keelson_types::{Kind, registry};

use crate::context::Context;
use crate::{Error, kinds};

/// Objects of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub kind: &'static Kind,
    /// Empty means all of the kind, or those that a selector chooses.
    pub names: Vec<String>,
}

/// Reads `pods`, `pods,svc`, `all`, `pod a b`, and `pod/a deploy/b`. Words that keelctl does not know, and categories, are asked
/// the API for: users define kinds of their own.
pub(crate) async fn parse(arguments: &[String], context: &mut Context) -> Result<Vec<Target>, Error> {
    let mut custom = Custom::new();
    for word in words(arguments) {
        if !custom.contains_key(word) && (!category(word).is_empty() || registry::by_name(word).is_none()) {
            // In the version that each prefers, which comes first.
            let mut found: Vec<&'static Kind> = Vec::new();
            let asked = match kinds::custom(context, word).await {
                // What is wrong is the word, then, or so it seems while nobody can be asked.
                Err(Error::Unconfigured { .. }) => Vec::new(),
                Err(_) if registry::by_name(word).is_none() && !near(word).is_empty() => Vec::new(),
                asked => asked?,
            };
            for kind in asked {
                if !found.iter().any(|other| (other.group, other.plural) == (kind.group, kind.plural)) {
                    found.push(kind);
                }
            }
            custom.insert(word.to_owned(), found);
        }
    }
    read(arguments, &custom)
}

/// Kinds that users define, by the words that mean them.
type Custom = HashMap<String, Vec<&'static Kind>>;

/// The words for kinds among the arguments.
fn words(arguments: &[String]) -> Vec<&str> {
    if arguments.iter().any(|argument| argument.contains('/')) {
        return arguments.iter().filter_map(|argument| Some(argument.split_once('/')?.0)).collect();
    }
    arguments.first().into_iter().flat_map(|first| first.split(',')).filter(|word| !word.is_empty()).collect()
}

fn read(arguments: &[String], custom: &Custom) -> Result<Vec<Target>, Error> {
    let Some((first, names)) = arguments.split_first() else {
        return Err(Error::Usage("say which kind of resource is meant, such as pods".to_owned()));
    };
    if arguments.iter().any(|argument| argument.contains('/')) {
        return pairs(arguments, custom);
    }
    let mut targets: Vec<Target> = Vec::new();
    for name in first.split(',').filter(|name| !name.is_empty()) {
        for kind in meant(name, custom)? {
            if !targets.iter().any(|target| std::ptr::eq(target.kind, kind)) {
                targets.push(Target { kind, names: names.to_vec() });
            }
        }
    }
    if targets.is_empty() {
        return Err(Error::Usage("say which kind of resource is meant, such as pods".to_owned()));
    }
    Ok(targets)
}

/// Reads arguments that name exactly one object: `pod a` or `pod/a`.
pub(crate) async fn parse_one(arguments: &[String], context: &mut Context) -> Result<(&'static Kind, String), Error> {
    let targets = parse(arguments, context).await?;
    match targets.as_slice() {
        [Target { kind, names }] => match names.as_slice() {
            [name] => Ok((kind, name.clone())),
            _ => Err(Error::Usage(format!("name one {}: {}/NAME", kind.singular, kind.singular))),
        },
        _ => Err(Error::Usage("name one object, such as deployment/web".to_owned())),
    }
}

/// `pod/a deploy/b`; names of one kind that follow each other are put together.
fn pairs(arguments: &[String], custom: &Custom) -> Result<Vec<Target>, Error> {
    let mut targets: Vec<Target> = Vec::new();
    for argument in arguments {
        let (kind, name) = match argument.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => (kind, name),
            _ => {
                let message = format!("{argument:?} is not KIND/NAME; either all arguments are, or none is");
                return Err(Error::Usage(message));
            }
        };
        let kind = match custom.get(kind).and_then(|found| found.first()) {
            Some(found) => *found,
            None => by_name(kind)?,
        };
        match targets.last_mut() {
            Some(last) if std::ptr::eq(last.kind, kind) => last.names.push(name.to_owned()),
            _ => targets.push(Target { kind, names: vec![name.to_owned()] }),
        }
    }
    Ok(targets)
}

/// The kinds that a word means: one, or all of a category.
fn meant(word: &str, custom: &Custom) -> Result<Vec<&'static Kind>, Error> {
    let mut found = category(word);
    found.extend(custom.get(word).into_iter().flatten());
    if found.is_empty() { Ok(vec![by_name(word)?]) } else { Ok(found) }
}

fn category(word: &str) -> Vec<&'static Kind> {
    registry::stored().filter(|kind| kind.categories.contains(&word)).collect()
}

/// The program's kind with this name, or an error with near names.
pub(crate) fn by_name(name: &str) -> Result<&'static Kind, Error> {
    registry::by_name(name).ok_or_else(|| Error::UnknownKind { name: name.to_owned(), suggestions: near(name) })
}

/// How the outcome of an operation names an object: `pod/a`, `deployment.apps/web`.
pub(crate) fn display(kind: &Kind, name: &str) -> String {
    if kind.group.is_empty() {
        format!("{}/{name}", kind.singular)
    } else {
        format!("{}.{}/{name}", kind.singular, kind.group)
    }
}

/// At most three names that differ from `name` in few letters.
fn near(name: &str) -> Vec<String> {
    let name = name.to_ascii_lowercase();
    let limit = (name.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = registry::all()
        .iter()
        .filter_map(|kind| {
            // What is measured has the plural of what it is measured of.
            let meant = if kind.is_observed() { kind.singular } else { kind.plural };
            let names = [meant, kind.singular].into_iter().chain(kind.short_names.iter().copied());
            let distance = names.map(|candidate| distance(&name, candidate)).min()?;
            (distance <= limit).then_some((distance, meant))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, meant)| meant.to_owned()).collect()
}

/// How many letters to insert, delete, replace or swap with the next (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut current = vec![i];
        for j in 1..=right.len() {
            let replaced = previous[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(previous[j] + 1).min(current[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<String, String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let targets = super::read(&arguments, &Custom::new()).map_err(|error| error.to_string())?;
        let shown: Vec<String> =
            targets.iter().map(|target| format!("{}[{}]", target.kind.plural, target.names.join(" "))).collect();
        Ok(shown.join(" "))
    }

    #[test]
    fn every_form_is_understood() {
        for (arguments, expected) in [
            (&["pods"][..], "pods[]"),
            (&["po,svc,pod"], "pods[] services[]"),
            (&["deploy", "a", "b"], "deployments[a b]"),
            (&["pod/a", "pods/b", "deploy/c"], "pods[a b] deployments[c]"),
        ] {
            assert_eq!(read(arguments).as_deref(), Ok(expected));
        }
        assert!(read(&["all"]).expect("it is a category").contains("deployments[]"));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        assert!(read(&[]).expect_err("nothing").contains("which kind"));
        assert!(read(&["pod/a", "b"]).expect_err("mixed").contains("\"b\" is not KIND/NAME"));
        let error = read(&["pdos"]).expect_err("a typing error");
        assert!(error.ends_with("did you mean pods?"), "{error}");
        let error = read(&["podmetric"]).expect_err("another");
        assert!(error.contains("did you mean podmetrics"), "{error}");
        assert_eq!(
            read(&["elephants"]).expect_err("nothing near"),
            "there is no kind of resource called \"elephants\""
        );
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("pods", "pods"), 0);
        assert_eq!(distance("pdos", "pods"), 1);
        assert_eq!(distance("", "pods"), 4);
        assert_eq!(distance("deployemnt", "deployment"), 1);
    }
}
