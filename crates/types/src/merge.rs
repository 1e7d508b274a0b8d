//! Strategic merge metadata: which lists merge by which key, as Kubernetes' types declare with `patchStrategy`.

/// What happens to a field that a strategic patch names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A list whose elements merge by `key`; without a key, a set of scalars.
    Merge,
    /// Maps may carry `$retainKeys`: keys not named there are dropped.
    RetainKeys,
    /// A list that merges by `key` and whose elements are [`Strategy::RetainKeys`] maps.
    MergeRetainKeys,
    /// Replaced as a whole, also when it is a map.
    Replace,
}

/// The rule for one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub strategy: Strategy,
    /// The field that identifies an element; `None` for lists of scalars and for maps.
    pub key: Option<&'static str>,
}

/// Rules of the fields under one prefix, so that a pod's rules also serve its template.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Such as `spec.template`; empty for the object itself.
    pub prefix: &'static str,
    pub rules: &'static [(&'static str, Rule)],
}

pub(crate) const fn by(key: &'static str) -> Rule {
    Rule { strategy: Strategy::Merge, key: Some(key) }
}

pub(crate) const fn set() -> Rule {
    Rule { strategy: Strategy::Merge, key: None }
}

pub(crate) const fn replace() -> Rule {
    Rule { strategy: Strategy::Replace, key: None }
}

pub(crate) const fn retain_keys() -> Rule {
    Rule { strategy: Strategy::RetainKeys, key: None }
}

pub(crate) const fn by_retaining(key: &'static str) -> Rule {
    Rule { strategy: Strategy::MergeRetainKeys, key: Some(key) }
}

const METADATA: &[(&str, Rule)] = &[("ownerReferences", by("uid")), ("finalizers", set())];

pub(crate) fn find(path: &str, kind: &[Rules]) -> Option<Rule> {
    let within = |prefix: &str, rules: &[(&str, Rule)]| {
        let rest = if prefix.is_empty() { path } else { path.strip_prefix(prefix)?.strip_prefix('.')? };
        rules.iter().find(|(name, _)| *name == rest).map(|(_, rule)| *rule)
    };
    within("metadata", METADATA)
        .or_else(|| within("spec.template.metadata", METADATA))
        .or_else(|| kind.iter().find_map(|rules| within(rules.prefix, rules.rules)))
}
