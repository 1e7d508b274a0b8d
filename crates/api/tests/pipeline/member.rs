//! One member over a real store in a temporary folder, and what tests ask of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_api::pipeline::{
    ChangeKind, DeleteOptions, ListOptions, Outcome, PatchType, Pipeline, ReadVersion, STORE_REQUEST_BYTES_MAX,
    STORE_TXN_OPS_MAX, Subresource, Target, User, Watch, WatchItem, WatchOptions, WatchStart, WriteOptions,
};
use keelson_api::{Options, Service, tls};
use keelson_proto::keelson::api::v1 as proto;
use keelson_store::{Peer, Store, Tls};
use keelson_types::registry;
use keelson_types::status::Status;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::ports::free_address;
use crate::{pki, stored};

/// Whatever is waited for comes within this, or the test fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A running member. Stops when dropped.
pub struct Member {
    pub pipeline: Arc<Pipeline>,
    address: SocketAddr,
    pub authority: pki::Authority,
    shutdown: CancellationToken,
    /// Stops the store beneath the API alone.
    pub store_shutdown: CancellationToken,
    tasks: TaskTracker,
    _folder: tempfile::TempDir,
}

impl Member {
    pub async fn start() -> Member {
        Member::start_with(|_| {}).await
    }

    /// A member whose API has other options.
    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Member {
        let folder = tempfile::tempdir().expect("makes a folder");
        let authority = pki::Authority::new("test CA");
        let files = authority.server_files(folder.path());
        let store_tls = Tls { ca: files.ca.clone(), certificate: files.certificate.clone(), key: files.key.clone() };
        let (peer, store) = (free_address(), free_address());
        let peers = vec![Peer { name: "m1".to_owned(), address: peer.to_string() }];
        let mut options =
            keelson_store::Options::new("m1", folder.path().join("data"), peers, peer, store, store_tls.clone());
        options.store_tls = Some(store_tls);
        options.min_free_disk_bytes = 0;
        options.max_txn_ops = STORE_TXN_OPS_MAX;
        options.max_request_bytes = STORE_REQUEST_BYTES_MAX;
        let (handle, service) = Store::open(options).await.expect("the store opens");
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let store_shutdown = shutdown.child_token();
        let stop = store_shutdown.clone();
        tasks.spawn(async move { service.run(stop).await.expect("the store runs") });

        let api_files = tls::Files { ca: files.ca, certificate: files.certificate, key: files.key };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut options = Options::new(any, api_files);
        options.history.batches_max = 8;
        change(&mut options);
        let service = Service::bind(options, handle).await.expect("the API binds");
        let (pipeline, address) = (service.pipeline().clone(), service.address());
        let stop = shutdown.clone();
        tasks.spawn(async move { service.run(stop).await });
        let member = Member { pipeline, address, authority, shutdown, store_shutdown, tasks, _folder: folder };
        member.wait_for_the_system().await;
        member
    }

    /// Until the bootstrap is done: its last object is the Service.
    async fn wait_for_the_system(&self) {
        let key = "/registry/services/specs/default/kubernetes";
        let revision = stored::written(self.pipeline.store(), key, PATIENCE).await;
        let target = target("services", "default", "kubernetes");
        let read = self.pipeline.get(&admin(), &target, ReadVersion::NotOlderThan(revision)).await;
        read.expect("the caches follow");
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.expect("the member stops");
    }

    pub async fn create(&self, resource: &str, object: Value) -> Result<Value, Status> {
        let body = Bytes::from(object.to_string());
        let namespace = if resource == "namespaces" { "" } else { "default" };
        let target = target(resource, namespace, "");
        let written = self.pipeline.create(&admin(), target, body, &WriteOptions::default()).await?;
        Ok(serde_json::from_slice(&written.json).expect("is JSON"))
    }

    pub async fn update(&self, resource: &str, object: &Value) -> Result<Value, Status> {
        let name = object["metadata"]["name"].as_str().expect("has a name");
        let target = target(resource, "default", name);
        let body = Bytes::from(object.to_string());
        let written = self.pipeline.update(&admin(), target, body, &WriteOptions::default()).await?;
        Ok(serde_json::from_slice(&written.json).expect("is JSON"))
    }

    pub async fn merge(&self, resource: &str, name: &str, patch: Value) -> Result<Value, Status> {
        let target = target(resource, "default", name);
        let patch = Bytes::from(patch.to_string());
        let options = WriteOptions::default();
        let written = self.pipeline.patch(&admin(), target, PatchType::Merge, patch, &options).await?;
        Ok(serde_json::from_slice(&written.json).expect("is JSON"))
    }

    pub async fn delete(&self, resource: &str, name: &str) -> Result<Outcome, Status> {
        let target = target(resource, "default", name);
        let options = WriteOptions::default();
        let written = self.pipeline.delete(&admin(), target, DeleteOptions::default(), &options).await?;
        Ok(written.outcome)
    }

    pub async fn list(&self, resource: &str, options: ListOptions) -> Result<(Vec<String>, i64, String), Status> {
        let list = self.pipeline.list(&admin(), &target(resource, "default", ""), options).await?;
        let names = list.items.map(|object| object.name().to_owned()).collect();
        Ok((names, list.resource_version, list.continue_token))
    }

    pub async fn watch(&self, resource: &str, start: WatchStart, labels: &str) -> Watch {
        let options = WatchOptions {
            label_selector: labels.to_owned(),
            field_selector: String::new(),
            start,
            bookmarks: true,
            timeout: None,
        };
        self.pipeline.watch(&admin(), &target(resource, "default", ""), options).await.expect("watches")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn dial(&self, identity: Option<Identity>) -> Channel {
        let mut tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authority.pem())).domain_name("localhost");
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).expect("is an address");
        endpoint.tls_config(tls).expect("is a configuration").connect().await.expect("connects")
    }
}

pub fn admin() -> User {
    User { name: "kubernetes-admin".to_owned(), groups: vec!["system:masters".to_owned()] }
}

pub fn controller() -> User {
    User { name: "system:kube-controller-manager".to_owned(), groups: Vec::new() }
}

pub fn target(resource: &str, namespace: &str, name: &str) -> Target {
    Target {
        kind: registry::by_name(resource).expect("is registered"),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: Subresource::None,
    }
}

pub fn object_name(group: &str, resource: &str, namespace: &str) -> proto::ObjectName {
    let (group, resource) = (group.to_owned(), resource.to_owned());
    proto::ObjectName {
        resource: Some(proto::Resource { group, resource, ..proto::Resource::default() }),
        namespace: namespace.to_owned(),
        ..proto::ObjectName::default()
    }
}

pub fn config_map(name: &str, app: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": app}}, "data": {"k": "v"}})
}

pub fn version(object: &Value) -> i64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("has a version")
}

/// The next changes, bookmarks passed over.
pub async fn changes(watch: &mut Watch) -> Vec<(ChangeKind, String)> {
    let next = async {
        loop {
            match watch.next().await.expect("goes on").expect("is no error") {
                WatchItem::Changes { changes, .. } => {
                    return changes.iter().map(|change| (change.kind, change.object.name().to_owned())).collect();
                }
                WatchItem::Bookmark { .. } => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("comes in time")
}
