//! The whole API of one member over a real store in a temporary folder: the pipeline, both watches and lists through it, and
//! the port with its certificates.

#[path = "pipeline/applies.rs"]
mod applies;
#[path = "pipeline/definitions.rs"]
mod definitions;
#[path = "pipeline/pki.rs"]
mod pki;
#[path = "common/stored.rs"]
mod stored;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_api::pipeline::{
    ChangeKind, DeleteOptions, ListOptions, Operation, Outcome, PatchType, Pipeline, ReadVersion,
    STORE_REQUEST_BYTES_MAX, STORE_TXN_OPS_MAX, Subresource, Target, User, Watch, WatchItem, WatchOptions, WatchStart,
    WriteOptions,
};
use keelson_api::{Options, Service, tls};
use keelson_proto::etcdserverpb::CompactionRequest;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use keelson_store::{Peer, Store, Tls};
use keelson_types::registry;
use keelson_types::status::Status;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// Whatever is waited for comes within this, or the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running member. Stops when dropped.
struct Member {
    pipeline: Arc<Pipeline>,
    address: SocketAddr,
    authority: pki::Authority,
    shutdown: CancellationToken,
    /// Stops the store beneath the API alone.
    store_shutdown: CancellationToken,
    tasks: TaskTracker,
    _folder: tempfile::TempDir,
}

fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("has an address")
}

impl Member {
    async fn start() -> Member {
        let folder = tempfile::tempdir().expect("makes a folder");
        let authority = pki::Authority::new("test CA");
        let files = authority.server_files(folder.path());
        let store_tls = Tls { ca: files.ca.clone(), certificate: files.certificate.clone(), key: files.key.clone() };
        let (peer, store) = (free_port(), free_port());
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

    async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.expect("the member stops");
    }

    async fn create(&self, resource: &str, object: Value) -> Result<Value, Status> {
        let body = Bytes::from(object.to_string());
        let namespace = if resource == "namespaces" { "" } else { "default" };
        let target = target(resource, namespace, "");
        let written = self.pipeline.create(&admin(), target, body, &WriteOptions::default()).await?;
        Ok(serde_json::from_slice(&written.json).expect("is JSON"))
    }

    async fn update(&self, resource: &str, object: &Value) -> Result<Value, Status> {
        let name = object["metadata"]["name"].as_str().expect("has a name");
        let target = target(resource, "default", name);
        let body = Bytes::from(object.to_string());
        let written = self.pipeline.update(&admin(), target, body, &WriteOptions::default()).await?;
        Ok(serde_json::from_slice(&written.json).expect("is JSON"))
    }

    async fn merge(&self, resource: &str, name: &str, patch: Value) -> Result<Value, Status> {
        let target = target(resource, "default", name);
        let patch = Bytes::from(patch.to_string());
        let options = WriteOptions::default();
        let written = self.pipeline.patch(&admin(), target, PatchType::Merge, patch, &options).await?;
        Ok(serde_json::from_slice(&written.json).expect("is JSON"))
    }

    async fn delete(&self, resource: &str, name: &str) -> Result<Outcome, Status> {
        let target = target(resource, "default", name);
        let options = WriteOptions::default();
        let written = self.pipeline.delete(&admin(), target, DeleteOptions::default(), &options).await?;
        Ok(written.outcome)
    }

    async fn list(&self, resource: &str, options: ListOptions) -> Result<(Vec<String>, i64, String), Status> {
        let list = self.pipeline.list(&admin(), &target(resource, "default", ""), options).await?;
        let names = list.items.map(|object| object.name().to_owned()).collect();
        Ok((names, list.resource_version, list.continue_token))
    }

    async fn watch(&self, resource: &str, start: WatchStart, labels: &str) -> Watch {
        let options = WatchOptions {
            label_selector: labels.to_owned(),
            field_selector: String::new(),
            start,
            bookmarks: true,
            timeout: None,
        };
        self.pipeline.watch(&admin(), &target(resource, "default", ""), options).await.expect("watches")
    }

    async fn dial(&self, identity: Option<Identity>) -> Channel {
        let mut tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authority.pem())).domain_name("localhost");
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).expect("is an address");
        endpoint.tls_config(tls).expect("is a configuration").connect().await.expect("connects")
    }
}

fn admin() -> User {
    User { name: "kubernetes-admin".to_owned(), groups: vec!["system:masters".to_owned()] }
}

fn controller() -> User {
    User { name: "system:kube-controller-manager".to_owned(), groups: Vec::new() }
}

fn target(resource: &str, namespace: &str, name: &str) -> Target {
    Target {
        kind: registry::by_name(resource).expect("is registered"),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: Subresource::None,
    }
}

fn config_map(name: &str, app: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": app}}, "data": {"k": "v"}})
}

fn version(object: &Value) -> i64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("has a version")
}

/// The next changes, bookmarks passed over.
async fn changes(watch: &mut Watch) -> Vec<(ChangeKind, String)> {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_read_back_guarded_and_conflicts_are_told() {
    let member = Member::start().await;
    let created = member.create("configmaps", config_map("a", "web")).await.expect("creates");
    assert_eq!(member.create("configmaps", config_map("a", "web")).await.expect_err("is taken").code, 409);
    let json = member.pipeline.get(&admin(), &target("configmaps", "default", "a"), ReadVersion::MostRecent).await;
    assert_eq!(serde_json::from_slice::<Value>(&json.expect("is there")).expect("is JSON"), created);

    let mut changed = created.clone();
    changed["data"]["k"] = "w".into();
    let updated = member.update("configmaps", &changed).await.expect("updates");
    assert!(version(&updated) > version(&created));
    assert_eq!(member.update("configmaps", &changed).await.expect_err("is stale").code, 409);
    let same = member.update("configmaps", &updated).await.expect("is the same");
    assert_eq!(version(&same), version(&updated), "an unchanged update writes nothing");

    let patched = member.merge("configmaps", "a", json!({"data": {"l": "x"}})).await.expect("patches");
    assert_eq!(patched["data"], json!({"k": "w", "l": "x"}));
    assert_eq!(member.delete("configmaps", "a").await, Ok(Outcome::Removed));
    assert_eq!(member.delete("configmaps", "a").await.expect_err("is gone").code, 404);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contending_patches_all_land() {
    let member = Arc::new(Member::start().await);
    member.create("configmaps", config_map("a", "web")).await.expect("creates");
    let patches = (0..16).map(|i| {
        let member = member.clone();
        async move { member.merge("configmaps", "a", json!({"data": {format!("k{i}"): "v"}})).await }
    });
    for patched in futures::future::join_all(patches).await {
        patched.expect("lands");
    }
    let json = member.pipeline.get(&admin(), &target("configmaps", "default", "a"), ReadVersion::MostRecent).await;
    let object: Value = serde_json::from_slice(&json.expect("is there")).expect("is JSON");
    assert_eq!(object["data"].as_object().map(serde_json::Map::len), Some(17));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paged_at_one_revision_until_it_is_compacted() {
    let member = Member::start().await;
    for name in ["a", "b", "c", "d"] {
        member.create("configmaps", config_map(name, "web")).await.expect("creates");
    }
    let limited = ListOptions { limit: 2, ..ListOptions::default() };
    let (names, revision, token) = member.list("configmaps", limited.clone()).await.expect("lists");
    assert_eq!(names, ["a", "b"]);
    member.delete("configmaps", "c").await.expect("deletes");
    let next = ListOptions { continue_token: token, ..limited };
    let (names, same, end) = member.list("configmaps", next.clone()).await.expect("lists");
    assert_eq!((names, same, end.as_str()), (vec!["c".to_owned(), "d".to_owned()], revision, ""));
    let (names, _, _) = member.list("configmaps", ListOptions::default()).await.expect("lists");
    assert_eq!(names, ["a", "b", "d"]);

    let compaction = CompactionRequest { revision: revision + 1, physical: false };
    member.pipeline.store().compact(compaction).await.expect("compacts");
    let expired = member.list("configmaps", next).await.expect_err("is compacted");
    assert_eq!((expired.code, expired.reason.as_str()), (410, "Expired"));
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_begins_with_what_is_there_and_sees_selectors_change() {
    use ChangeKind::{Added, Deleted, Modified};
    let member = Member::start().await;
    member.create("configmaps", config_map("a", "web")).await.expect("creates");
    member.create("configmaps", config_map("b", "db")).await.expect("creates");
    let mut watch = member.watch("configmaps", WatchStart::Initial(ReadVersion::MostRecent), "app=web").await;
    assert_eq!(changes(&mut watch).await, [(Added, "a".to_owned())]);
    let marked = watch.next().await.expect("goes on").expect("is no error");
    assert!(matches!(marked, WatchItem::Bookmark { initial_events_end: true, .. }), "{marked:?}");
    member.merge("configmaps", "b", json!({"metadata": {"labels": {"app": "web"}}})).await.expect("patches");
    assert_eq!(changes(&mut watch).await, [(Added, "b".to_owned())]);
    member.merge("configmaps", "b", json!({"data": {"k": "w"}})).await.expect("patches");
    assert_eq!(changes(&mut watch).await, [(Modified, "b".to_owned())]);
    member.merge("configmaps", "b", json!({"metadata": {"labels": {"app": "db"}}})).await.expect("patches");
    assert_eq!(changes(&mut watch).await, [(Deleted, "b".to_owned())]);
    member.delete("configmaps", "a").await.expect("deletes");
    assert_eq!(changes(&mut watch).await, [(Deleted, "a".to_owned())]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_resumes_from_the_stores_history_and_expires_with_it() {
    let member = Member::start().await;
    let first = member.create("configmaps", config_map("a", "web")).await.expect("creates");
    // More than the window holds.
    for i in 0..20 {
        member.merge("configmaps", "a", json!({"data": {"k": i.to_string()}})).await.expect("patches");
    }
    let mut watch = member.watch("configmaps", WatchStart::After(version(&first)), "app=web").await;
    let mut seen = 0;
    while seen < 20 {
        let batch = changes(&mut watch).await;
        assert!(batch.iter().all(|(kind, _)| *kind == ChangeKind::Modified), "{batch:?}");
        seen += batch.len();
    }
    assert_eq!(seen, 20);
    member.merge("configmaps", "a", json!({"data": {"k": "live"}})).await.expect("patches");
    assert_eq!(changes(&mut watch).await.len(), 1);

    let compaction = CompactionRequest { revision: version(&first) + 5, physical: false };
    member.pipeline.store().compact(compaction).await.expect("compacts");
    let mut late = member.watch("configmaps", WatchStart::After(version(&first)), "").await;
    let outcome = tokio::time::timeout(PATIENCE, late.next()).await.expect("comes in time").expect("is told");
    let expired = outcome.expect_err("is compacted");
    assert_eq!((expired.code, expired.reason.as_str()), (410, "Expired"));
    assert!(late.next().await.is_none());
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_written_whole_or_not_at_all_and_only_by_the_leader_of_its_term() {
    let member = Member::start().await;
    let create = |name: &str| Operation::Create {
        target: target("configmaps", "default", ""),
        body: Bytes::from(config_map(name, "web").to_string()),
    };
    let write = |operations, fence_term| {
        let options = WriteOptions { fence_term, ..WriteOptions::default() };
        let pipeline = member.pipeline.clone();
        async move { pipeline.write(&controller(), operations, &options).await }
    };
    let term = member.pipeline.store().leadership().borrow().term;
    let many: Vec<Operation> = (0..300).map(|i| create(&format!("many-{i}"))).collect();
    let batch = write(many, term).await.expect("writes");
    assert_eq!(batch.results.len(), 300);
    let refused = write(vec![create("x"), create("many-7")], term).await.expect_err("is taken");
    assert_eq!((refused.code, refused.message.as_str()), (409, "operation 1: configmaps \"many-7\" already exists"));
    let fenced = write(vec![create("x")], term + 1).await.expect_err("is fenced");
    assert_eq!(fenced.reason.as_str(), "Fenced");
    let read = member.pipeline.get(&admin(), &target("configmaps", "default", "x"), ReadVersion::MostRecent).await;
    assert_eq!(read.expect_err("was never written").code, 404);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_our_certificates_are_let_in_and_others_are_told_so() {
    let member = Member::start().await;
    let name = proto::ObjectName {
        resource: Some(proto::Resource { resource: "namespaces".to_owned(), ..proto::Resource::default() }),
        name: "default".to_owned(),
        ..proto::ObjectName::default()
    };
    let get = |identity: Option<Identity>| {
        let (member, name) = (&member, name.clone());
        async move {
            let mut client = ObjectsClient::new(member.dial(identity).await);
            client.get(proto::GetRequest { name: Some(name) }).await
        }
    };
    let ours = &member.authority;
    let object = get(Some(ours.client("kubernetes-admin", &["system:masters"]))).await.expect("is let in");
    let json = object.into_inner().object.expect("has an object").json;
    assert_eq!(serde_json::from_slice::<Value>(&json).expect("is JSON")["status"]["phase"], "Active");
    let stranger = get(Some(ours.client("jane", &[]))).await.expect_err("may not");
    assert_eq!(stranger.code(), tonic::Code::PermissionDenied);
    let theirs = pki::Authority::new("another CA").client("kubernetes-admin", &["system:masters"]);
    for identity in [None, Some(theirs)] {
        let refused = get(identity).await.expect_err("is nobody");
        assert_eq!((refused.code(), refused.message()), (tonic::Code::Unauthenticated, "Unauthorized"));
    }
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_watches_stream_over_grpc() {
    let member = Member::start().await;
    member.create("configmaps", config_map("a", "web")).await.expect("creates");
    let channel = member.dial(Some(member.authority.client("kubernetes-admin", &["system:masters"]))).await;
    let mut client = ObjectsClient::new(channel);
    let name = proto::ObjectName {
        resource: Some(proto::Resource { resource: "configmaps".to_owned(), ..proto::Resource::default() }),
        namespace: "default".to_owned(),
        ..proto::ObjectName::default()
    };
    let list = proto::ListRequest { name: Some(name.clone()), ..proto::ListRequest::default() };
    let mut chunks = client.list(list).await.expect("lists").into_inner();
    let chunk = chunks.message().await.expect("is no error").expect("has a chunk");
    assert_eq!(chunk.objects.len(), 1);
    assert!(chunks.message().await.expect("is no error").is_none());

    let resource_version = chunk.resource_version;
    let watch = proto::WatchRequest { name: Some(name), resource_version, ..proto::WatchRequest::default() };
    let mut events = client.watch(watch).await.expect("watches").into_inner();
    member.delete("configmaps", "a").await.expect("deletes");
    let event = tokio::time::timeout(PATIENCE, events.message()).await.expect("comes in time");
    let event = event.expect("is no error").expect("has an event");
    assert_eq!(event.events[0].r#type(), proto::watch_response::Type::Deleted);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_catch_up_does_not_say_that_there_is_no_such_kind() {
    let member = Member::start().await;
    let admin = member.authority.client("kubernetes-admin", &["system:masters"]);
    let mut client = ObjectsClient::new(member.dial(Some(admin)).await);
    let get = |group: &str| {
        let (group, resource) = (group.to_owned(), "crontabs".to_owned());
        let resource = Some(proto::Resource { group, resource, ..proto::Resource::default() });
        let (namespace, name) = ("default".to_owned(), "a".to_owned());
        proto::GetRequest { name: Some(proto::ObjectName { resource, namespace, name, ..Default::default() }) }
    };
    let unknown = client.get(get("example.com")).await.expect_err("nobody has defined it");
    assert_eq!(unknown.code(), tonic::Code::NotFound);

    // Now nobody can say what was defined a moment ago.
    member.store_shutdown.cancel();
    let told = tokio::time::timeout(PATIENCE, async {
        loop {
            let told = client.get(get("example.com")).await.expect_err("nobody has defined it");
            if told.code() != tonic::Code::NotFound {
                return told;
            }
        }
    });
    let told = told.await.expect("it does not go on to say that there is no such kind");
    assert!(matches!(told.code(), tonic::Code::Unavailable | tonic::Code::DeadlineExceeded), "{told}");
    // Nobody defines kinds in this group.
    assert_eq!(client.get(get("apps")).await.expect_err("no such kind").code(), tonic::Code::NotFound);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_reviews_and_views_are_the_same_over_grpc() {
    let member = Member::start().await;
    let jane = member.dial(Some(member.authority.client("jane", &["developers"]))).await;
    let mut jane = ObjectsClient::new(jane);
    let name = |group: &str, version: &str, resource: &str, namespace: &str| {
        let (group, version, resource) = (group.to_owned(), version.to_owned(), resource.to_owned());
        let resource = Some(proto::Resource { group, version, resource });
        Some(proto::ObjectName { resource, namespace: namespace.to_owned(), ..proto::ObjectName::default() })
    };
    let pods = proto::ListRequest { name: name("", "v1", "pods", "default"), ..proto::ListRequest::default() };
    let refused = jane.list(pods.clone()).await.expect_err("is refused");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    assert!(refused.message().contains("cannot list resource \"pods\""), "{refused}");

    let binding = json!({
        "metadata": {"name": "viewers"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "name": "developers"}],
    });
    member.create("rolebindings", binding).await.expect("creates");
    jane.list(pods).await.expect("lists");

    let ask = json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}});
    let review = proto::CreateRequest {
        name: name("authorization.k8s.io", "v1", "selfsubjectaccessreviews", ""),
        object: Some(proto::Object { json: ask.to_string().into() }),
        ..proto::CreateRequest::default()
    };
    let answer = jane.create(review).await.expect("is answered").into_inner().object.expect("has an answer");
    let answer: Value = serde_json::from_slice(&answer.json).expect("is JSON");
    assert_eq!(answer["status"]["allowed"], true, "{answer}");

    let scaler = json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 2,
        "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}});
    member.create("horizontalpodautoscalers", scaler).await.expect("creates");
    let views = name("autoscaling", "v1", "horizontalpodautoscalers", "default");
    let views = proto::ListRequest { name: views, ..proto::ListRequest::default() };
    let chunk = jane.list(views).await.expect("lists").into_inner().message().await.expect("is no error");
    let shown: Value = serde_json::from_slice(&chunk.expect("has a chunk").objects[0].json).expect("is JSON");
    assert_eq!(shown["spec"]["targetCPUUtilizationPercentage"], 80, "{shown}");
    member.stop().await;
}

async fn jane(member: &Member) -> ObjectsClient<Channel> {
    ObjectsClient::new(member.dial(Some(member.authority.client("jane", &["developers"]))).await)
}

/// Gives Jane a role in the default namespace.
async fn allow(member: &Member, rules: Value) {
    member.create("roles", json!({"metadata": {"name": "r"}, "rules": rules})).await.expect("creates");
    let binding = json!({
        "metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "Group", "name": "developers"}],
    });
    member.create("rolebindings", binding).await.expect("creates");
}

fn object_name(group: &str, resource: &str, namespace: &str) -> proto::ObjectName {
    let (group, resource) = (group.to_owned(), resource.to_owned());
    proto::ObjectName {
        resource: Some(proto::Resource { group, resource, ..proto::Resource::default() }),
        namespace: namespace.to_owned(),
        ..proto::ObjectName::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_name_nor_a_subresource_opens_a_collection() {
    let member = Member::start().await;
    for name in ["mine", "yours"] {
        member.create("secrets", json!({"metadata": {"name": name}})).await.expect("creates");
    }
    let verbs = json!(["list", "watch", "deletecollection"]);
    allow(
        &member,
        json!([
            {"verbs": verbs, "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"]},
            {"verbs": verbs, "apiGroups": [""], "resources": ["secrets/status", "pods/status"]},
        ]),
    )
    .await;
    let mut client = jane(&member).await;
    let secrets = object_name("", "secrets", "default");
    let named = proto::ObjectName { name: "mine".to_owned(), ..secrets.clone() };
    let part = proto::ObjectName { subresource: "status".to_owned(), ..object_name("", "pods", "default") };
    for name in [named, part] {
        let name = Some(name);
        let refused = [
            client.list(proto::ListRequest { name: name.clone(), ..Default::default() }).await.map(|_| ()),
            client.watch(proto::WatchRequest { name: name.clone(), ..Default::default() }).await.map(|_| ()),
            client
                .delete_collection(proto::DeleteCollectionRequest { name: name.clone(), ..Default::default() })
                .await
                .map(|_| ()),
        ];
        for refused in refused {
            assert_eq!(refused.expect_err("is refused").code(), tonic::Code::InvalidArgument, "{name:?}");
        }
    }
    // Nor does it behind the front.
    let user = User { name: "jane".to_owned(), groups: vec!["developers".to_owned()] };
    let part = Target { subresource: Subresource::Status, ..target("secrets", "default", "") };
    for target in [target("secrets", "default", "mine"), part] {
        let list = member.pipeline.list(&user, &target, ListOptions::default()).await;
        assert_eq!(list.expect_err("is refused").code, 400);
        let start = WatchStart::Initial(ReadVersion::MostRecent);
        let (label_selector, field_selector) = (String::new(), String::new());
        let watch = WatchOptions { label_selector, field_selector, start, bookmarks: true, timeout: None };
        let watch = member.pipeline.watch(&user, &target, watch).await;
        assert_eq!(watch.map(|_| ()).expect_err("is refused").code, 400);
        let (delete, options) = (DeleteOptions::default(), WriteOptions::default());
        let deleted = member.pipeline.delete_collection(&user, target, ListOptions::default(), delete, &options).await;
        assert_eq!(deleted.expect_err("is refused").code, 400);
    }

    let name = Some(secrets);
    let all = proto::ListRequest { name: name.clone(), ..Default::default() };
    let refused = client.list(all.clone()).await.expect_err("is refused");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let mine = proto::ListRequest { field_selector: "metadata.name=mine".to_owned(), ..all };
    let chunk = client.list(mine).await.expect("lists").into_inner().message().await.expect("is no error");
    let chunk = chunk.expect("has a chunk");
    assert_eq!(chunk.objects.len(), 1);
    assert!(String::from_utf8_lossy(&chunk.objects[0].json).contains("mine"));
    let field_selector = "metadata.name=mine".to_owned();
    let mine = proto::DeleteCollectionRequest { name, field_selector, ..Default::default() };
    assert_eq!(client.delete_collection(mine).await.expect("deletes").into_inner().deleted, 1);
    assert_eq!(member.list("secrets", ListOptions::default()).await.expect("lists").0, ["yours"]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_answered_is_never_stored() {
    use proto::write_request::{Operation as Step, operation::Operation as Wire};
    let member = Member::start().await;
    let channel = member.dial(Some(member.authority.client("kubernetes-admin", &["system:masters"]))).await;
    let mut client = ObjectsClient::new(channel);
    let name = proto::ObjectName {
        name: "r".to_owned(),
        ..object_name("authorization.k8s.io", "selfsubjectaccessreviews", "")
    };
    let review = json!({"metadata": {"name": "r"},
        "spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}});
    let (name, object) = (Some(name), Some(proto::Object { json: review.to_string().into() }));
    let create = proto::CreateRequest { name: name.clone(), object: object.clone(), ..Default::default() };
    let create = Step { operation: Some(Wire::Create(create)) };
    let batch = proto::WriteRequest { operations: vec![create], ..Default::default() };
    let refused = client.write(batch).await.expect_err("is refused");
    assert_eq!(refused.code(), tonic::Code::Unimplemented, "{refused}");
    let apply = proto::ApplyRequest { name: name.clone(), object, ..Default::default() };
    assert_eq!(client.apply(apply).await.expect_err("is refused").code(), tonic::Code::Unimplemented);
    let list = proto::ListRequest {
        name: name.map(|name| proto::ObjectName { name: String::new(), ..name }),
        ..Default::default()
    };
    assert_eq!(client.list(list).await.map(|_| ()).expect_err("is refused").code(), tonic::Code::Unimplemented);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eviction_that_is_to_be_tried_only_evicts_nobody() {
    let member = Member::start().await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    member.create("pods", pod).await.expect("creates");
    let target = Target { subresource: Subresource::Eviction, ..target("pods", "default", "p") };
    let eviction = |stages: Value| {
        Bytes::from(json!({"metadata": {"name": "p"}, "deleteOptions": {"dryRun": stages}}).to_string())
    };
    let options = WriteOptions::default();
    let evict = Operation::Create { target: target.clone(), body: eviction(json!(["All"])) };
    let refused = member.pipeline.write(&admin(), vec![evict.clone()], &options).await.expect_err("is refused");
    assert_eq!(refused.code, 400, "{refused}");
    for stages in [json!(["Some"]), json!("All"), json!(["All", "Some"])] {
        let refused = member.pipeline.create(&admin(), target.clone(), eviction(stages), &options).await;
        assert_eq!(refused.expect_err("is refused").code, 400);
    }
    member.pipeline.create(&admin(), target.clone(), eviction(json!(["All"])), &options).await.expect("tries");
    let tried = WriteOptions { dry_run: true, ..WriteOptions::default() };
    member.pipeline.write(&admin(), vec![evict], &tried).await.expect("tries");
    assert_eq!(member.list("pods", ListOptions::default()).await.expect("lists").0, ["p"]);
    let evict = Operation::Create { target, body: eviction(json!([])) };
    member.pipeline.write(&admin(), vec![evict], &options).await.expect("evicts");
    assert!(member.list("pods", ListOptions::default()).await.expect("lists").0.is_empty());
    member.stop().await;
}
