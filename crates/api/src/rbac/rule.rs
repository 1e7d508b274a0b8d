//! One rule of a role, and what it allows.

use serde_json::{Value, json};

use super::Action;

const ALL: &str = "*";

/// As a role has it, but for the order of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale`, `*`
    pub resources: Vec<String>,
    /// Empty for all.
    pub names: Vec<String>,
    /// `/healthz`, `/metrics/*`
    pub paths: Vec<String>,
}

impl Rule {
    /// Of a role's `rules`.
    pub fn all_of(rules: &Value) -> Vec<Rule> {
        rules.as_array().into_iter().flatten().map(Rule::of).collect()
    }

    fn of(rule: &Value) -> Rule {
        let texts = |field: &str| -> Vec<String> {
            rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Rule {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            paths: texts("nonResourceURLs"),
        }
    }

    /// As a role has it.
    pub fn to_value(&self) -> Value {
        let mut value = json!({ "verbs": self.verbs });
        for (field, texts) in [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.paths),
        ] {
            if !texts.is_empty() {
                value[field] = texts.as_slice().into();
            }
        }
        value
    }

    /// The only rule that allows everything takes two: one for objects and one for paths.
    pub fn everything() -> [Rule; 2] {
        let all = || vec![ALL.to_owned()];
        [
            Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() },
            Rule { verbs: all(), paths: all(), ..Rule::default() },
        ]
    }

    pub fn allows(&self, action: &Action<'_>) -> bool {
        match *action {
            Action::Path { verb, path } => has(&self.verbs, verb) && self.paths.iter().any(|own| leads(own, path)),
            Action::Resource { verb, group, resource, subresource, name, .. } => {
                has(&self.verbs, verb)
                    && has(&self.groups, group)
                    && self.resources.iter().any(|own| names(own, resource, subresource))
                    && (self.names.is_empty() || !name.is_empty() && self.names.iter().any(|own| own == name))
            }
        }
    }

    /// Whether everything that `other` allows, this rule allows too. `other` is one of [`Rule::atoms`].
    fn covers_atom(&self, other: &Rule) -> bool {
        let covered = |own: &[String], others: &[String]| others.iter().all(|other| has(own, other));
        let resources = other.resources.iter().all(|other| {
            self.resources.iter().any(|own| match other.split_once('/') {
                Some((resource, subresource)) => names(own, resource, subresource),
                None => own == ALL || own == other,
            })
        });
        let named = self.names.is_empty()
            || !other.names.is_empty() && other.names.iter().all(|name| self.names.contains(name));
        let paths = other.paths.iter().all(|path| self.paths.iter().any(|own| leads(own, path)));
        // A rule about objects does not cover one about paths, and the other way round.
        let alike = self.paths.is_empty() == other.paths.is_empty();
        alike
            && covered(&self.verbs, &other.verbs)
            && covered(&self.groups, &other.groups)
            && resources
            && named
            && paths
    }

    /// The rule as rules with one verb, group, resource, name and path each.
    fn atoms(&self) -> Vec<Rule> {
        let mut atoms = Vec::new();
        for verb in &self.verbs {
            let verbs = vec![verb.clone()];
            for path in &self.paths {
                atoms.push(Rule { verbs: verbs.clone(), paths: vec![path.clone()], ..Rule::default() });
            }
            for group in &self.groups {
                for resource in &self.resources {
                    let atom = Rule {
                        verbs: verbs.clone(),
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..Rule::default()
                    };
                    if self.names.is_empty() {
                        atoms.push(atom);
                        continue;
                    }
                    let named = self.names.iter().map(|name| Rule { names: vec![name.clone()], ..atom.clone() });
                    atoms.extend(named);
                }
            }
        }
        atoms
    }
}

/// What of `wanted` no rule in `held` allows.
pub fn missing(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    wanted.iter().flat_map(Rule::atoms).filter(|atom| !held.iter().any(|own| own.covers_atom(atom))).collect()
}

fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|own| own == ALL || own == word)
}

/// `*/scale` is about the scale of everything, `*` about everything and all that belongs to it.
fn names(own: &str, resource: &str, subresource: &str) -> bool {
    match own.split_once('/') {
        None => own == ALL || subresource.is_empty() && own == resource,
        Some((before, after)) => {
            !subresource.is_empty() && after == subresource && (before == ALL || before == resource)
        }
    }
}

/// `/healthz/*` leads to whatever begins with `/healthz/`.
fn leads(own: &str, path: &str) -> bool {
    own == path || own.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}
