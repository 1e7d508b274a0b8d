//! A deleted namespace loses everything in it, then its finalizer.
//!
//! Emptiness is read linearizably, not from a cache: admission refuses new objects in a namespace that is being deleted, so
//! what is empty after that stays empty.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use keelson_client::{Client, Error, ListOptions, Resource};
use keelson_types::{meta, registry};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::caches::{Caches, NAMESPACE};
use crate::custom::Reader;
use crate::driver::{Controller, Signals};
use crate::plan::{Plan, Write};

/// The finalizer that keeps a namespace until it is empty.
const FINALIZER: &str = "kubernetes";
/// When to look again at what is left, at first: nothing tells this controller about kinds that it does not cache.
const POLL: Duration = Duration::from_secs(1);
/// And at last, when nothing has changed for long: a finalizer that nobody takes away may keep a namespace for weeks.
const POLL_MAX: Duration = Duration::from_secs(30);
/// Namespaces of which it is remembered how long they have not changed. Others than those that are being deleted are in there only
/// when another member saw the end of them.
const WAITS_MAX: usize = 10_000;

/// Kinds that are named in what people are told of a namespace.
const NAMES_MAX: usize = 50;

/// What is known about one namespace.
pub struct Snapshot {
    pub namespace: Option<Arc<Namespace>>,
    /// The resources that still have objects, with whether some of them are not yet being deleted.
    pub remaining: Vec<(Resource, Remaining)>,
    /// When to look again, as long as something remains.
    pub again: Duration,
}

/// What a resource has in the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// Some objects were not told yet.
    Alive,
    /// All are being deleted and wait for something.
    Deleting,
    /// Nobody can see or delete it: the kind is defined, and not served.
    Hidden,
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
    let names = names(&snapshot.remaining);
    plan.because(format!("the namespace still has {names}"));
    if let Some(condition) = content_condition(namespace, &names, now) {
        let patch = json!({
            "metadata": { "resourceVersion": namespace.metadata.resource_version },
            "status": { "conditions": condition },
        });
        let name = Resource::of::<Namespace>().object("", key).subresource("status");
        plan.writes.push(Write::Patch(name, keelson_client::Patch::Merge(patch)));
    }
    plan.requeue(snapshot.again);
    plan
}

/// What remains, as it is told to people.
fn names(remaining: &[(Resource, Remaining)]) -> String {
    let told = remaining.iter().take(NAMES_MAX).map(|(resource, rest)| match rest {
        Remaining::Alive | Remaining::Deleting => resource.qualified(),
        Remaining::Hidden => format!("{} (not served now: nobody can delete them)", resource.qualified()),
    });
    let mut names = told.collect::<Vec<_>>().join(", ");
    if let Some(more) = remaining.len().checked_sub(NAMES_MAX).filter(|more| *more > 0) {
        names.push_str(&format!(" and {more} more"));
    }
    names
}

/// The conditions with `NamespaceContentRemaining` as it is now, when it is not told yet.
fn content_condition(namespace: &Namespace, names: &str, now: Timestamp) -> Option<Value> {
    const TYPE: &str = "NamespaceContentRemaining";
    let message = format!("Some resources are remaining: {names}");
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
    waits: Mutex<Waits>,
}

impl Loop {
    pub fn new(caches: Caches, client: Client) -> Self {
        Self { caches, client, waits: Mutex::default() }
    }
}

/// What each namespace that is being deleted had when it was looked at last, and how long nobody looks again. A leader that has
/// none of it looks sooner.
#[derive(Default)]
struct Waits(HashMap<String, (Vec<(Resource, Remaining)>, Duration)>);

impl Waits {
    /// When to look at the namespace again: the later, the longer nothing changes.
    fn next(&mut self, namespace: &str, remaining: &[(Resource, Remaining)]) -> Duration {
        if remaining.is_empty() {
            self.0.remove(namespace);
            return POLL;
        }
        let again = match self.0.get(namespace) {
            Some((before, again)) if before == remaining => (*again * 2).min(POLL_MAX),
            _ => POLL,
        };
        if self.0.len() >= WAITS_MAX {
            // What is forgotten is looked at sooner.
            self.0.clear();
        }
        self.0.insert(namespace.to_owned(), (remaining.to_vec(), again));
        again
    }
}

/// What a namespace still has of every kind, the program's and users'. Of those, the store says what there is, not what is said of
/// their definitions: the namespace goes for what is found here, and so does what nobody can see.
async fn remaining(reader: &impl Reader, namespace: &str) -> Result<Vec<(Resource, Remaining)>, Error> {
    let mut remaining = Vec::new();
    for kind in registry::stored().filter(|kind| kind.namespaced) {
        let resource = Resource::new(kind.group, kind.version, kind.plural);
        let rest = rest(reader, &resource, namespace).await?;
        remaining.extend(rest.map(|rest| (resource, rest)));
    }
    for (definition, _) in reader.count(&[], namespace).await? {
        let Some((plural, group)) = definition.split_once('.') else { continue };
        let resource = Resource::new(group, "", plural);
        let rest = match rest(reader, &resource, namespace).await {
            Ok(Some(rest)) => rest,
            // It went since it was counted, or cannot be read.
            Ok(None) => Remaining::Hidden,
            // The member that was asked serves no such kind, perhaps not yet or no more. What it has keeps the namespace; the
            // rest goes meanwhile.
            Err(error) if error.is_not_found() => Remaining::Hidden,
            Err(error) => return Err(error),
        };
        remaining.push((resource, rest));
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
        // Pods take longest: when the last one has gone, the rest is looked at at once.
        let this = self.clone();
        signals.on(&self.caches.pods, move |change| {
            let namespace = &change.key.namespace;
            let goes = |namespace: &str| {
                this.caches.namespaces.get("", namespace).is_some_and(|found| meta::is_deleting(found.as_ref()))
            };
            let last =
                change.new.is_none() && goes(namespace) && this.caches.pods.by_index(NAMESPACE, namespace).is_empty();
            if last { vec![namespace.clone()] } else { Vec::new() }
        });
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
        let again = self.waits.lock().next(key, &remaining);
        Ok(plan(&Snapshot { namespace, remaining, again }, key, Timestamp::now()))
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
        plan(&Snapshot { namespace: deleting(), remaining, again: POLL }, "blue", Timestamp::UNIX_EPOCH).to_string()
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
        let snapshot = Snapshot { namespace: Some(Arc::default()), remaining: Vec::new(), again: POLL };
        let plan = plan(&snapshot, "blue", Timestamp::UNIX_EPOCH);
        assert_eq!(plan.to_string(), "nothing: the namespace is not being deleted");
    }

    #[tokio::test]
    async fn objects_of_users_kinds_are_not_left_behind() {
        let mut api = Fake { served: registry::stored().map(|kind| kind.plural).collect(), ..Fake::default() };
        assert_eq!(remaining(&api, "blue").await.expect("reads"), []);
        // Whatever is said of it: never established, and without a version that is served.
        let mut definition = definition("Namespaced", "CronTab", false);
        definition["status"] = json!({});
        api.put("customresourcedefinitions", "crontabs.example.com", definition);
        assert_eq!(remaining(&api, "blue").await.expect("reads"), [], "there are none");
        api.put("crontabs", "a", json!({"metadata": {"name": "a", "namespace": "blue"}}));
        api.put("pods", "a", json!({"metadata": {"name": "a", "namespace": "blue"}}));
        let crontabs = Resource::new("example.com", "", "crontabs");
        let pods = (Resource::new("", "v1", "pods"), Remaining::Alive);
        let hidden = vec![pods, (crontabs.clone(), Remaining::Hidden)];
        assert_eq!(remaining(&api, "blue").await.expect("reads"), hidden);
        let plan = planned(hidden);
        assert!(plan.starts_with("delete all pods blue/, patch namespaces/status blue"), "the rest goes: {plan}");

        api.objects.remove(&("pods".to_owned(), "a".to_owned()));
        api.served.push("crontabs");
        assert_eq!(remaining(&api, "blue").await.expect("reads"), [(crontabs.clone(), Remaining::Alive)]);
        let deleting = json!({"name": "a", "namespace": "blue", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        api.put("crontabs", "a", json!({"metadata": deleting}));
        assert_eq!(remaining(&api, "blue").await.expect("reads"), [(crontabs, Remaining::Deleting)]);
        api.put("crontabs", "a", json!({"metadata": {"name": "a"}}));
        assert_eq!(remaining(&api, "blue").await.expect("reads"), [], "they are in no namespace");
    }

    #[test]
    fn what_nobody_can_delete_is_told_and_waited_for_ever_less() {
        let hidden = |index: usize| (Resource::new("example.com", "", format!("kind{index}s")), Remaining::Hidden);
        let one = vec![hidden(0)];
        let expected = "patch namespaces/status blue: the namespace still has kind0s.example.com \
                        (not served now: nobody can delete them) (again in 1.0 s)";
        assert_eq!(planned(one.clone()), expected);
        let condition = content_condition(&Namespace::default(), &names(&one), Timestamp::UNIX_EPOCH);
        let told = condition.expect("is new")[0]["message"].clone();
        let expected = "Some resources are remaining: kind0s.example.com (not served now: nobody can delete them)";
        assert_eq!(told, expected);
        let mut waits = Waits::default();
        let seconds: Vec<u64> = (0..6).map(|_| waits.next("blue", &one).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30]);
        let many: Vec<_> = (0..NAMES_MAX + 2).map(hidden).collect();
        assert!(names(&many).ends_with(" and 2 more"));
    }

    #[test]
    fn a_namespace_that_hangs_is_looked_at_ever_less() {
        let mut waits = Waits::default();
        let pods = |rest| [(Resource::new("", "v1", "pods"), rest)];
        let mut seconds = |rest| waits.next("blue", &pods(rest)).as_secs();
        let hanging: Vec<u64> = (0..7).map(|_| seconds(Remaining::Deleting)).collect();
        assert_eq!(hanging, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(seconds(Remaining::Alive), 1, "something has changed");
        waits.next("blue", &[]);
        assert!(waits.0.is_empty(), "nothing is kept of a namespace that is empty");
    }
}
