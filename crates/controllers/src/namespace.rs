//! A deleted namespace loses everything in it, then its finalizer.
//!
//! Emptiness is read linearizably, not from a cache: admission refuses new objects in a namespace that is being deleted, so
//! what is empty after that stays empty.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use keelson_client::{Client, Error, ListOptions, Resource};
use keelson_types::{meta, registry};
use serde_json::{Value, json};

use crate::caches::Caches;
use crate::custom::{self, Reader};
use crate::driver::{Controller, Signals};
use crate::plan::{Plan, Write};

/// The finalizer that keeps a namespace until it is empty.
const FINALIZER: &str = "kubernetes";
/// Pods and finalizers take their time; nothing tells this controller about kinds that it does not cache.
const POLL: Duration = Duration::from_secs(1);

/// What is known about one namespace.
pub struct Snapshot {
    pub namespace: Option<Arc<Namespace>>,
    /// The resources that still have objects, with whether some of them are not yet being deleted.
    pub remaining: Vec<(Resource, Remaining)>,
}

/// What a resource has in the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// Some objects were not told yet.
    Alive,
    /// All are being deleted and wait for something.
    Deleting,
    /// Nobody can say: the kind is defined, and not served.
    Unknown,
}

/// Plans the next step of the deletion of namespace `key`.
pub fn plan(snapshot: &Snapshot, key: &str, now: Timestamp) -> Plan {
    let Some(namespace) = &snapshot.namespace else { return Plan::nothing("the namespace is gone") };
    if !meta::is_deleting(namespace.as_ref()) {
        return Plan::nothing("the namespace is not being deleted");
    }
    let finalizers = namespace.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten());
    if !finalizers.clone().any(|finalizer| finalizer == FINALIZER) {
        return Plan::nothing("the finalizer is removed already");
    }
    let mut plan = Plan { independent: true, ..Plan::default() };
    if snapshot.remaining.is_empty() {
        let rest: Vec<&String> = finalizers.filter(|finalizer| *finalizer != FINALIZER).collect();
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": key, "resourceVersion": namespace.metadata.resource_version, "uid": namespace.metadata.uid },
            "spec": { "finalizers": rest },
        });
        let name = Resource::of::<Namespace>().object("", key).subresource("finalize");
        plan.writes.push(Write::Replace(name, object));
        plan.because("the namespace is empty");
        return plan;
    }
    for (resource, remaining) in &snapshot.remaining {
        if *remaining == Remaining::Alive {
            plan.writes.push(Write::DeleteCollection(resource.object(key, "")));
        }
    }
    let names: Vec<String> = snapshot.remaining.iter().map(|(resource, _)| resource.qualified()).collect();
    plan.because(format!("the namespace still has {}", names.join(", ")));
    if let Some(condition) = content_condition(namespace, &names, now) {
        let patch = json!({
            "metadata": { "resourceVersion": namespace.metadata.resource_version },
            "status": { "conditions": condition },
        });
        let name = Resource::of::<Namespace>().object("", key).subresource("status");
        plan.writes.push(Write::Patch(name, keelson_client::Patch::Merge(patch)));
    }
    plan.requeue(POLL);
    plan
}

/// The conditions with `NamespaceContentRemaining` as it is now, when it is not told yet.
fn content_condition(namespace: &Namespace, names: &[String], now: Timestamp) -> Option<Value> {
    const TYPE: &str = "NamespaceContentRemaining";
    let message = format!("Some resources are remaining: {}", names.join(", "));
    let mut conditions: Vec<NamespaceCondition> =
        namespace.status.iter().flat_map(|status| status.conditions.iter().flatten()).cloned().collect();
    if conditions.iter().any(|known| known.type_ == TYPE && known.message.as_ref() == Some(&message)) {
        return None;
    }
    conditions.retain(|known| known.type_ != TYPE);
    conditions.push(NamespaceCondition {
        type_: TYPE.to_owned(),
        status: "True".to_owned(),
        reason: Some("SomeResourcesRemain".to_owned()),
        message: Some(message),
        last_transition_time: Some(meta::whole_seconds(now)),
    });
    serde_json::to_value(conditions).ok()
}

pub(crate) struct Loop {
    caches: Caches,
    client: Client,
}

impl Loop {
    pub fn new(caches: Caches, client: Client) -> Self {
        Self { caches, client }
    }
}

/// What a namespace still has of every kind, the program's and users'.
async fn remaining(reader: &impl Reader, namespace: &str) -> Result<Vec<(Resource, Remaining)>, Error> {
    let mut remaining = Vec::new();
    for kind in registry::stored().filter(|kind| kind.namespaced) {
        let resource = Resource::new(kind.group, kind.version, kind.plural);
        let rest = rest(reader, &resource, namespace).await?;
        remaining.extend(rest.map(|rest| (resource, rest)));
    }
    for custom in custom::kinds(reader).await?.into_iter().filter(|custom| custom.namespaced) {
        let rest = match rest(reader, &custom.resource, namespace).await {
            // The member that was asked serves no such kind, perhaps not yet or no more.
            Err(error) if error.is_not_found() => {
                // What it has keeps the namespace; the rest goes meanwhile.
                if custom::is_still(reader, &custom).await? {
                    remaining.push((custom.resource, Remaining::Unknown));
                }
                continue;
            }
            rest => rest?,
        };
        remaining.extend(rest.map(|rest| (custom.resource, rest)));
    }
    Ok(remaining)
}

/// What a namespace has of one kind; `None` when that is nothing.
async fn rest(reader: &impl Reader, resource: &Resource, namespace: &str) -> Result<Option<Remaining>, Error> {
    // A page is enough: what is alive on a later one comes to the front when this one is gone.
    let options = ListOptions { limit: 100, ..ListOptions::default() };
    let page = reader.list(&resource.object(namespace, ""), &options).await?;
    if page.items.is_empty() {
        return Ok(None);
    }
    let alive = !page.continue_token.is_empty()
        || page.items.iter().any(|object| object["metadata"]["deletionTimestamp"].is_null());
    Ok(Some(if alive { Remaining::Alive } else { Remaining::Deleting }))
}

impl Controller for Loop {
    type Key = String;
    const NAME: &'static str = "namespace";

    fn signals(self: &Arc<Self>, signals: &mut Signals<String>) {
        signals.on(&self.caches.namespaces, |change| vec![change.key.name.clone()]);
    }

    fn keys(&self) -> Vec<String> {
        self.caches.namespaces.keys().into_iter().map(|key| key.name).collect()
    }

    async fn reconcile(&self, key: &String) -> Result<Plan, Error> {
        let namespace = self.caches.namespaces.get("", key);
        let remaining = match &namespace {
            Some(namespace) if meta::is_deleting(namespace.as_ref()) => remaining(&self.client.raw(), key).await?,
            _ => Vec::new(),
        };
        Ok(plan(&Snapshot { namespace, remaining }, key, Timestamp::now()))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::NamespaceSpec;

    use super::*;
    use crate::custom::tests::{Fake, definition};

    fn deleting() -> Option<Arc<Namespace>> {
        let mut namespace = Namespace {
            spec: Some(NamespaceSpec { finalizers: Some(vec![FINALIZER.to_owned()]) }),
            ..Namespace::default()
        };
        namespace.metadata.deletion_timestamp = Some(meta::whole_seconds(Timestamp::UNIX_EPOCH));
        Some(Arc::new(namespace))
    }

    fn planned(remaining: Vec<(Resource, Remaining)>) -> String {
        plan(&Snapshot { namespace: deleting(), remaining }, "blue", Timestamp::UNIX_EPOCH).to_string()
    }

    #[test]
    fn content_goes_first_and_the_finalizer_last() {
        let pods = Resource::new("", "v1", "pods");
        let secrets = Resource::new("", "v1", "secrets");
        assert_eq!(
            planned(vec![(pods.clone(), Remaining::Deleting), (secrets, Remaining::Alive)]),
            "delete all secrets blue/, patch namespaces/status blue: the namespace still has pods, secrets (again in 1.0 s)"
        );
        assert_eq!(
            planned(vec![(pods, Remaining::Deleting)]),
            "patch namespaces/status blue: the namespace still has pods (again in 1.0 s)"
        );
        assert_eq!(planned(Vec::new()), "update namespaces/finalize blue: the namespace is empty");
    }

    #[test]
    fn a_living_namespace_is_left_alone() {
        let snapshot = Snapshot { namespace: Some(Arc::default()), remaining: Vec::new() };
        let plan = plan(&snapshot, "blue", Timestamp::UNIX_EPOCH);
        assert_eq!(plan.to_string(), "nothing: the namespace is not being deleted");
    }

    #[tokio::test]
    async fn objects_of_users_kinds_are_not_left_behind() {
        let mut api = Fake { served: registry::stored().map(|kind| kind.plural).collect(), ..Fake::default() };
        assert_eq!(remaining(&api, "blue").await.expect("reads"), []);
        api.put("customresourcedefinitions", "crontabs.example.com", definition("Namespaced", "CronTab", true));
        api.put("crontabs", "a", json!({"metadata": {"name": "a"}}));
        let crontabs = Resource::new("example.com", "", "crontabs");
        api.put("pods", "a", json!({"metadata": {"name": "a"}}));
        let pods = (Resource::new("", "v1", "pods"), Remaining::Alive);
        let unknown = vec![pods, (crontabs.clone(), Remaining::Unknown)];
        assert_eq!(remaining(&api, "blue").await.expect("reads"), unknown, "nobody can say what is left");
        let plan = planned(unknown);
        assert!(plan.starts_with("delete all pods blue/, patch namespaces/status blue"), "the rest goes: {plan}");

        api.objects.remove(&("pods".to_owned(), "a".to_owned()));
        api.served.push("crontabs");
        assert_eq!(remaining(&api, "blue").await.expect("reads"), [(crontabs.clone(), Remaining::Alive)]);
        api.put("crontabs", "a", json!({"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        assert_eq!(remaining(&api, "blue").await.expect("reads"), [(crontabs, Remaining::Deleting)]);
        api.put("customresourcedefinitions", "crontabs.example.com", definition("Cluster", "CronTab", true));
        assert_eq!(remaining(&api, "blue").await.expect("reads"), [], "they are in no namespace");
    }
}
