//! Kinds that users define, over gRPC.

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::kinds_client::KindsClient;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use serde_json::{Value, json};

use crate::member::{Member, PATIENCE, object_name};

/// Things, of which nothing is said but their size.
fn things() -> Value {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 1, "maximum": 9}}}}});
    json!({
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
            }],
        },
    })
}

/// The first event of a watch that is as wanted; gives its object.
async fn first(
    events: &mut tonic::Streaming<proto::WatchResponse>,
    wanted: impl Fn(proto::watch_response::Type, &Value) -> bool,
) -> Value {
    let found = async {
        loop {
            let response = events.message().await.expect("is no error").expect("goes on");
            for event in response.events {
                let object = event.object.clone().map(|object| object.json).unwrap_or_default();
                let object: Value = serde_json::from_slice(&object).unwrap_or_default();
                if wanted(event.r#type(), &object) {
                    return object;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("comes in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_users_define_are_served_over_grpc() {
    use proto::watch_response::Type;
    let member = Member::start().await;
    let channel = member.dial(Some(member.authority.client("kubernetes-admin", &["system:masters"]))).await;
    let kinds = KindsClient::new(channel.clone());
    let mut client = ObjectsClient::new(channel);
    let body = |object: &Value| Some(proto::Object { json: object.to_string().into() });
    let told = |object: Option<proto::Object>| -> Value {
        serde_json::from_slice(&object.expect("has an object").json).expect("is JSON")
    };
    let collection = Some(object_name("example.com", "things", "default"));
    let own = Some(proto::ObjectName { name: "a".to_owned(), ..object_name("example.com", "things", "default") });
    let unknown = client.list(proto::ListRequest { name: collection.clone(), ..Default::default() }).await;
    assert_eq!(unknown.expect_err("is not defined").code(), tonic::Code::NotFound);

    let definitions = Some(object_name("apiextensions.k8s.io", "customresourcedefinitions", ""));
    let watch = proto::WatchRequest { name: definitions.clone(), ..Default::default() };
    let mut events = client.watch(watch).await.expect("watches").into_inner();
    let create = proto::CreateRequest { name: definitions, object: body(&things()), ..Default::default() };
    client.create(create).await.expect("creates");
    first(&mut events, |_, object| {
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True")
    })
    .await;

    let told_of = |word: &str, schemas| {
        let (mut kinds, word) = (kinds.clone(), word.to_owned());
        async move { kinds.list(proto::ListKindsRequest { word, schemas }).await.map(|kinds| kinds.into_inner().kinds) }
    };
    let all = told_of("", false).await.expect("lists");
    let [thing] = all.as_slice() else { panic!("one kind in one version: {all:?}") };
    assert_eq!((thing.group.as_str(), thing.version.as_str(), thing.plural.as_str()), ("example.com", "v1", "things"));
    assert!(thing.namespaced && thing.status && !thing.scale && thing.schema.is_empty());
    let columns: Vec<_> =
        thing.columns.iter().map(|column| (column.name.as_str(), column.json_path.as_str())).collect();
    assert_eq!(columns, [("Size", ".spec.size"), ("Age", ".metadata.creationTimestamp")]);
    for (word, found) in [("thing", 1), ("th", 1), ("Things.example.com", 1), ("pods", 0), ("stuff", 0)] {
        let kinds = told_of(word, true).await.expect("lists");
        assert_eq!(kinds.len(), found, "{word}");
        for kind in kinds {
            let schema: Value = serde_json::from_slice(&kind.schema).expect("is JSON");
            assert_eq!(schema["properties"]["spec"]["properties"]["size"]["maximum"], 9, "{schema}");
        }
    }
    assert_eq!(told_of("all", false).await.expect("lists").len(), 1, "a category");
    for word in ["", "all"] {
        let refused = told_of(word, true).await.expect_err("is too much");
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{word:?}");
    }

    let watch = proto::WatchRequest { name: collection.clone(), ..Default::default() };
    let mut events = client.watch(watch).await.expect("watches").into_inner();
    let thing = json!({"metadata": {"name": "a"}, "spec": {}});
    let create = proto::CreateRequest { name: collection.clone(), object: body(&thing), ..Default::default() };
    let created = told(client.create(create).await.expect("creates").into_inner().object);
    assert_eq!((&created["spec"]["size"], &created["apiVersion"]), (&json!(1), &json!("example.com/v1")));
    assert_eq!(first(&mut events, |kind, _| kind == Type::Added).await["metadata"]["uid"], created["metadata"]["uid"]);

    let mut large = created.clone();
    large["spec"]["size"] = 10.into();
    let update = proto::UpdateRequest { name: own.clone(), object: body(&large), ..Default::default() };
    let refused = client.update(update).await.expect_err("is too large");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("spec.size"), "{refused}");
    let status = proto::ObjectName { subresource: "status".to_owned(), ..own.clone().unwrap_or_default() };
    let patch = proto::PatchRequest {
        name: Some(status),
        r#type: proto::patch_request::Type::Merge as i32,
        patch: json!({"spec": {"size": 5}}).to_string().into(),
        ..Default::default()
    };
    let patched = told(client.patch(patch).await.expect("patches").into_inner().object);
    assert_eq!(patched["spec"]["size"], 1, "a status is no specification");

    let read = proto::GetRequest { name: own.clone(), ..Default::default() };
    let seen = told(client.get(read).await.expect("is there").into_inner().object);
    assert_eq!(seen["metadata"]["uid"], created["metadata"]["uid"]);
    let list = proto::ListRequest { name: collection.clone(), ..Default::default() };
    let mut chunks = client.list(list).await.expect("lists").into_inner();
    assert_eq!(chunks.message().await.expect("is no error").expect("has a chunk").objects.len(), 1);
    let delete = proto::DeleteRequest { name: own, ..Default::default() };
    assert!(client.delete(delete).await.expect("deletes").into_inner().removed);
    first(&mut events, |kind, _| kind == Type::Deleted).await;
    let create = proto::CreateRequest { name: collection, object: body(&thing), ..Default::default() };
    client.create(create).await.expect("creates");
    // What the store has is counted, whoever serves it.
    let count = |definitions: &[&str], namespace: &str| {
        let definitions = definitions.iter().map(|&name| name.to_owned()).collect();
        let request = proto::CountKindsRequest { definitions, namespace: namespace.to_owned() };
        let mut kinds = kinds.clone();
        async move {
            let counts = kinds.count(request).await?.into_inner().counts.into_iter();
            Ok::<_, tonic::Status>(counts.map(|count| (count.definition, count.objects)).collect::<Vec<_>>())
        }
    };
    let serve = {
        let client = client.clone();
        move |served: bool| {
            let mut client = client.clone();
            let name = object_name("apiextensions.k8s.io", "customresourcedefinitions", "");
            let patch = json!([{"op": "replace", "path": "/spec/versions/0/served", "value": served}]);
            let patch = proto::PatchRequest {
                name: Some(proto::ObjectName { name: "things.example.com".to_owned(), ..name }),
                r#type: proto::patch_request::Type::Json as i32,
                patch: patch.to_string().into(),
                ..Default::default()
            };
            async move { client.patch(patch).await.expect("patches") }
        }
    };
    // How many objects of which kind are told of.
    type Counts = [(String, i64)];
    let one = [("things.example.com".to_owned(), 1_i64)];
    for served in [false, true] {
        serve(served).await;
        assert_eq!(told_of("thing", false).await.expect("lists").len(), usize::from(served));
        let cases: [(&[&str], &str, &Counts); 5] = [
            (&[], "", &one),
            (&["things.example.com"], "default", &one),
            (&["things.example.com"], "other", &[]),
            (&["others.example.com"], "", &[]),
            (&["deployments.apps"], "", &[]),
        ];
        for (definitions, namespace, found) in cases {
            let counted = count(definitions, namespace).await.expect("counts");
            assert_eq!(counted, found, "served: {served}, {definitions:?} in {namespace:?}");
        }
    }
    let code = |counted: Result<Vec<(String, i64)>, tonic::Status>| counted.expect_err("is refused").code();
    assert_eq!(code(count(&["a"; 1001], "").await), tonic::Code::InvalidArgument);
    assert_eq!(code(count(&[], "a/b").await), tonic::Code::InvalidArgument);
    let mut jane = KindsClient::new(member.dial(Some(member.authority.client("jane", &[]))).await);
    let asked = jane.count(proto::CountKindsRequest::default()).await;
    assert_eq!(asked.expect_err("may not list them").code(), tonic::Code::PermissionDenied);
    member.stop().await;
}
