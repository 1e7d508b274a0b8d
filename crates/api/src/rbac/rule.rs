//! One rule of a role, and what it allows.

use serde_json::{Value, json};

use super::Action;

const ALL: &str = "*";
/// How many missing permissions are told.
const MISSING_MAX: usize = 20;
/// How many permissions are looked through for one role: far more than there are verbs, kinds and a few names for each, and
/// still done within milliseconds.
pub const PERMISSIONS_MAX: usize = 100_000;

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

    /// Whether everything that `other` allows, this rule allows too. One that says no may still, together with others.
    fn covers(&self, other: &Rule) -> bool {
        let covered = |own: &[String], others: &[String]| others.iter().all(|other| has(own, other));
        let resources = other.resources.iter().all(|other| self.reaches(other));
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

    /// Whether a resource, as rules write it, is among those of this rule.
    fn reaches(&self, wanted: &str) -> bool {
        self.resources.iter().any(|own| match wanted.split_once('/') {
            Some((resource, subresource)) => names(own, resource, subresource),
            None => own == ALL || own == wanted,
        })
    }

    /// Of how many single permissions the rule is made, each with one verb, group, resource, name and path.
    fn permissions(&self) -> usize {
        let objects = self.groups.len().saturating_mul(self.resources.len()).saturating_mul(self.names.len().max(1));
        self.verbs.len().saturating_mul(self.paths.len().saturating_add(objects))
    }

    /// Adds the rule's single permissions that no rule in `held` allows, until there are `max`.
    ///
    /// Nothing is made but what is added, and what can still cover is narrowed by verb, group and resource: a rule of a few
    /// long lists stands for millions of permissions.
    fn missing_from(&self, held: &[Rule], max: usize, missing: &mut Vec<Rule>) {
        for verb in &self.verbs {
            let held: Vec<&Rule> = held.iter().filter(|own| has(&own.verbs, verb)).collect();
            let verbs = || vec![verb.clone()];
            for path in &self.paths {
                if missing.len() == max {
                    return;
                }
                if !held.iter().any(|own| own.paths.iter().any(|own| leads(own, path))) {
                    missing.push(Rule { verbs: verbs(), paths: vec![path.clone()], ..Rule::default() });
                }
            }
            for group in &self.groups {
                let in_group = |own: &&&Rule| own.paths.is_empty() && has(&own.groups, group);
                let held: Vec<&Rule> = held.iter().filter(in_group).copied().collect();
                for resource in &self.resources {
                    let held: Vec<&Rule> = held.iter().filter(|own| own.reaches(resource)).copied().collect();
                    if held.iter().any(|own| own.names.is_empty()) {
                        continue;
                    }
                    let of = |names: Vec<String>| Rule {
                        verbs: verbs(),
                        groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        names,
                        paths: Vec::new(),
                    };
                    let own = self.names.iter().filter(|name| !held.iter().any(|own| own.names.contains(name)));
                    let own = own.map(|name| of(vec![name.clone()]));
                    let all = self.names.is_empty().then(|| of(Vec::new()));
                    missing.extend(own.chain(all).take(max - missing.len()));
                    if missing.len() == max {
                        return;
                    }
                }
            }
        }
    }
}

/// More single permissions than one role may ask to be looked through, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// What of `wanted` no rule in `held` allows: the first of it, [`MISSING_MAX`] permissions at most.
///
/// # Errors
/// When what no single rule covers comes to more than [`PERMISSIONS_MAX`].
pub fn missing(held: &[Rule], wanted: &[Rule]) -> Result<Vec<Rule>, TooMany> {
    let open: Vec<&Rule> = wanted.iter().filter(|rule| !held.iter().any(|own| own.covers(rule))).collect();
    let permissions = open.iter().fold(0_usize, |sum, rule| sum.saturating_add(rule.permissions()));
    if permissions > PERMISSIONS_MAX {
        return Err(TooMany);
    }
    let mut missing = Vec::new();
    for rule in open {
        rule.missing_from(held, MISSING_MAX, &mut missing);
    }
    Ok(missing)
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
