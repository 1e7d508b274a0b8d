//! Every namespace has a ServiceAccount `default`.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson_client::Error;
use keelson_types::meta;

use crate::caches::Caches;
use crate::driver::{Controller, Signals};
use crate::plan::{Plan, Write};

const DEFAULT: &str = "default";

/// What is known about one namespace.
pub struct Snapshot {
    pub namespace: Option<Arc<Namespace>>,
    pub exists: bool,
}

/// Plans the account of the namespace `key`.
pub fn plan(snapshot: &Snapshot, key: &str) -> Plan {
    let Some(namespace) = &snapshot.namespace else { return Plan::nothing("the namespace is gone") };
    if meta::is_deleting(namespace.as_ref()) {
        return Plan::nothing("the namespace is being deleted");
    }
    if snapshot.exists {
        return Plan::nothing("the account exists");
    }
    let account = ServiceAccount {
        metadata: ObjectMeta {
            name: Some(DEFAULT.to_owned()),
            namespace: Some(key.to_owned()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    Plan {
        writes: vec![Write::Create(account.into())],
        reasons: vec!["the namespace has no default account".to_owned()],
        ..Plan::default()
    }
}

pub(crate) struct Loop {
    caches: Caches,
}

impl Loop {
    pub fn new(caches: Caches) -> Self {
        Self { caches }
    }
}

impl Controller for Loop {
    type Key = String;
    const NAME: &'static str = "serviceaccount";

    fn signals(self: &Arc<Self>, signals: &mut Signals<String>) {
        signals.on(&self.caches.namespaces, |change| vec![change.key.name.clone()]);
        signals.on(&self.caches.service_accounts, |change| {
            if change.key.name == DEFAULT { vec![change.key.namespace.clone()] } else { Vec::new() }
        });
    }

    fn keys(&self) -> Vec<String> {
        self.caches.namespaces.keys().into_iter().map(|key| key.name).collect()
    }

    async fn reconcile(&self, key: &String) -> Result<Plan, Error> {
        let snapshot = Snapshot {
            namespace: self.caches.namespaces.get("", key),
            exists: self.caches.service_accounts.get(key, DEFAULT).is_some(),
        };
        Ok(plan(&snapshot, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_living_namespace_without_account_gets_one() {
        let namespace = |deleting: bool| {
            let mut namespace = Namespace::default();
            namespace.metadata.deletion_timestamp = deleting.then(|| meta::whole_seconds(jiff::Timestamp::UNIX_EPOCH));
            Some(Arc::new(namespace))
        };
        let planned = |namespace, exists| plan(&Snapshot { namespace, exists }, "blue").to_string();
        assert_eq!(planned(None, false), "nothing: the namespace is gone");
        assert_eq!(planned(namespace(true), false), "nothing: the namespace is being deleted");
        assert_eq!(planned(namespace(false), true), "nothing: the account exists");
        assert_eq!(
            planned(namespace(false), false),
            "create serviceaccounts blue/default: the namespace has no default account"
        );
    }
}
