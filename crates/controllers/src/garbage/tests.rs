use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::follow::target;
use super::*;

fn metadata(name: &str, deleting: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("blue".to_owned()),
        uid: Some(format!("{name}-uid")),
        resource_version: Some("7".to_owned()),
        deletion_timestamp: deleting.map(|_| Time(jiff::Timestamp::UNIX_EPOCH)),
        finalizers: deleting.filter(|finalizer| !finalizer.is_empty()).map(|finalizer| vec![finalizer.to_owned()]),
        ..ObjectMeta::default()
    }
}

fn owner(name: &str) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ReplicaSet".to_owned(),
        name: name.to_owned(),
        uid: format!("{name}-uid"),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn pod(owners: &[&str]) -> AnyObject {
    let mut metadata = metadata("web", None);
    metadata.owner_references = Some(owners.iter().map(|name| owner(name)).collect());
    AnyObject::of(&Pod { metadata, ..Pod::default() })
}

fn planned(object: AnyObject, owners: Vec<(OwnerReference, Owner)>, dependents: Vec<AnyObject>) -> String {
    let target = target(&object);
    plan(&Snapshot { object: Some(object), owners, dependents, unseen: Vec::new() }, &target).to_string()
}

#[test]
fn a_dependent_goes_with_its_last_owner() {
    let states = |states: &[Owner]| states.iter().map(|state| (owner("set"), *state)).collect::<Vec<_>>();
    let cases = [
        (vec![], "nothing: it has no owners"),
        (states(&[Owner::Present]), "nothing: its owners are there"),
        (states(&[Owner::Gone]), "delete pods blue/web: its owners are gone"),
        (states(&[Owner::Gone, Owner::Present]), "patch pods blue/web: 1 of 2 owners are gone"),
        (states(&[Owner::WaitsForDependents]), "delete pods blue/web: its owner waits for it"),
    ];
    for (owners, expected) in cases {
        assert_eq!(planned(pod(&["set"]), owners, Vec::new()), expected);
    }
}

#[test]
fn an_owner_deleted_in_the_foreground_waits_for_its_dependents() {
    let set =
        |finalizer| AnyObject::of(&ReplicaSet { metadata: metadata("set", Some(finalizer)), ..ReplicaSet::default() });
    assert_eq!(planned(set(FOREGROUND), vec![], vec![pod(&["set"])]), "nothing: waiting for 1 dependents");
    assert_eq!(planned(set(FOREGROUND), vec![], vec![]), "patch replicasets blue/set: no dependents block it");
    assert_eq!(planned(set(""), vec![], vec![pod(&["set"])]), "nothing: it is being deleted");
}

#[test]
fn an_owner_deleted_as_orphaning_lets_its_dependents_go() {
    let set = AnyObject::of(&ReplicaSet { metadata: metadata("set", Some(ORPHAN)), ..ReplicaSet::default() });
    assert_eq!(
        planned(set.clone(), vec![], vec![pod(&["set"])]),
        "patch pods blue/web: its dependents are let go (again in 0.0 s)"
    );
    assert_eq!(planned(set, vec![], vec![]), "patch replicasets blue/set: no dependents are left");
}

#[test]
fn nothing_is_concluded_while_dependents_may_be_unseen() {
    let not_yet = "nothing: it may have dependents that nobody sees now, of crontabs.example.com";
    for (finalizer, served, expected) in [
        (FOREGROUND, true, format!("{not_yet} (again in 1.0 s)")),
        (ORPHAN, true, format!("{not_yet} (again in 1.0 s)")),
        // What blocks goes in the end, seen or not.
        (FOREGROUND, false, "patch replicasets blue/set: no dependents block it".to_owned()),
        (ORPHAN, false, format!("{not_yet} (again in 5.0 s)")),
    ] {
        let set = AnyObject::of(&ReplicaSet { metadata: metadata("set", Some(finalizer)), ..ReplicaSet::default() });
        let target = target(&set);
        let unseen = vec![Unseen { name: "crontabs.example.com".to_owned(), served }];
        let snapshot = Snapshot { object: Some(set), owners: vec![], dependents: vec![], unseen };
        assert_eq!(plan(&snapshot, &target).to_string(), expected);
    }
}
