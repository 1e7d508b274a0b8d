//! What reads over gRPC give, beside what REST gives: tables, metadata alone, states of the past, and where watches begin and end.

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::InitialEvents as Initial;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::https::Https;
use crate::member::{Member, PATIENCE, config_map, object_name, version};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A member with two ConfigMaps besides its own, who speaks for an administrator.
async fn started() -> (Member, ObjectsClient<Channel>) {
    let member = Member::start().await;
    for name in ["a", "b"] {
        member.create("configmaps", config_map(name, "web")).await.expect("creates");
    }
    let identity = member.authority.client("kubernetes-admin", &["system:masters"]);
    let client = ObjectsClient::new(member.dial(Some(identity)).await);
    (member, client)
}

fn maps() -> Option<proto::ObjectName> {
    Some(object_name("", "configmaps", "default"))
}

fn view(form: proto::Form, include: proto::IncludeObject) -> Option<proto::View> {
    Some(proto::View { form: form.into(), include_object: include.into() })
}

fn parsed(object: &proto::Object) -> Value {
    serde_json::from_slice(&object.json).expect("is JSON")
}

async fn list(client: &mut ObjectsClient<Channel>, request: proto::ListRequest) -> proto::ListResponse {
    let mut chunks = client.list(proto::ListRequest { name: maps(), ..request }).await.expect("lists").into_inner();
    let chunk = chunks.message().await.expect("is no error").expect("has a chunk");
    assert!(chunks.message().await.expect("is no error").is_none(), "so little is one chunk");
    chunk
}

/// The cells but the age, which grows between two looks, and what stands beside them.
fn without_age(row: &Value) -> (Vec<Value>, Value) {
    let cells = row["cells"].as_array().expect("a list");
    (cells[..cells.len() - 1].to_vec(), row["object"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_and_metadata_are_those_of_rest() {
    let (member, mut client) = started().await;
    let mut rest = Https::administrator(&member).await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    for (include, word) in [
        (proto::IncludeObject::Unspecified, "Metadata"),
        (proto::IncludeObject::None, "None"),
        (proto::IncludeObject::Metadata, "Metadata"),
        (proto::IncludeObject::Object, "Object"),
    ] {
        let shown = rest.get_as(&format!("{MAPS}?includeObject={word}"), table).await.json();
        let request = proto::ListRequest { view: view(proto::Form::Table, include), ..Default::default() };
        let rows = list(&mut client, request).await;
        let columns: Vec<Value> = rows
            .columns
            .iter()
            .map(|column| {
                json!({
                    "name": column.name, "type": column.r#type, "format": column.format,
                    "description": column.description, "priority": column.priority,
                })
            })
            .collect();
        assert_eq!(json!(columns), shown["columnDefinitions"]);
        let expected: Vec<_> = shown["rows"].as_array().expect("a list").iter().map(without_age).collect();
        let told: Vec<_> = rows.objects.iter().map(|row| without_age(&parsed(row))).collect();
        assert_eq!(told, expected, "{word}");
        assert!(told.len() >= 2);
    }
    let one = Some(proto::ObjectName { name: "a".to_owned(), ..object_name("", "configmaps", "default") });
    let metadata = view(proto::Form::Metadata, proto::IncludeObject::Unspecified);
    let request = proto::GetRequest { name: one, view: metadata, ..Default::default() };
    let got = client.get(request).await.expect("reads").into_inner();
    let partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let shown = rest.get_as(&format!("{MAPS}/a"), partial).await.json();
    assert_eq!((parsed(&got.object.expect("has an object")), got.columns.len()), (shown, 0));
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_of_the_state_that_is_asked_for_and_says_how_much_is_left() {
    let (member, mut client) = started().await;
    let before = list(&mut client, proto::ListRequest::default()).await;
    member.delete("configmaps", "a").await.expect("deletes");
    let exact = proto::ListRequest {
        resource_version: before.resource_version.clone(),
        version_match: proto::VersionMatch::Exact.into(),
        ..Default::default()
    };
    assert_eq!(list(&mut client, exact.clone()).await.objects, before.objects, "as it was");
    let newer = proto::ListRequest { version_match: proto::VersionMatch::NotOlderThan.into(), ..exact.clone() };
    assert_eq!(list(&mut client, newer).await.objects.len(), before.objects.len() - 1);
    let page = list(&mut client, proto::ListRequest { limit: 1, ..exact.clone() }).await;
    assert_eq!(page.remaining, Some(before.objects.len() as i64 - 1));
    assert!(!page.r#continue.is_empty());
    for resource_version in ["", "0"] {
        let nothing =
            proto::ListRequest { name: maps(), resource_version: resource_version.to_owned(), ..exact.clone() };
        let refused = client.list(nothing).await.expect_err("names no revision");
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }
    member.stop().await;
}

/// How many initial events a watch has; None when it ends without having told that they are over.
async fn initial(client: &mut ObjectsClient<Channel>, request: proto::WatchRequest) -> Option<usize> {
    let request = proto::WatchRequest { name: maps(), ..request };
    let mut messages = client.watch(request).await.expect("watches").into_inner();
    let mut events = 0;
    let told = async {
        while let Some(message) = messages.message().await.expect("it ends well when its time is over") {
            if message.initial_events_end {
                return Some(events);
            }
            events += message.events.iter().filter(|event| event.object.is_some()).count();
        }
        None
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it ends in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_begins_where_it_is_told_and_ends_in_its_time() {
    let (member, mut client) = started().await;
    let list = list(&mut client, proto::ListRequest::default()).await;
    let all = Some(list.objects.len());
    let first = version(&parsed(&list.objects[0])).to_string();
    for (resource_version, asked, expected) in [
        ("", Initial::Unspecified, all),
        ("0", Initial::Unspecified, all),
        (first.as_str(), Initial::Unspecified, None),
        ("", Initial::Send, all),
        ("0", Initial::Send, all),
        (first.as_str(), Initial::Send, all),
        ("", Initial::Skip, None),
        ("0", Initial::Skip, None),
        (first.as_str(), Initial::Skip, None),
    ] {
        let request = proto::WatchRequest {
            resource_version: resource_version.to_owned(),
            initial_events: asked.into(),
            // One that has none would go on for ever.
            timeout_seconds: u64::from(expected.is_none()),
            ..Default::default()
        };
        assert_eq!(initial(&mut client, request).await, expected, "{resource_version:?} {asked:?}");
    }
    member.stop().await;
}
