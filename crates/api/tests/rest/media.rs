//! The same objects in each media type: protobuf and YAML say what JSON says, and long answers are compressed.

use std::io::Read as _;

use http::Method;
use keelson_api::protobuf;
use serde_json::{Value, json};

use crate::member::{Member, administrator};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn map(name: &str, bytes: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"is": "long"}},
        "data": {"a": "x".repeat(bytes)},
    })
}

fn decoded(document: &[u8]) -> Value {
    protobuf::decode(document, ("", "")).expect("is protobuf")
}

#[tokio::test]
async fn an_object_is_written_and_read_as_protobuf() {
    let member = Member::start().await;
    let headers = [("content-type", PROTOBUF), ("accept", "application/vnd.kubernetes.protobuf,application/json")];
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{
                    "name": "a", "image": "a:1",
                    "resources": {"limits": {"cpu": "500m"}},
                    "livenessProbe": {"httpGet": {"port": "http"}},
                }]},
            },
        },
    });
    let body = protobuf::document(&deployment).expect("is written");
    let (head, created) = member.send_bytes(Method::POST, DEPLOYMENTS, &headers, body.clone()).await;
    assert_eq!((head.status.as_u16(), head.headers["content-type"].as_bytes()), (201, PROTOBUF.as_bytes()));
    let created = decoded(&created);
    assert_eq!(created["spec"]["replicas"], 0, "zero is a value");
    let path = format!("{DEPLOYMENTS}/d");
    let read = member.get(&path).await.expect(200);
    assert_eq!(read["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["httpGet"]["port"], "http");
    let (_, again) = member.send_bytes(Method::GET, &path, &headers, "").await;
    assert_eq!(decoded(&again)["spec"], created["spec"]);
    let known = created["metadata"]["uid"].as_str().zip(read["metadata"]["uid"].as_str());
    assert!(known.is_some_and(|(one, other)| one == other), "{created}");

    let (head, refused) = member.send_bytes(Method::POST, DEPLOYMENTS, &headers, body).await;
    assert_eq!((head.status.as_u16(), head.headers["content-type"].as_bytes()), (409, PROTOBUF.as_bytes()));
    let refused = decoded(&refused);
    assert_eq!((refused["kind"].as_str(), refused["reason"].as_str()), (Some("Status"), Some("AlreadyExists")));

    let scale =
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 3}});
    let body = protobuf::document(&scale).expect("is written");
    let (_, scaled) = member.send_bytes(Method::PUT, &format!("{path}/scale"), &headers, body).await;
    assert_eq!(
        (decoded(&scaled)["kind"].as_str(), decoded(&scaled)["spec"]["replicas"].as_i64()),
        (Some("Scale"), Some(3))
    );

    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    let body = protobuf::document(&other).expect("is written");
    let (head, refused) = member.send_bytes(Method::POST, DEPLOYMENTS, &headers, body).await;
    assert_eq!((head.status.as_u16(), decoded(&refused)["reason"].as_str()), (400, Some("BadRequest")));
    let (head, _) = member.send_bytes(Method::POST, DEPLOYMENTS, &headers, &b"k8s\0\x12\xff"[..]).await;
    assert_eq!(head.status.as_u16(), 400);
}

#[tokio::test]
async fn a_list_is_the_same_in_every_media_type() {
    let member = Member::start().await;
    // One list that is kept between measuring and sending, one that is encoded twice.
    for (count, bytes) in [(3, 100), (4, 300 << 10)] {
        for index in 0..count {
            member.post(MAPS, &map(&format!("m{index}-{bytes}"), bytes)).await.expect(201);
        }
        let plain = member.get(MAPS).await.expect(200);
        let (head, list) = member.send_bytes(Method::GET, MAPS, &[("accept", PROTOBUF)], "").await;
        assert_eq!(head.headers["content-type"], PROTOBUF);
        let list = decoded(&list);
        assert_eq!((&list["kind"], &list["metadata"]), (&plain["kind"], &plain["metadata"]));
        let items = |list: &Value| -> Vec<Value> {
            let items = list["items"].as_array().expect("a list").iter();
            items
                .map(|item| json!([item["metadata"]["uid"], item["metadata"]["resourceVersion"], item["data"]]))
                .collect()
        };
        assert_eq!(items(&list), items(&plain));

        let yaml = member.send(Method::GET, MAPS, &[("accept", "application/yaml")], "").await;
        assert_eq!(yaml.headers["content-type"], "application/yaml");
        assert_eq!(serde_norway::from_str::<Value>(&yaml.text).expect("is YAML"), plain);

        let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        let (_, list) = member.send_bytes(Method::GET, MAPS, &[("accept", metadata)], "").await;
        let list = decoded(&list);
        assert_eq!(list["kind"], "PartialObjectMetadataList");
        assert!(list["items"][0]["metadata"]["name"].is_string() && list["items"][0].get("data").is_none(), "{list}");
    }
    let nothing = member.send(Method::GET, "/api/v1/pods", &[("accept", "application/yaml")], "").await;
    assert_eq!(serde_norway::from_str::<Value>(&nothing.text).expect("is YAML")["items"], json!([]));
    let (_, nothing) = member.send_bytes(Method::GET, "/api/v1/pods", &[("accept", PROTOBUF)], "").await;
    assert_eq!(decoded(&nothing)["kind"], "PodList");
}

#[tokio::test]
async fn a_long_answer_is_compressed_for_those_who_offer_it() {
    let member = Member::start().await;
    for index in 0..4 {
        member.post(MAPS, &map(&format!("m{index}"), 100 << 10)).await.expect(201);
    }
    let plain = member.get(MAPS).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let (head, zipped) = member.send_bytes(Method::GET, MAPS, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(head.headers["content-encoding"], "gzip");
    assert!(zipped.len() < plain.text.len() / 10);
    let mut text = String::new();
    flate2::read::GzDecoder::new(zipped.as_slice()).read_to_string(&mut text).expect("is gzip");
    assert_eq!(text, plain.text);
    let (head, _) = member.send_bytes(Method::GET, &format!("{MAPS}/m0"), &[("accept-encoding", "gzip")], "").await;
    assert!(!head.headers.contains_key("content-encoding"), "short ones are not");
}

#[tokio::test]
async fn a_watch_sends_protobuf_event_by_event() {
    let member = Member::start().await;
    member.post(MAPS, &map("m", 10)).await.expect(201);
    let path = format!(
        "{MAPS}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
    );
    let (head, body) =
        member.send_bytes(Method::GET, &path, &[("accept", PROTOBUF), ("accept-encoding", "gzip")], "").await;
    assert_eq!(head.headers["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let mut rest = body.as_slice();
    let mut events = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (event, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        let event = [&protobuf::prefixed_document_head("v1", "WatchEvent", event.len())[..], event].concat();
        // The object within is a document itself, not JSON; so only the parts are looked for.
        let object = event.windows(4).skip(1).position(|window| window == protobuf::MAGIC).expect("an object") + 1;
        events.push((event[..object].to_vec(), decoded(&event[object..])));
        rest = after;
    }
    let [(added, object), (bookmark, mark)] = &events[..] else { panic!("{events:?}") };
    assert!(
        added.windows(5).any(|window| window == b"ADDED") && bookmark.windows(8).any(|window| window == b"BOOKMARK")
    );
    assert_eq!((&object["kind"], &object["metadata"]["name"]), (&json!("ConfigMap"), &json!("m")));
    assert_eq!(mark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let refused = member.open(administrator(), Method::GET, &path, &[("accept", "application/yaml")], "").await;
    assert_eq!(refused.status().as_u16(), 406, "a watch has no YAML");
}
