//! What every cluster has from its first start: the system's namespaces, the default roles, what clients list, and the Service
//! by which pods reach the API, with the members behind it.
//!
//! Done by whoever leads, again after each change of leader; what exists is left alone. The namespaces and the Service are made
//! again as soon as they are gone, for nodes and pods depend on them.

mod defaults;
mod members;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_types::registry;
use keelson_types::status::{Reason, Status};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::admit::SYSTEM_NAMESPACES;
use super::request::{Operation, PatchType, Subresource, Target, WriteOptions};
use super::{FIRST_CLUSTER_IP, Pipeline};
use crate::{rbac, value};

const RETRY: Duration = Duration::from_millis(500);

/// At most so often is looked whether something is gone: the kinds that are watched for it change with every Service.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

impl Pipeline {
    /// Runs until `shutdown`.
    pub async fn bootstrap(self: Arc<Self>, shutdown: CancellationToken) {
        let mut leadership = self.store.leadership();
        let kinds = [self.kinds.namespaces, self.kinds.services, self.kinds.endpoints, self.kinds.endpoint_slices];
        let mut changed = kinds.map(|kind| self.caches.changed(kind));
        // The last term that began with everything.
        let mut complete = 0;
        loop {
            let now = *leadership.borrow_and_update();
            // Marked as seen before looking, so that a change after the look wakes us.
            changed.iter_mut().for_each(|changed| drop(changed.borrow_and_update()));
            let mut done = true;
            if now.leading {
                let outcome = if complete == now.term {
                    self.keep_system_objects(now.term).await
                } else {
                    self.create_system_objects(now.term).await
                };
                match outcome {
                    Ok(()) => complete = now.term,
                    // The next leader will.
                    Err(status) if status.reason == Reason::Fenced => {}
                    Err(status) => {
                        warn!(%status, "creating the system's objects failed; trying again");
                        done = false;
                    }
                }
            }
            let any = futures::future::select_all(changed.iter_mut().map(|changed| Box::pin(changed.changed())));
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = leadership.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY), if !done => {}
                (changed, ..) = any, if now.leading && done => {
                    if changed.is_err() {
                        return;
                    }
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(LOOK_INTERVAL) => {}
                    }
                }
            }
        }
    }

    async fn create_system_objects(&self, term: u64) -> Result<(), Status> {
        self.keep_namespaces(term).await?;
        self.create_missing(rbac::defaults::objects(), term).await?;
        let now = Value::from(keelson_types::meta::time_text((self.settings.clock)()));
        self.create_missing(defaults::objects(&now), term).await?;
        self.keep_system_objects(term).await
    }

    async fn keep_namespaces(&self, term: u64) -> Result<(), Status> {
        for name in SYSTEM_NAMESPACES {
            let namespace = json!({ "metadata": { "name": name } });
            self.ensure(self.kinds.namespaces, "", name, namespace, term).await?;
        }
        Ok(())
    }

    /// What the cluster does not work without.
    async fn keep_system_objects(&self, term: u64) -> Result<(), Status> {
        self.keep_namespaces(term).await?;
        let members = self.members().await;
        if !members.is_empty() {
            let endpoints = members::endpoints(&members);
            tell_invalid(self.keep(self.kinds.endpoints, endpoints, &["subsets"], term).await)?;
            for slice in members::slices(&members) {
                tell_invalid(self.keep(self.kinds.endpoint_slices, slice, &["endpoints", "ports"], term).await)?;
            }
        }
        let mut address = u32::from(FIRST_CLUSTER_IP);
        address += 1;
        let service = json!({
            "metadata": {
                "name": members::SERVICE,
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
        self.ensure(self.kinds.services, "default", members::SERVICE, service, term).await
    }

    /// Where the members' APIs are. A name that cannot be looked up now leads nowhere now.
    async fn members(&self) -> Vec<SocketAddr> {
        let mut members = Vec::new();
        for address in &self.settings.api_addresses {
            match tokio::net::lookup_host(address).await {
                Ok(found) => members.extend(found),
                Err(error) => debug!(address, %error, "a member's address is not known"),
            }
        }
        members
    }

    /// Creates an object of the namespace `default`, or replaces it where one of `fields` differs.
    async fn keep(
        &self,
        kind: &'static keelson_types::Kind,
        object: Value,
        fields: &[&str],
        term: u64,
    ) -> Result<(), Status> {
        let name = value::metadata_text(&object, "name").to_owned();
        let Ok(found) = self.cached(kind, "default", &name) else {
            return self.ensure(kind, "default", &name, object, term).await;
        };
        let found = found.value().map_err(Status::internal)?;
        if fields.iter().all(|field| found[field] == object[field]) {
            return Ok(());
        }
        let target = Target { kind, namespace: "default".to_owned(), name, subresource: Subresource::None };
        let operation = Operation::Update { target, body: Bytes::from(object.to_string()) };
        let options = WriteOptions { fence_term: term, field_manager: "keelson".to_owned(), ..WriteOptions::default() };
        match self.write_own(&[operation], &options).await {
            // Looked at again when the cache has what somebody else did to it.
            Err(status) if matches!(status.reason, Reason::NotFound | Reason::Conflict) => Ok(()),
            outcome => outcome,
        }
    }

    /// Creates those of many cluster-scoped objects that are not there, in one transaction, and gives them their statuses in another.
    async fn create_missing(&self, objects: Vec<Value>, term: u64) -> Result<(), Status> {
        self.caches.wait(1).await?;
        let (mut creations, mut statuses) = (Vec::new(), Vec::new());
        for object in objects {
            let (group, _) = object["apiVersion"].as_str().unwrap_or_default().split_once('/').unwrap_or_default();
            let kind = registry::by_kind(group, object["kind"].as_str().unwrap_or_default());
            let kind = kind.ok_or_else(|| Status::internal(format!("no kind for {object}")))?;
            let name = value::metadata_text(&object, "name").to_owned();
            let target = Target { kind, namespace: String::new(), name, subresource: Subresource::None };
            let found = self.cached(kind, "", &target.name);
            // A leader that was lost in between has left it without a status.
            let told = found.as_ref().is_ok_and(|found| found.value().is_ok_and(|found| has_conditions(&found)));
            if has_conditions(&object) && !told {
                let patch = Bytes::from(json!({"status": object["status"]}).to_string());
                let target = Target { subresource: Subresource::Status, ..target.clone() };
                statuses.push(Operation::Patch { target, patch_type: PatchType::Merge, patch });
            }
            if found.is_err() {
                creations.push(Operation::Create { target, body: Bytes::from(object.to_string()) });
            }
        }
        let options = WriteOptions { fence_term: term, field_manager: "keelson".to_owned(), ..WriteOptions::default() };
        for operations in [creations, statuses].iter().filter(|operations| !operations.is_empty()) {
            self.write_own(operations, &options).await?;
            info!(count = operations.len(), "created, or told their state");
        }
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

fn has_conditions(object: &Value) -> bool {
    object["status"]["conditions"].as_array().is_some_and(|conditions| !conditions.is_empty())
}

/// Addresses that may not stand there, such as those of a cluster on one machine, keep nothing else from being made.
fn tell_invalid(outcome: Result<(), Status>) -> Result<(), Status> {
    match outcome {
        Err(status) if status.reason == Reason::Invalid => {
            debug!(%status, "the members cannot be told of");
            Ok(())
        }
        outcome => outcome,
    }
}
