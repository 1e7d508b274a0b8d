//! What is refused on every way in: over gRPC, in a batch, and behind the fronts.

use bytes::Bytes;
use keelson_api::pipeline::{
    DeleteOptions, ListOptions, Operation, ReadVersion, Subresource, Target, User, WatchOptions, WatchStart,
    WriteOptions,
};
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::member::{Member, admin, object_name, target};

pub async fn jane(member: &Member) -> ObjectsClient<Channel> {
    ObjectsClient::new(member.dial(Some(member.authority.client("jane", &["developers"]))).await)
}

/// Gives Jane a role in the default namespace.
pub async fn allow(member: &Member, rules: Value) {
    member.create("roles", json!({"metadata": {"name": "r"}, "rules": rules})).await.expect("creates");
    let binding = json!({
        "metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "Group", "name": "developers"}],
    });
    member.create("rolebindings", binding).await.expect("creates");
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
