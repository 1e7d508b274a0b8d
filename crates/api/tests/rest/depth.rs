//! Nobody can nest an object so deep that walking it overflows a stack, or that it cannot be read again.

use http::Method;
use keelson_types::decode::DEPTH_MAX;
use serde_json::{Value, json};

use crate::cron_tabs::{TABLE, V1, cron_tab, definition, established};
use crate::member::{Lines, Member, administrator};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// A kind with a field of any JSON.
const REVISIONS: &str = "/apis/apps/v1/namespaces/default/controllerrevisions";

/// `levels` objects, each in the next.
fn deep(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"a": inner}))
}

fn add(path: &str, value: Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

#[tokio::test]
async fn a_patch_cannot_nest_an_object_without_bound() {
    let member = Member::start().await;
    let created = member.post(MAPS, &json!({"metadata": {"name": "m"}, "data": {"a": "1"}})).await.expect(201);
    let path = format!("{MAPS}/m");
    // Each value goes where the one before ends.
    let adds = (0..50).map(|round| add(&format!("/x{}", "/a".repeat(90 * round)), deep(90))).collect();
    // Each copy doubles the depth: a quarter of a million levels in the end.
    let copy = |round: u32| json!({"op": "copy", "from": "/x", "path": format!("/x{}", "/a".repeat(2 << round))});
    let copies = std::iter::once(add("/x", deep(2))).chain((0..17).map(copy)).collect();
    let patches: [(&str, Vec<Value>); 4] = [
        ("adds", adds),
        ("copies", copies),
        ("a deep value", vec![add("/x", deep(120))]),
        ("a value that has room beside managedFields only", vec![add("/x", deep(DEPTH_MAX))]),
    ];
    for (what, operations) in patches {
        let refused = member.patch(&path, "json", &Value::Array(operations)).await.expect(422);
        let message = refused["message"].as_str().unwrap_or_default();
        assert!(message.contains("nest deeper than 110 levels"), "{what}: {refused}");
        assert_eq!(member.get(&path).await.expect(200), created, "{what}");
    }
    for format in ["merge", "strategic-merge"] {
        member.patch(&path, format, &json!({"data": deep(125)})).await.expect(422);
        assert_eq!(member.get(&path).await.expect(200), created, "{format}");
    }
    let patched = member.patch(&path, "json", &json!([add("/data/b", json!("2"))])).await.expect(200);
    assert_eq!(patched["data"], json!({"a": "1", "b": "2"}));
}

#[tokio::test]
async fn what_is_stored_can_be_read_again() {
    let member = Member::start().await;
    let revision = |name: &str, levels| json!({"metadata": {"name": name}, "revision": 1, "data": deep(levels)});
    for levels in [DEPTH_MAX, DEPTH_MAX + 7] {
        let refused = member.post(REVISIONS, &revision("too-deep", levels)).await.expect(400);
        assert!(refused["message"].as_str().expect("text").contains("nest deeper than 110 levels"), "{refused}");
        member.get(&format!("{REVISIONS}/too-deep")).await.expect(404);
    }
    let path = format!("{REVISIONS}/deep");
    let data = deep(DEPTH_MAX - 1);
    member.post(REVISIONS, &revision("deep", DEPTH_MAX - 1)).await.expect(201);
    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    for format in ["merge", "strategic-merge"] {
        member.patch(&path, format, &labels).await.expect(200);
        assert_eq!(member.get(&path).await.expect(200)["data"], data, "{format}");
    }
    assert_eq!(member.get(REVISIONS).await.expect(200)["items"][0]["data"], data);
    member.delete(&path).await.expect(200);
}

#[tokio::test]
async fn an_object_as_deep_as_it_may_be_can_be_changed_by_whoever_manages_its_fields() {
    let member = Member::start().await;
    let mut definition = definition();
    for version in definition["spec"]["versions"].as_array_mut().expect("versions") {
        version["schema"]["openAPIV3Schema"]["properties"]["any"] =
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    established(&member, &definition).await;
    let mut object = cron_tab("deep");
    object["any"] = deep(DEPTH_MAX);
    member.post(&format!("{V1}?fieldManager=a"), &object).await.expect(400);
    object["any"] = deep(DEPTH_MAX - 1);
    let made = member.post(&format!("{V1}?fieldManager=a"), &object).await.expect(201);
    assert!(made["metadata"]["managedFields"].is_array(), "{made}");
    let path = format!("{V1}/deep?fieldManager=b");
    member.patch(&path, "merge", &json!({"metadata": {"labels": {"a": "b"}}})).await.expect(200);
    member.patch(&path, "json", &json!([add("/metadata/labels/c", json!("d"))])).await.expect(200);
    let mut now = member.get(&format!("{V1}/deep")).await.expect(200);
    now["metadata"]["labels"] = json!({"e": "f"});
    let now = member.put(&path, &now).await.expect(200);
    assert_eq!(now["any"], object["any"]);

    // Wherever it is told of, it is read by a client that stops at 128 levels, as this one does.
    let parts = |object: &Value| (object["metadata"].clone(), object["any"].clone());
    assert_eq!(parts(&member.get(V1).await.expect(200)["items"][0]), parts(&now));
    let table = format!("{V1}?includeObject=Object");
    let table = member.send(Method::GET, &table, &[("accept", TABLE)], "").await.expect(200);
    assert_eq!(table["rows"][0]["object"]["any"], object["any"]);
    let watch = format!("{V1}?watch=true");
    let mut watch = Lines::new(member.open(administrator(), Method::GET, &watch, &[], "").await);
    assert_eq!(parts(&watch.next().await.expect("an event")["object"]), parts(&now));
}
