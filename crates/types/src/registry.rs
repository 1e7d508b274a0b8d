//! Every kind, found by any of its names.

use std::sync::LazyLock;

use crate::kind::Kind;

// `EVERY`: one line for each file in `kinds/` that has a kind; `build.rs` writes it.
include!(concat!(env!("OUT_DIR"), "/every_kind.rs"));

/// The groups in the order in which discovery lists them; others follow by name.
const GROUPS: [&str; 4] = ["", "apps", "batch", "autoscaling"];

static ALL: LazyLock<Vec<&'static Kind>> = LazyLock::new(|| {
    let mut all = EVERY.to_vec();
    all.sort_by_key(|kind| {
        let group = GROUPS.iter().position(|group| *group == kind.group).unwrap_or(GROUPS.len());
        // The version that is stored is the one that clients prefer.
        (group, kind.group, kind.view().is_some(), kind.version, kind.plural)
    });
    all
});

/// Every kind there is, in the order in which discovery lists them; of several versions, the preferred one first.
pub fn all() -> &'static [&'static Kind] {
    &ALL
}

/// The kinds of which objects are stored: each object is of one of them.
pub fn stored() -> impl Iterator<Item = &'static Kind> {
    ALL.iter().copied().filter(|kind| kind.is_stored())
}

/// `("apps", "deployments")`, in the preferred version.
pub fn by_resource(group: &str, plural: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.group == group && kind.plural == plural)
}

/// `("autoscaling", "v1", "horizontalpodautoscalers")`
pub fn by_versioned_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

/// `("apps", "Deployment")`, in the preferred version.
pub fn by_kind(group: &str, kind: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|candidate| candidate.group == group && candidate.kind == kind)
}

/// `("autoscaling", "v1", "HorizontalPodAutoscaler")`
pub fn by_versioned_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|other| other.group == group && other.version == version && other.kind == kind)
}

/// What people type: `po`, `pods`, `Pod`, `deploy`, `deployments.apps`, `deployments.v1.apps`; case does not matter.
pub fn by_name(name: &str) -> Option<&'static Kind> {
    let name = name.to_ascii_lowercase();
    let (resource, group) = match name.split_once('.') {
        Some((resource, group)) => (resource, Some(group)),
        None => (name.as_str(), None),
    };
    ALL.iter().copied().find(|kind| {
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
    fn every_file_with_a_kind_is_registered() {
        let names: Vec<&str> = all().iter().map(|kind| kind.kind).collect();
        assert!(names.contains(&"Deployment") && names.contains(&"Pod"), "{names:?}");
        assert_eq!(all().len(), EVERY.len());
    }
}
