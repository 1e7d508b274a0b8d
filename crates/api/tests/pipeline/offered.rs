//! What discovery does not offer is refused with nothing done, over both fronts.

use axum::body::Body;
use http::Method;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use keelson_types::Kind;
use keelson_types::registry;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::https::Https;
use crate::member::Member;

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const REFUSAL: &str = "the server does not allow this method on the requested resource";

/// The verbs that discovery tells of a kind.
async fn discovered(client: &mut Https, kind: &Kind) -> Vec<String> {
    let path = match kind.group {
        "" => format!("/api/{}", kind.version),
        group => format!("/apis/{group}/{}", kind.version),
    };
    let resources = client.get(&path).await.json();
    let mut all = resources["resources"].as_array().expect("a list").iter();
    let own = all.find(|resource| resource["name"] == kind.plural).expect("is discovered");
    serde_json::from_value(own["verbs"].clone()).expect("a list of words")
}

/// Asks for something that changes nothing if it is done; whether the method was refused.
async fn is_refused_over_rest(client: &mut Https, kind: &Kind, verb: &str) -> bool {
    let base = match kind.group {
        "" => format!("/api/{}", kind.version),
        group => format!("/apis/{group}/{}", kind.version),
    };
    let namespace = if kind.namespaced { "namespaces/default/" } else { "" };
    let collection = format!("{base}/{namespace}{}", kind.plural);
    let object = format!("{collection}/nobody?dryRun=All");
    let nothing = "dryRun=All&labelSelector=nobody%3Dis-labelled-so";
    let (method, path) = match verb {
        "create" => (Method::POST, format!("{collection}?dryRun=All")),
        "delete" => (Method::DELETE, object),
        "deletecollection" => (Method::DELETE, format!("{collection}?{nothing}")),
        "get" => (Method::GET, format!("{collection}/nobody")),
        "list" => (Method::GET, collection),
        "patch" => (Method::PATCH, object),
        "update" => (Method::PUT, object),
        _ => (Method::GET, format!("{collection}?watch=true")),
    };
    let body = if matches!(verb, "create" | "patch" | "update") { Body::from("{}") } else { Body::empty() };
    // A watch has no end: its head tells enough.
    client.open(method, &path, body).await.expect("is answered").status() == 405
}

async fn is_refused_over_grpc(client: &mut ObjectsClient<Channel>, kind: &Kind, verb: &str) -> bool {
    let resource = proto::Resource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        resource: kind.plural.to_owned(),
    };
    let namespace = if kind.namespaced { "default" } else { "" };
    let all =
        proto::ObjectName { resource: Some(resource), namespace: namespace.to_owned(), ..proto::ObjectName::default() };
    let one = proto::ObjectName { name: "nobody".to_owned(), ..all.clone() };
    let (all, one) = (Some(all), Some(one));
    let object = Some(proto::Object { json: "{}".into() });
    let options = Some(proto::WriteOptions { dry_run: true, ..proto::WriteOptions::default() });
    let told = match verb {
        "create" => {
            let request = proto::CreateRequest { name: all, object, options };
            client.create(request).await.map(|_| ())
        }
        "delete" => {
            let request = proto::DeleteRequest { name: one, options, ..proto::DeleteRequest::default() };
            client.delete(request).await.map(|_| ())
        }
        "deletecollection" => {
            let label_selector = "nobody=is-labelled-so".to_owned();
            let request = proto::DeleteCollectionRequest { name: all, label_selector, options, ..Default::default() };
            client.delete_collection(request).await.map(|_| ())
        }
        "get" => client.get(proto::GetRequest { name: one, ..Default::default() }).await.map(|_| ()),
        "list" => client.list(proto::ListRequest { name: all, ..Default::default() }).await.map(|_| ()),
        "patch" => {
            let patch_type = proto::patch_request::Type::Merge as i32;
            let request = proto::PatchRequest { name: one, r#type: patch_type, patch: "{}".into(), options };
            client.patch(request).await.map(|_| ())
        }
        "update" => {
            let request = proto::UpdateRequest { name: one, object, options };
            client.update(request).await.map(|_| ())
        }
        _ => client.watch(proto::WatchRequest { name: all, ..Default::default() }).await.map(|_| ()),
    };
    told.is_err_and(|status| status.code() == tonic::Code::Unimplemented && status.message() == REFUSAL)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_takes_the_verbs_that_discovery_offers_and_no_other() {
    let member = Member::start().await;
    let mut rest = Https::administrator(&member).await;
    let admin = member.authority.client("kubernetes-admin", &["system:masters"]);
    let mut grpc = ObjectsClient::new(member.dial(Some(admin)).await);
    for kind in registry::all() {
        let offered = discovered(&mut rest, kind).await;
        for verb in VERBS {
            let refused = !offered.iter().any(|own| own == verb);
            let what = format!("{verb} {} of {}", kind.plural, kind.api_version());
            assert_eq!(is_refused_over_rest(&mut rest, kind, verb).await, refused, "REST: {what}");
            assert_eq!(is_refused_over_grpc(&mut grpc, kind, verb).await, refused, "gRPC: {what}");
        }
    }
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_are_never_deleted_all_at_once() {
    let member = Member::start().await;
    let mut rest = Https::administrator(&member).await;
    let admin = member.authority.client("kubernetes-admin", &["system:masters"]);
    let mut grpc = ObjectsClient::new(member.dial(Some(admin)).await);
    for name in ["aa-user", "zz-user"] {
        member.create("namespaces", json!({"metadata": {"name": name}})).await.expect("creates");
    }
    let before = rest.get("/api/v1/namespaces").await.json();

    let refused = rest.send(Method::DELETE, "/api/v1/namespaces", Body::empty()).await;
    assert_eq!((refused.code.as_u16(), &refused.json()["reason"]), (405, &Value::from("MethodNotAllowed")));
    let resource = Some(proto::Resource { resource: "namespaces".to_owned(), ..proto::Resource::default() });
    let name = Some(proto::ObjectName { resource, ..proto::ObjectName::default() });
    let request = proto::DeleteCollectionRequest { name, ..Default::default() };
    let refused = grpc.delete_collection(request).await.expect_err("is refused");
    assert_eq!((refused.code(), refused.message()), (tonic::Code::Unimplemented, REFUSAL));

    let after = rest.get("/api/v1/namespaces").await.json();
    assert_eq!(after["items"], before["items"]);
    member.stop().await;
}
