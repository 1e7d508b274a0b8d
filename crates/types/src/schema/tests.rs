use serde_json::json;

use super::*;
use crate::registry;

fn field<'a>(api_version: &str, kind: &str, path: &[&str]) -> &'a Field {
    let schema = schema();
    let mut message = schema.kind(api_version, kind).expect("a kind");
    let mut found = None;
    for name in path {
        let field = schema.field(message, name).unwrap_or_else(|| panic!("{kind} has {name}"));
        let mut of = &field.of;
        while let Type::List(inner) | Type::Map(inner) = of {
            of = inner;
        }
        if let Type::Message(index) = of {
            message = schema.message(*index);
        }
        found = Some(field);
    }
    found.expect("a path")
}

#[test]
fn every_kind_that_is_served_has_its_type_and_the_type_of_its_list() {
    for kind in registry::all() {
        // An answer is in no list.
        let list = (!kind.is_answered()).then_some(kind.list_kind);
        for name in [Some(kind.kind), list].into_iter().flatten() {
            assert!(schema().kind(&kind.api_version(), name).is_some(), "{name}");
        }
    }
    assert!(schema().kind("policy/v1", "DeleteOptions").is_some(), "common types belong to every group");
    assert!(schema().kind("v1", "Unheard").is_none());
}

#[test]
fn fields_have_numbers_types_and_merge_as_in_kubernetes() {
    let containers = field("v1", "Pod", &["spec", "containers"]);
    assert_eq!((containers.number, &containers.merge), (2, &Merge::Keys(vec![Key { name: "name", default: None }])));
    let protocol = Key { name: "protocol", default: Some(json!("TCP")) };
    let ports = &field("apps/v1", "Deployment", &["spec", "template", "spec", "containers", "ports"]).merge;
    assert!(matches!(ports, Merge::Keys(keys) if keys.len() == 2 && keys[1] == protocol), "{ports:?}");
    assert_eq!(field("v1", "Pod", &["metadata", "finalizers"]).merge, Merge::Set);
    assert_eq!(field("v1", "Pod", &["spec", "tolerations"]).merge, Merge::Usual);
    assert_eq!(field("v1", "Service", &["spec", "selector"]).merge, Merge::Atomic);
    assert_eq!(field("apps/v1", "Deployment", &["spec", "replicas"]).presence, Presence::Explicit);
    assert_eq!(field("v1", "Pod", &["spec", "hostNetwork"]).presence, Presence::ZeroIsAbsent);
    assert!(schema().kind("apps/v1", "Deployment").is_some_and(|message| !message.atomic));
    // A volume's sources stand beside its name.
    let empty_dir = field("v1", "Pod", &["spec", "volumes", "emptyDir"]);
    assert_eq!((empty_dir.number, empty_dir.presence), (2, Presence::Explicit));
}

#[test]
fn numbers_are_in_order_and_names_once() {
    for message in &schema().messages {
        assert!(message.fields.windows(2).all(|pair| pair[0].number < pair[1].number), "{}", message.name);
        assert_eq!(
            message.by_name.len(),
            message.fields.iter().filter(|field| !field.name.is_empty()).count(),
            "{}",
            message.name
        );
    }
}
