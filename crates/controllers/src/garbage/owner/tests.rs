use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson_client::{ListOptions, RawList};
use keelson_types::registry;
use serde_json::{Value, json};

use super::super::follow::target;
use super::super::{Owner, Snapshot, plan};
use super::*;
use crate::caches::AnyObject;
use crate::custom::tests::{Fake, definition};

fn kind() -> Custom {
    Custom::of(&definition("Namespaced", "CronTab", true)).expect("is served")
}

fn served() -> Fake {
    let mut api = Fake { served: vec!["crontabs", "pods"], ..Fake::default() };
    api.put("customresourcedefinitions", "crontabs.example.com", definition("Namespaced", "CronTab", true));
    api.put("crontabs", "a", json!({"metadata": {"name": "a", "uid": "1"}}));
    api
}

async fn answer(api: &Fake, name: &str, uid: &str) -> Option<bool> {
    exists(api, Some(&kind()), &kind().resource.object("blue", name), uid).await.ok()
}

#[tokio::test]
async fn an_owner_is_gone_when_its_name_is_free_or_anothers() {
    let api = served();
    assert_eq!(answer(&api, "a", "1").await, Some(true));
    assert_eq!(answer(&api, "a", "2").await, Some(false));
    assert_eq!(answer(&api, "b", "1").await, Some(false));
    let pod = Resource::new("", "v1", "pods").object("blue", "a");
    assert_eq!(exists(&api, None, &pod, "1").await.ok(), Some(false));
}

#[tokio::test]
async fn an_owner_of_a_kind_that_is_not_served_is_not_gone() {
    let mut api = served();
    api.served.clear();
    assert_eq!(answer(&api, "a", "1").await, None, "no version is served, or this member does not know it yet");
}

#[tokio::test]
async fn an_owner_is_not_gone_because_its_kind_became_another() {
    for now in [definition("Cluster", "CronTab", true), definition("Namespaced", "Other", true)] {
        let mut api = served();
        api.objects.clear();
        api.put("customresourcedefinitions", "crontabs.example.com", now);
        assert_eq!(answer(&api, "a", "1").await, None);
    }
}

const UID: &str = "the-uid";

fn reference(api_version: &str, kind: &str, name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    }
}

fn to_the_set() -> OwnerReference {
    reference("apps/v1", "StatefulSet", "set", UID)
}

/// The owner that a dependent in `namespace` means.
fn meant(namespace: &str, reference: &OwnerReference) -> Option<Target> {
    let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = registry::by_kind(group, &reference.kind)?;
    let resource = Resource::new(kind.group, kind.version, kind.plural);
    Kind { resource, namespaced: kind.namespaced, custom: None }.meant(namespace, reference)
}

/// A cluster in which one StatefulSet lives, `blue/set`.
#[derive(Default)]
struct World {
    absent: Mutex<Absent>,
    reads: Mutex<usize>,
    fails: Mutex<bool>,
}

impl Reader for World {
    async fn get(&self, name: &ObjectName) -> Result<Value, Error> {
        *self.reads.lock() += 1;
        if *self.fails.lock() {
            return Err(Error::Incomplete { what: "an object" });
        }
        if name.resource.resource == "statefulsets" && name.namespace == "blue" && name.name == "set" {
            return Ok(json!({"metadata": {"namespace": "blue", "name": "set", "uid": UID}}));
        }
        Err(Error::Api(Status::not_found(&name.resource.group, &name.resource.resource, &name.name)))
    }

    async fn list(&self, name: &ObjectName, _: &ListOptions) -> Result<RawList<Value>, Error> {
        unreachable!("{name:?} is not listed")
    }

    async fn count(&self, definitions: &[String], _: &str) -> Result<Vec<(String, i64)>, Error> {
        unreachable!("{definitions:?} are not counted")
    }
}

impl World {
    async fn is_gone(&self, namespace: &str, reference: &OwnerReference) -> Result<bool, Error> {
        let owner = meant(namespace, reference).expect("names an object");
        is_gone(self, &self.absent, None, owner, &reference.uid).await
    }

    /// What the collector plans for a dependent in `namespace` with this one owner.
    async fn planned(&self, namespace: &str, reference: OwnerReference) -> String {
        let gone = self.is_gone(namespace, &reference).await.expect("is read");
        let metadata = ObjectMeta {
            name: Some("dependent".to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        };
        let object = AnyObject::of(&ConfigMap { metadata, ..ConfigMap::default() });
        let target = target(&object);
        let owner = if gone { Owner::Gone } else { Owner::Present };
        let (object, owners, dependents) = (Some(object), vec![(reference, owner)], Vec::new());
        let snapshot = Snapshot { object, owners, dependents, unseen: Vec::new() };
        plan(&snapshot, &target).to_string()
    }
}

#[tokio::test]
async fn a_wrong_reference_takes_no_owner_from_those_with_a_right_one() {
    let world = World::default();
    let wrong = [
        ("another namespace", "green", to_the_set()),
        ("another name", "blue", reference("apps/v1", "StatefulSet", "sett", UID)),
        ("another kind", "blue", reference("apps/v1", "DaemonSet", "set", UID)),
        ("another group", "blue", reference("v1", "Service", "set", UID)),
        ("a kind without namespaces", "blue", reference("v1", "Node", "set", UID)),
        ("another UID", "blue", reference("apps/v1", "StatefulSet", "set", "another-uid")),
    ];
    for (what, namespace, reference) in wrong {
        let gone = world.planned(namespace, reference.clone()).await;
        assert_eq!(gone, format!("delete configmaps {namespace}/dependent: its owners are gone"), "{what}");
        assert_eq!(world.planned("blue", to_the_set()).await, "nothing: its owners are there", "{what}");
        let reads = *world.reads.lock();
        assert_eq!(world.planned(namespace, reference).await, gone, "{what}");
        assert_eq!(*world.reads.lock(), reads, "{what}: what is gone is not read again");
    }
}

#[tokio::test]
async fn a_read_that_fails_says_nothing_of_the_owner() {
    let world = World { fails: Mutex::new(true), ..World::default() };
    assert!(world.is_gone("blue", &to_the_set()).await.is_err());
    *world.fails.lock() = false;
    assert_eq!(world.is_gone("blue", &to_the_set()).await.ok(), Some(false));
}

#[test]
fn an_owner_is_looked_for_in_the_namespace_of_its_dependent() {
    let key = |namespace: &str, reference: &OwnerReference| meant(namespace, reference).map(|owner| owner.key);
    assert_eq!(key("green", &to_the_set()), Some(Key::new("green", "set")));
    let node = reference("v1", "Node", "node-1", UID);
    assert_eq!(key("green", &node), Some(Key::new("", "node-1")));
    assert_eq!(key("", &node), Some(Key::new("", "node-1")));
    assert_eq!(key("", &to_the_set()), None, "nobody can say which namespace is meant");
}
