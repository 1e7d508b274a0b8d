//! What every cluster has from its first start: the system's namespaces, the default roles, two classes of priority, and the
//! Service by which pods reach the API.
//!
//! Done by whoever leads, again after each change of leader; what exists is left alone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_types::registry;
use keelson_types::status::{Reason, Status};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::admit::SYSTEM_NAMESPACES;
use super::request::{Operation, Subresource, Target, WriteOptions};
use super::{FIRST_CLUSTER_IP, Pipeline};
use crate::{rbac, value};

const RETRY: Duration = Duration::from_millis(500);

impl Pipeline {
    /// Runs until `shutdown`.
    pub async fn bootstrap(self: Arc<Self>, shutdown: CancellationToken) {
        let mut leadership = self.store.leadership();
        loop {
            let now = *leadership.borrow_and_update();
            let mut done = true;
            if now.leading {
                match self.create_system_objects(now.term).await {
                    Ok(()) => {}
                    // The next leader will.
                    Err(status) if status.reason == Reason::Fenced => {}
                    Err(status) => {
                        warn!(%status, "creating the system's objects failed; trying again");
                        done = false;
                    }
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = leadership.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY), if !done => {}
            }
        }
    }

    async fn create_system_objects(&self, term: u64) -> Result<(), Status> {
        for name in SYSTEM_NAMESPACES {
            let namespace = json!({ "metadata": { "name": name } });
            self.ensure(self.kinds.namespaces, "", name, namespace, term).await?;
        }
        self.create_missing(rbac::defaults::objects(), term).await?;
        self.create_missing(priority_classes(), term).await?;
        let mut address = u32::from(FIRST_CLUSTER_IP);
        address += 1;
        let service = json!({
            "metadata": {
                "name": "kubernetes",
                "labels": { "component": "apiserver", "provider": "kubernetes" },
            },
            "spec": {
                "type": "ClusterIP",
                "clusterIP": std::net::Ipv4Addr::from(address).to_string(),
                "ports": [{
                    "name": "https", "protocol": "TCP", "port": 443, "targetPort": self.settings.advertised_port,
                }],
            },
        });
        self.ensure(self.kinds.services, "default", "kubernetes", service, term).await
    }

    /// Creates those of many cluster-scoped objects that are not there, in one transaction.
    async fn create_missing(&self, objects: Vec<Value>, term: u64) -> Result<(), Status> {
        self.caches.wait(1).await?;
        let mut creations = Vec::new();
        for object in objects {
            let (group, _) = object["apiVersion"].as_str().unwrap_or_default().split_once('/').unwrap_or_default();
            let kind = registry::by_kind(group, object["kind"].as_str().unwrap_or_default());
            let kind = kind.ok_or_else(|| Status::internal(format!("no kind for {object}")))?;
            let name = value::metadata_text(&object, "name").to_owned();
            if self.cached(kind, "", &name).is_err() {
                let target = Target { kind, namespace: String::new(), name, subresource: Subresource::None };
                creations.push(Operation::Create { target, body: Bytes::from(object.to_string()) });
            }
        }
        if creations.is_empty() {
            return Ok(());
        }
        let count = creations.len();
        let options = WriteOptions { fence_term: term, field_manager: "keelson".to_owned(), ..WriteOptions::default() };
        self.write_own(&creations, &options).await?;
        info!(count, "created");
        Ok(())
    }

    async fn ensure(
        &self,
        kind: &'static keelson_types::Kind,
        namespace: &str,
        name: &str,
        object: Value,
        term: u64,
    ) -> Result<(), Status> {
        let target =
            Target { kind, namespace: namespace.to_owned(), name: name.to_owned(), subresource: Subresource::None };
        self.caches.wait(1).await?;
        if self.cached(kind, namespace, name).is_ok() {
            return Ok(());
        }
        let options = WriteOptions { fence_term: term, field_manager: "keelson".to_owned(), ..WriteOptions::default() };
        match self.create_own(target, Bytes::from(object.to_string()), &options).await {
            Ok(()) => {
                info!(kind = kind.kind, namespace, name, "created");
                Ok(())
            }
            Err(status) if status.reason == Reason::AlreadyExists => Ok(()),
            Err(status) => Err(status),
        }
    }
}

/// For pods without which a cluster or a node does not work.
fn priority_classes() -> Vec<Value> {
    let class = |name: &str, value: i64, what: &str| {
        json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            "description": format!("Used for system critical pods that must {what}."),
        })
    };
    vec![
        class(
            "system-cluster-critical",
            2_000_000_000,
            "run in the cluster, but can be moved to another node if necessary",
        ),
        class("system-node-critical", 2_000_001_000, "not be moved from their current node"),
    ]
}
