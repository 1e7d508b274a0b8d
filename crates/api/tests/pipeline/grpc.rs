//! The port over gRPC: its certificates, streams, roles and views.

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use serde_json::{Value, json};
use tonic::transport::Identity;

use crate::member::{Member, PATIENCE, config_map};
use crate::pki;

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
            client.get(proto::GetRequest { name: Some(name), ..Default::default() }).await
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
        let name = Some(proto::ObjectName { resource, namespace, name, ..Default::default() });
        proto::GetRequest { name, ..Default::default() }
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
