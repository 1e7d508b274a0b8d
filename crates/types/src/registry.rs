//! Kinds, found by any of their names: those that are part of the program, and with them those that users define.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::kind::Kind;

// `EVERY`: one line for each file in `kinds/` that has a kind; `build.rs` writes it.
include!(concat!(env!("OUT_DIR"), "/every_kind.rs"));

/// The groups in the order in which discovery lists them; others follow by name.
const GROUPS: [&str; 4] = ["", "apps", "batch", "autoscaling"];

static BUILT_IN: LazyLock<Registry> = LazyLock::new(|| Registry::of(EVERY.to_vec()));

/// A set of kinds, which never changes.
#[derive(Debug)]
pub struct Registry {
    kinds: Vec<&'static Kind>,
    /// By group and plural.
    by_resource: HashMap<(&'static str, &'static str), Vec<&'static Kind>>,
}

/// The kinds that are part of the program.
pub fn built_in() -> &'static Registry {
    &BUILT_IN
}

impl Registry {
    fn of(mut kinds: Vec<&'static Kind>) -> Registry {
        kinds.sort_by_key(|kind| {
            // Whatever a user defines, a name that the program has means the program's kind.
            let custom = kind.is_custom();
            let group = GROUPS.iter().position(|group| *group == kind.group).unwrap_or(GROUPS.len());
            // Of the program's kinds, the version that is stored is the one that clients prefer; of users' kinds the most
            // stable and newest one.
            let version = if custom { Priority::of(kind.version) } else { Priority::default() };
            (custom, group, kind.group, kind.view().is_some(), version, kind.version, kind.plural)
        });
        let mut by_resource: HashMap<_, Vec<_>> = HashMap::new();
        for kind in &kinds {
            by_resource.entry((kind.group, kind.plural)).or_default().push(*kind);
        }
        Registry { kinds, by_resource }
    }

    /// The program's kinds and `custom` ones.
    pub fn with(custom: impl IntoIterator<Item = &'static Kind>) -> Registry {
        Registry::of(EVERY.iter().copied().chain(custom).collect())
    }

    /// Every kind there is, in the order in which discovery lists them; of several versions, the preferred one first.
    pub fn all(&self) -> &[&'static Kind] {
        &self.kinds
    }

    /// The kinds of which objects are stored: each object is of one of them. Of a kind that users define, every version is.
    pub fn stored(&self) -> impl Iterator<Item = &'static Kind> {
        self.kinds.iter().copied().filter(|kind| kind.is_stored())
    }

    /// `("apps", "deployments")`, in the preferred version.
    pub fn by_resource(&self, group: &str, plural: &str) -> Option<&'static Kind> {
        self.by_resource.get(&(group, plural))?.first().copied()
    }

    /// `("autoscaling", "v1", "horizontalpodautoscalers")`
    pub fn by_versioned_resource(&self, group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
        self.by_resource.get(&(group, plural))?.iter().copied().find(|kind| kind.version == version)
    }

    /// `("apps", "Deployment")`, in the preferred version.
    pub fn by_kind(&self, group: &str, kind: &str) -> Option<&'static Kind> {
        self.kinds.iter().copied().find(|candidate| candidate.group == group && candidate.kind == kind)
    }

    /// `("autoscaling", "v1", "HorizontalPodAutoscaler")`
    pub fn by_versioned_kind(&self, group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
        self.kinds.iter().copied().find(|other| other.group == group && other.version == version && other.kind == kind)
    }

    /// What people type: `po`, `pods`, `Pod`, `deploy`, `deployments.apps`, `deployments.v1.apps`; case does not matter.
    pub fn by_name(&self, name: &str) -> Option<&'static Kind> {
        let name = name.to_ascii_lowercase();
        let (resource, group) = match name.split_once('.') {
            Some((resource, group)) => (resource, Some(group)),
            None => (name.as_str(), None),
        };
        self.kinds.iter().copied().find(|kind| {
            let named = kind.plural == resource
                || kind.singular == resource
                || kind.short_names.contains(&resource)
                || kind.kind.eq_ignore_ascii_case(resource);
            let grouped = match group {
                None => true,
                Some(group) => {
                    group == kind.group
                        || group.strip_prefix(kind.version).is_some_and(|rest| match rest.strip_prefix('.') {
                            Some(rest) => rest == kind.group,
                            None => rest.is_empty() && kind.group.is_empty(),
                        })
                }
            };
            named && grouped
        })
    }
}

/// How Kubernetes orders versions: stable ones first, then beta, then alpha; each with the highest numbers first. Whatever is no
/// such version comes last, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Priority {
    stage: u8,
    major: std::cmp::Reverse<u64>,
    minor: std::cmp::Reverse<u64>,
}

impl Priority {
    fn of(version: &str) -> Priority {
        let other = Priority { stage: 3, ..Priority::default() };
        let Some(rest) = version.strip_prefix('v') else { return other };
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, rest) = rest.split_at(digits);
        let (stage, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
            _ if rest.is_empty() => (0, "0"),
            (Some(minor), _) => (1, minor),
            (_, Some(minor)) => (2, minor),
            (None, None) => return other,
        };
        match (major.parse(), minor.parse()) {
            (Ok(major), Ok(minor)) => {
                Priority { stage, major: std::cmp::Reverse(major), minor: std::cmp::Reverse(minor) }
            }
            _ => other,
        }
    }
}

/// [`Registry::all`] of the kinds that are part of the program.
pub fn all() -> &'static [&'static Kind] {
    BUILT_IN.all()
}

/// [`Registry::stored`] of the kinds that are part of the program.
pub fn stored() -> impl Iterator<Item = &'static Kind> {
    BUILT_IN.stored()
}

/// [`Registry::by_resource`] of the kinds that are part of the program.
pub fn by_resource(group: &str, plural: &str) -> Option<&'static Kind> {
    BUILT_IN.by_resource(group, plural)
}

/// [`Registry::by_versioned_resource`] of the kinds that are part of the program.
pub fn by_versioned_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    BUILT_IN.by_versioned_resource(group, version, plural)
}

/// [`Registry::by_kind`] of the kinds that are part of the program.
pub fn by_kind(group: &str, kind: &str) -> Option<&'static Kind> {
    BUILT_IN.by_kind(group, kind)
}

/// [`Registry::by_versioned_kind`] of the kinds that are part of the program.
pub fn by_versioned_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    BUILT_IN.by_versioned_kind(group, version, kind)
}

/// [`Registry::by_name`] of the kinds that are part of the program.
pub fn by_name(name: &str) -> Option<&'static Kind> {
    BUILT_IN.by_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_a_person_types_finds_its_kind() {
        for (name, kind) in [
            ("po", "Pod"),
            ("pods", "Pod"),
            ("Pod", "Pod"),
            ("deploy", "Deployment"),
            ("deployments.apps", "Deployment"),
            ("deployments.v1.apps", "Deployment"),
            ("pods.v1", "Pod"),
            ("ns", "Namespace"),
            ("sa", "ServiceAccount"),
            ("sts", "StatefulSet"),
            ("hpa", "HorizontalPodAutoscaler"),
            ("horizontalpodautoscalers.v1.autoscaling", "HorizontalPodAutoscaler"),
            ("events", "Event"),
        ] {
            assert_eq!(by_name(name).map(|found| found.kind), Some(kind), "{name}");
        }
        assert!(by_name("pods.apps").is_none());
        assert!(by_name("things").is_none());
    }

    #[test]
    fn names_are_unambiguous() {
        let is = |one: Option<&'static Kind>, other: &'static Kind| one.is_some_and(|one| std::ptr::eq(one, other));
        for kind in all() {
            assert!(is(by_versioned_resource(kind.group, kind.version, kind.plural), kind), "{kind:?}");
            assert!(is(by_versioned_kind(kind.group, kind.version, kind.kind), kind), "{kind:?}");
            for name in kind.short_names {
                assert!(is(by_name(name), kind) || kind.view().is_some(), "{name}");
            }
        }
        for kind in stored() {
            assert!(is(by_resource(kind.group, kind.plural), kind), "the stored version is preferred: {kind:?}");
            assert!(is(by_kind(kind.group, kind.kind), kind), "{kind:?}");
        }
    }

    #[test]
    fn a_name_that_the_program_has_means_its_own_kind() {
        struct Anything;
        impl crate::Definition for Anything {
            fn column_paths(&self) -> &[String] {
                &[]
            }
            fn prune(&self, _: &mut serde_json::Value) -> Vec<String> {
                Vec::new()
            }
            fn default(&self, _: &mut serde_json::Value) {}
            fn validate(&self, _: &serde_json::Value, _: Option<&serde_json::Value>, _: &mut Vec<crate::field::Error>) {
            }
            fn cells(&self, _: &serde_json::Value, _: jiff::Timestamp) -> Vec<serde_json::Value> {
                Vec::new()
            }
            fn schema(&self) -> &serde_json::Value {
                &serde_json::Value::Null
            }
            fn openapi(&self) -> serde_json::Value {
                serde_json::Value::Null
            }
            fn scale(&self) -> Option<&crate::custom::Scale> {
                None
            }
            fn stored_api_version(&self) -> &str {
                ""
            }
            fn warning(&self) -> Option<&str> {
                None
            }
        }
        let custom = |group: &str| {
            let described = crate::custom::Described {
                group: group.to_owned(),
                version: "v9".to_owned(),
                kind: "Lease".to_owned(),
                plural: "leases".to_owned(),
                singular: "lease".to_owned(),
                ..Default::default()
            };
            described.leak(&Anything)
        };
        let registry = Registry::with([custom("coordination.k8s.io"), custom("a.example.com")]);
        for found in [
            registry.by_resource("coordination.k8s.io", "leases"),
            registry.by_kind("coordination.k8s.io", "Lease"),
            registry.by_name("leases"),
        ] {
            assert!(found.is_some_and(|kind| !kind.is_custom()), "{found:?}");
        }
        assert!(registry.by_name("leases.a.example.com").is_some_and(Kind::is_custom));
    }

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        let ordered = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "v1x"];
        let mut sorted = ordered;
        sorted.sort_by_key(|version| Priority::of(version));
        assert_eq!(sorted, ordered);
    }

    #[test]
    fn every_file_with_a_kind_is_registered() {
        let names: Vec<&str> = all().iter().map(|kind| kind.kind).collect();
        assert!(names.contains(&"Deployment") && names.contains(&"Pod"), "{names:?}");
        assert_eq!(all().len(), EVERY.len());
    }
}
