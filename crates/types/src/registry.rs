//! Every kind, found by any of its names.

use crate::kind::Kind;
use crate::kinds;

/// In the order in which discovery lists them.
static ALL: [&Kind; 12] = [
    &kinds::config_map::KIND,
    &kinds::event::KIND,
    &kinds::namespace::KIND,
    &kinds::node::KIND,
    &kinds::pod::KIND,
    &kinds::secret::KIND,
    &kinds::service_account::KIND,
    &kinds::service::KIND,
    &kinds::deployment::KIND,
    &kinds::replica_set::KIND,
    &kinds::lease::KIND,
    &kinds::endpoint_slice::KIND,
];

/// Every kind there is.
pub fn all() -> &'static [&'static Kind] {
    &ALL
}

/// `("apps", "deployments")`
pub fn by_resource(group: &str, plural: &str) -> Option<&'static Kind> {
    ALL.into_iter().find(|kind| kind.group == group && kind.plural == plural)
}

/// `("apps", "Deployment")`
pub fn by_kind(group: &str, kind: &str) -> Option<&'static Kind> {
    ALL.into_iter().find(|candidate| candidate.group == group && candidate.kind == kind)
}

/// What people type: `po`, `pods`, `Pod`, `deploy`, `deployments.apps`, `deployments.v1.apps`; case does not matter.
pub fn by_name(name: &str) -> Option<&'static Kind> {
    let name = name.to_ascii_lowercase();
    let (resource, group) = match name.split_once('.') {
        Some((resource, group)) => (resource, Some(group)),
        None => (name.as_str(), None),
    };
    ALL.into_iter().find(|kind| {
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
        ] {
            assert_eq!(by_name(name).map(|found| found.kind), Some(kind), "{name}");
        }
        assert!(by_name("pods.apps").is_none());
        assert!(by_name("jobs").is_none());
    }

    #[test]
    fn names_are_unambiguous() {
        for kind in all() {
            assert!(std::ptr::eq(by_resource(kind.group, kind.plural).expect("found"), *kind));
            assert!(std::ptr::eq(by_kind(kind.group, kind.kind).expect("found"), *kind));
            for name in kind.short_names {
                assert!(std::ptr::eq(by_name(name).expect("found"), *kind));
            }
        }
    }
}
