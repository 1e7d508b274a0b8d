//! What every cluster has from its first start: the system's namespaces and the Service by which pods reach the API.
//!
//! Done by whoever leads, again after each change of leader; what exists is left alone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_types::status::{Reason, Status};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::admit::SYSTEM_NAMESPACES;
use super::request::{Subresource, Target, WriteOptions};
use super::{FIRST_CLUSTER_IP, Pipeline};

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
