//! Every namespace has a ConfigMap `kube-root-ca.crt`: the certificates by which pods know the API.
//!
//! Programs in pods expect it beside their account's token. It is made again when it is deleted, and put right when it is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson_client::{Error, Patch, Resource};
use keelson_types::meta;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::caches::Caches;
use crate::driver::{Controller, Signals};
use crate::partial::{self, Part, Partial};
use crate::plan::{Plan, Write};

const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";

type Data = BTreeMap<String, String>;

/// What is kept of a ConfigMap: the data of those with this name, and nothing of all others.
#[derive(Clone, Default)]
pub struct Published(Option<Arc<Data>>);

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Read {
    #[serde(deserialize_with = "partial::ownership")]
    metadata: ObjectMeta,
    data: Option<Data>,
}

impl Part for Published {
    type Read = Read;

    fn of(read: Read) -> (ObjectMeta, Self) {
        let is_ours = read.metadata.name.as_deref() == Some(NAME);
        let data = is_ours.then(|| Arc::new(read.data.unwrap_or_default()));
        (read.metadata, Self(data))
    }
}

/// What is known about one namespace.
pub struct Snapshot<'a> {
    pub namespace: Option<Arc<Namespace>>,
    pub found: Option<Arc<Partial<ConfigMap, Published>>>,
    /// What is to be published.
    pub authority: &'a str,
}

/// Plans the ConfigMap of the namespace `key`.
pub fn plan(snapshot: &Snapshot<'_>, key: &str) -> Plan {
    let Some(namespace) = &snapshot.namespace else { return Plan::nothing("the namespace is gone") };
    if meta::is_deleting(namespace.as_ref()) {
        return Plan::nothing("the namespace is being deleted");
    }
    let wanted = Data::from([(KEY.to_owned(), snapshot.authority.to_owned())]);
    let (write, reason) = match &snapshot.found {
        None => (create(key, wanted), "the namespace has no certificates of the API"),
        Some(found) => match &found.part.0 {
            Some(data) if **data == wanted => return Plan::nothing("the certificates are there"),
            data => {
                let old = data.as_deref().into_iter().flat_map(BTreeMap::keys);
                (restore(key, &found.metadata, old, wanted), "the certificates are not the API's")
            }
        },
    };
    Plan { writes: vec![write], reasons: vec![reason.to_owned()], ..Plan::default() }
}

fn create(namespace: &str, data: Data) -> Write {
    let metadata = ObjectMeta {
        name: Some(NAME.to_owned()),
        namespace: Some(namespace.to_owned()),
        annotations: Some(BTreeMap::from([(
            "kubernetes.io/description".to_owned(),
            "The certificates by which programs in this namespace know the API server.".to_owned(),
        )])),
        ..ObjectMeta::default()
    };
    Write::Create(ConfigMap { metadata, data: Some(data), ..ConfigMap::default() }.into())
}

/// Only the data is known, so only the data is written: what there is too much goes by a null.
fn restore<'a>(namespace: &str, metadata: &ObjectMeta, old: impl Iterator<Item = &'a String>, wanted: Data) -> Write {
    let mut data: Map<String, Value> = old.map(|key| (key.clone(), Value::Null)).collect();
    data.extend(wanted.into_iter().map(|(key, value)| (key, value.into())));
    let guard = json!({ "uid": metadata.uid, "resourceVersion": metadata.resource_version });
    let name = Resource::of::<ConfigMap>().object(namespace, NAME);
    Write::Patch(name, Patch::Merge(json!({ "metadata": guard, "data": data })))
}

pub(crate) struct Loop {
    caches: Caches,
    authority: String,
}

impl Loop {
    pub fn new(caches: Caches, authority: String) -> Self {
        Self { caches, authority }
    }
}

impl Controller for Loop {
    type Key = String;
    const NAME: &'static str = "root-ca-publisher";

    fn signals(self: &Arc<Self>, signals: &mut Signals<String>) {
        signals.on(&self.caches.namespaces, |change| vec![change.key.name.clone()]);
        signals.on(&self.caches.config_maps, |change| {
            if change.key.name == NAME { vec![change.key.namespace.clone()] } else { Vec::new() }
        });
    }

    fn keys(&self) -> Vec<String> {
        self.caches.namespaces.keys().into_iter().map(|key| key.name).collect()
    }

    async fn reconcile(&self, key: &String) -> Result<Plan, Error> {
        let snapshot = Snapshot {
            namespace: self.caches.namespaces.get("", key),
            found: self.caches.config_maps.get(key, NAME),
            authority: &self.authority,
        };
        Ok(plan(&snapshot, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(data: Value) -> Option<Arc<Partial<ConfigMap, Published>>> {
        let metadata = json!({ "name": NAME, "namespace": "blue", "uid": "1", "resourceVersion": "7" });
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data });
        Some(Arc::new(serde_json::from_value(object).expect("is read")))
    }

    fn planned(deleting: bool, found: Option<Arc<Partial<ConfigMap, Published>>>) -> Plan {
        let mut namespace = Namespace::default();
        namespace.metadata.deletion_timestamp = deleting.then(|| meta::whole_seconds(jiff::Timestamp::UNIX_EPOCH));
        plan(&Snapshot { namespace: Some(Arc::new(namespace)), found, authority: "PEM" }, "blue")
    }

    #[test]
    fn a_living_namespace_is_told_of_the_authority() {
        let gone = Snapshot { namespace: None, found: None, authority: "PEM" };
        assert_eq!(plan(&gone, "blue").to_string(), "nothing: the namespace is gone");
        assert_eq!(planned(true, None).to_string(), "nothing: the namespace is being deleted");
        assert_eq!(planned(false, found(json!({ KEY: "PEM" }))).to_string(), "nothing: the certificates are there");
        let missing = planned(false, None).to_string();
        assert_eq!(missing, "create configmaps blue/kube-root-ca.crt: the namespace has no certificates of the API");
    }

    #[test]
    fn what_somebody_changed_is_put_right_and_no_more() {
        for (data, wanted) in [
            (json!({ KEY: "other", "more": "1" }), json!({ KEY: "PEM", "more": null })),
            (json!({}), json!({ KEY: "PEM" })),
            (Value::Null, json!({ KEY: "PEM" })),
        ] {
            let plan = planned(false, found(data));
            let [Write::Patch(name, Patch::Merge(patch))] = plan.writes.as_slice() else { panic!("{plan}") };
            assert_eq!((name.namespace.as_str(), name.name.as_str()), ("blue", NAME));
            assert_eq!(*patch, json!({ "metadata": { "uid": "1", "resourceVersion": "7" }, "data": wanted }));
        }
    }

    #[test]
    fn of_other_configmaps_no_data_is_kept() {
        let object = json!({ "metadata": { "name": "m" }, "data": { "a": "1" } });
        let read: Partial<ConfigMap, Published> = serde_json::from_value(object).expect("is read");
        assert!(read.part.0.is_none());
    }
}
