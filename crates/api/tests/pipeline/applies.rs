//! Server-side apply over gRPC: as over REST, one by one and in a batch; and the parts of pods.

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::member::{Member, config_map};
use crate::refusals::{allow, jane};

fn name(resource: &str, name: &str, subresource: &str) -> Option<proto::ObjectName> {
    Some(proto::ObjectName {
        resource: Some(proto::Resource { resource: resource.to_owned(), ..proto::Resource::default() }),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
    })
}

fn apply(manager: &str, data: Value) -> proto::ServerSideApplyRequest {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data});
    let options = proto::WriteOptions { field_manager: manager.to_owned(), ..proto::WriteOptions::default() };
    proto::ServerSideApplyRequest {
        name: name("configmaps", "m", ""),
        object: Some(proto::Object { json: object.to_string().into() }),
        force: false,
        options: Some(options),
    }
}

fn value(object: Option<proto::Object>) -> Value {
    serde_json::from_slice(&object.expect("an object").json).expect("is JSON")
}

async fn administrator(member: &Member) -> ObjectsClient<Channel> {
    ObjectsClient::new(member.dial(Some(member.authority.client("kubernetes-admin", &["system:masters"]))).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_side_apply_over_grpc_is_one_over_rest() {
    use proto::server_side_apply_response::Outcome as Told;
    let member = Member::start().await;
    let mut client = administrator(&member).await;
    for outcome in [Told::Created, Told::Unchanged] {
        let applied = client.server_side_apply(apply("me", json!({"a": "1", "b": "1"}))).await.expect("applies");
        let applied = applied.into_inner();
        assert_eq!(applied.outcome(), outcome);
        let fields = &value(applied.object)["metadata"]["managedFields"][0];
        assert_eq!((&fields["manager"], &fields["operation"]), (&json!("me"), &json!("Apply")));
        assert_eq!(fields["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}}}));
    }
    let conflict = client.server_side_apply(apply("you", json!({"a": "2"}))).await.expect_err("is refused");
    assert_eq!(conflict.code(), tonic::Code::Aborted);
    assert_eq!(conflict.message(), "Apply failed with 1 conflict: conflict with \"me\": .data.a");
    let forced = proto::ServerSideApplyRequest { force: true, ..apply("you", json!({"a": "2"})) };
    let forced = client.server_side_apply(forced).await.expect("is forced").into_inner();
    assert_eq!(forced.outcome(), Told::Configured);
    assert_eq!(value(forced.object)["data"], json!({"a": "2", "b": "1"}));
    let given_up = client.server_side_apply(apply("me", json!({}))).await.expect("applies").into_inner();
    assert_eq!(value(given_up.object)["data"], json!({"a": "2"}));

    let nobody = client.server_side_apply(apply("", json!({}))).await.expect_err("is refused");
    assert_eq!(nobody.code(), tonic::Code::InvalidArgument);
    assert!(nobody.message().contains("fieldManager: Required value"), "{nobody}");
    let nameless = proto::ServerSideApplyRequest { name: name("configmaps", "", ""), ..apply("me", json!({})) };
    let refused = client.server_side_apply(nameless).await.expect_err("is refused");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let mut dry = apply("you", json!({"a": "3"}));
    dry.options = dry.options.map(|options| proto::WriteOptions { dry_run: true, ..options });
    let tried = client.server_side_apply(dry).await.expect("is tried").into_inner();
    assert_eq!(value(tried.object)["data"]["a"], "3");

    // A role that lets somebody patch what is there does not let them make it.
    allow(&member, json!([{"verbs": ["patch"], "apiGroups": [""], "resources": ["configmaps"]}])).await;
    let mut jane = jane(&member).await;
    let hers = jane.server_side_apply(apply("jane", json!({"c": "1"}))).await.expect("applies").into_inner();
    assert_eq!(value(hers.object)["data"], json!({"a": "2", "c": "1"}));
    member.delete("configmaps", "m").await.expect("deletes");
    let refused = jane.server_side_apply(apply("jane", json!({"c": "1"}))).await.expect_err("is refused");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_applies_all_or_nothing() {
    use proto::write_request::Operation as Step;
    use proto::write_request::operation::Operation as Wire;
    let member = Member::start().await;
    member.create("configmaps", config_map("other", "web")).await.expect("creates");
    let mut client = administrator(&member).await;
    let options = || Some(proto::WriteOptions { field_manager: "me".to_owned(), ..proto::WriteOptions::default() });
    let batch = |delete: &str| {
        let delete = proto::DeleteRequest { name: name("configmaps", delete, ""), ..proto::DeleteRequest::default() };
        let operations = [Wire::ServerSideApply(apply("ignored", json!({"a": "1"}))), Wire::Delete(delete)];
        let operations = operations.map(|operation| Step { operation: Some(operation) }).into();
        proto::WriteRequest { operations, options: options() }
    };
    let refused = client.write(batch("none")).await.expect_err("is refused");
    assert_eq!(refused.code(), tonic::Code::NotFound);
    let get = proto::GetRequest { name: name("configmaps", "m", ""), ..Default::default() };
    assert_eq!(client.get(get.clone()).await.expect_err("is not there").code(), tonic::Code::NotFound);
    client.write(batch("other")).await.expect("writes");
    let found = value(client.get(get).await.expect("is there").into_inner().object);
    assert_eq!(found["metadata"]["managedFields"][0]["manager"], "me", "the batch says who writes");
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_pods_are_changed_over_grpc() {
    let member = Member::start().await;
    let resources = json!({"requests": {"cpu": "100m"}});
    let pod = json!({"metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}});
    member.create("pods", pod).await.expect("creates");
    let mut client = administrator(&member).await;
    let patch = |part: &str, patch: Value| proto::PatchRequest {
        name: name("pods", "p", part),
        r#type: proto::patch_request::Type::Strategic.into(),
        patch: patch.to_string().into(),
        options: None,
    };
    let debugger = json!({"spec": {"ephemeralContainers": [{"name": "d", "image": "i"}]}});
    let patched = client.patch(patch("ephemeralcontainers", debugger.clone())).await.expect("patches").into_inner();
    assert_eq!(value(patched.object)["spec"]["ephemeralContainers"][0]["name"], "d");
    let resize = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "200m"}}}]}});
    let resized = client.patch(patch("resize", resize)).await.expect("patches").into_inner();
    assert_eq!(value(resized.object)["spec"]["containers"][0]["resources"]["requests"]["cpu"], "200m");
    let another = json!({"spec": {"ephemeralContainers": [{"name": "e", "image": "i"}]}});
    let refused = client.patch(patch("", another.clone())).await.expect_err("only by their own subresource");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused:?}");
    let apply = |object: &str, part: &str, spec: Value, manager: &str| proto::ServerSideApplyRequest {
        name: name("pods", object, part),
        object: Some(proto::Object {
            json: json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": object}, "spec": spec})
                .to_string()
                .into(),
        }),
        force: false,
        options: Some(proto::WriteOptions { field_manager: manager.to_owned(), ..proto::WriteOptions::default() }),
    };
    let applied = apply("p", "ephemeralcontainers", another["spec"].clone(), "looks-into-it");
    let applied = value(client.server_side_apply(applied).await.expect("applies").into_inner().object);
    let names = applied["spec"]["ephemeralContainers"].as_array().expect("a list").iter().map(|own| &own["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["d", "e"]);
    let managers = applied["metadata"]["managedFields"].as_array().expect("a list");
    let own = managers.iter().find(|entry| entry["manager"] == "looks-into-it").expect("owns what it applied");
    assert_eq!((&own["operation"], &own["subresource"]), (&json!("Apply"), &json!("ephemeralcontainers")));
    let owned = &own["fieldsV1"]["f:spec"]["f:ephemeralContainers"];
    assert!(owned[r#"k:{"name":"e"}"#].is_object() && owned[r#"k:{"name":"d"}"#].is_null(), "{owned}");
    for part in ["ephemeralcontainers", "resize"] {
        let none = client.server_side_apply(apply("none", part, another["spec"].clone(), "m")).await;
        assert_eq!(none.expect_err("there is no such pod").code(), tonic::Code::NotFound, "{part}");
    }
    let get = proto::GetRequest { name: name("pods", "p", "resize"), ..Default::default() };
    assert_eq!(value(client.get(get).await.expect("is read").into_inner().object)["kind"], "Pod");
    member.stop().await;
}
