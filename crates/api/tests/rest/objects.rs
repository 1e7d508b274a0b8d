//! Objects through their life: every verb, every form of patch and answer.

use http::Method;
use serde_json::{Value, json};

use crate::member::Member;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]},
            },
        },
    })
}

#[tokio::test]
async fn an_object_lives_through_every_verb() {
    let member = Member::start().await;
    let created = member.post(MAPS, &map("m")).await.expect(201);
    assert!(
        created["metadata"]["uid"].is_string() && created["metadata"]["creationTimestamp"].is_string(),
        "{created}"
    );
    assert_eq!(member.post(MAPS, &map("m")).await.expect(409)["reason"], "AlreadyExists");

    let path = format!("{MAPS}/m");
    let read = member.get(&path).await.expect(200);
    assert_eq!(read, created);

    let mut next = read.clone();
    next["data"]["a"] = "2".into();
    let updated = member.put(&path, &next).await.expect(200);
    assert_eq!(updated["data"]["a"], "2");
    let stale = member.put(&path, &next).await.expect(409);
    assert_eq!(stale["reason"], "Conflict", "{stale}");

    let merged = member.patch(&path, "merge", &json!({"data": {"b": "3"}})).await.expect(200);
    assert_eq!(merged["data"], json!({"a": "2", "b": "3"}));
    let patched = member.patch(&path, "json", &json!([{"op": "remove", "path": "/data/a"}])).await.expect(200);
    assert_eq!(patched["data"], json!({"b": "3"}));

    let gone = member.delete(&path).await.expect(200);
    assert_eq!((gone["kind"].as_str(), gone["status"].as_str()), (Some("Status"), Some("Success")));
    assert_eq!(gone["details"]["uid"], created["metadata"]["uid"]);
    assert_eq!(member.get(&path).await.expect(404)["message"], "configmaps \"m\" not found");
}

#[tokio::test]
async fn yaml_is_an_object_too() {
    let member = Member::start().await;
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata:\n  a: |\n    two\n    lines\n";
    let answer = member.send(Method::POST, MAPS, &[("content-type", "application/yaml")], yaml).await;
    assert_eq!(answer.expect(201)["data"]["a"], "two\nlines\n");
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let member = Member::start().await;
    let answer = member.post(&format!("{MAPS}?dryRun=All"), &map("dry")).await.expect(201);
    assert_eq!(answer["data"]["a"], "1");
    member.get(&format!("{MAPS}/dry")).await.expect(404);
}

#[tokio::test]
async fn a_strategic_patch_changes_one_container() {
    let member = Member::start().await;
    member.post(DEPLOYMENTS, &deployment("d")).await.expect(201);
    let patch = json!({"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
        "containers": [{"name": "b", "image": "b:2"}],
    }}}});
    let patched = member.patch(&format!("{DEPLOYMENTS}/d"), "strategic-merge", &patch).await.expect(200);
    let containers = patched["spec"]["template"]["spec"]["containers"].as_array().expect("a list");
    let images: Vec<&str> = containers.iter().filter_map(|container| container["image"].as_str()).collect();
    assert_eq!(images, ["a:1", "b:2"]);
    assert_eq!(patched["metadata"]["generation"], 2);
}

#[tokio::test]
async fn the_scale_is_read_and_set() {
    let member = Member::start().await;
    member.post(DEPLOYMENTS, &deployment("d")).await.expect(201);
    let path = format!("{DEPLOYMENTS}/d/scale");
    let mut scale = member.get(&path).await.expect(200);
    assert_eq!((scale["kind"].as_str(), scale["spec"]["replicas"].as_i64()), (Some("Scale"), Some(2)));
    assert_eq!(scale["status"]["selector"], "app=d");

    let patched = member.patch(&path, "merge", &json!({"spec": {"replicas": 5}})).await.expect(200);
    assert_eq!((patched["kind"].as_str(), patched["spec"]["replicas"].as_i64()), (Some("Scale"), Some(5)));
    scale["spec"]["replicas"] = 7.into();
    assert_eq!(member.put(&path, &scale).await.expect(409)["reason"], "Conflict");
    assert_eq!(member.get(&format!("{DEPLOYMENTS}/d")).await.expect(200)["spec"]["replicas"], 5);
}

#[tokio::test]
async fn lists_select_page_and_take_each_form() {
    let member = Member::start().await;
    for name in ["a", "b", "c"] {
        let mut object = map(name);
        object["metadata"]["labels"] = json!({"is": name});
        member.post(MAPS, &object).await.expect(201);
    }
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().expect("a list");
        items.iter().filter_map(|item| item["metadata"]["name"].as_str()).map(str::to_owned).collect()
    };
    let selected = member.get(&format!("{MAPS}?labelSelector=is%20in%20(a,c)")).await.expect(200);
    assert_eq!(names(&selected), ["a", "c"]);
    let selected = member.get(&format!("{MAPS}?fieldSelector=metadata.name%3Db")).await.expect(200);
    assert_eq!(names(&selected), ["b"]);

    let first = member.get(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!(names(&first), ["a", "b"]);
    let token = first["metadata"]["continue"].as_str().expect("there is more");
    member.delete(&format!("{MAPS}/c")).await.expect(200);
    let second = member.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(names(&second), ["c"], "a page is of the first page's revision");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(names(&member.get("/api/v1/configmaps").await.expect(200)), ["a", "b"]);

    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let table = member.send(Method::GET, MAPS, &table, "").await.expect(200);
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][1]["cells"][0], "b");
    let metadata = [("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")];
    let metadata = member.send(Method::GET, MAPS, &metadata, "").await.expect(200);
    assert_eq!(names(&metadata), ["a", "b"]);
    assert!(metadata["items"][0].get("data").is_none());
}

#[tokio::test]
async fn a_collection_is_deleted_by_its_selector() {
    let member = Member::start().await;
    for name in ["a", "b"] {
        let mut object = map(name);
        object["metadata"]["labels"] = json!({"is": name});
        member.post(MAPS, &object).await.expect(201);
    }
    let deleted = member.delete(&format!("{MAPS}?labelSelector=is%3Da")).await.expect(200);
    assert_eq!(deleted["kind"], "ConfigMapList");
    let names: Vec<&Value> =
        deleted["items"].as_array().expect("a list").iter().map(|m| &m["metadata"]["name"]).collect();
    assert_eq!(names, ["a"]);
    member.get(&format!("{MAPS}/a")).await.expect(404);
    member.get(&format!("{MAPS}/b")).await.expect(200);
}

#[tokio::test]
async fn a_scale_is_a_number_of_32_bits_and_not_below_zero() {
    let member = Member::start().await;
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template});

    member.post(DEPLOYMENTS, &json!({"metadata": {"name": "d"}, "spec": spec})).await.expect(201);
    let path = format!("{DEPLOYMENTS}/d/scale");
    let scale = |replicas: Value| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": replicas}});
    for (replicas, code) in [
        (json!(1_i64 << 31), 400),
        (json!(i64::MAX), 400),
        (json!(-(1_i64 << 31) - 1), 400),
        (json!(1.5), 400),
        (json!("2"), 400),
        (json!(-1), 422),
    ] {
        let by_patch = member.patch(&path, "merge", &json!({"spec": {"replicas": replicas}})).await;
        by_patch.expect(code);
        let refused = member.put(&path, &scale(replicas)).await.expect(code);
        assert!(refused["message"].as_str().is_some_and(|why| why.contains("spec.replicas")), "{refused}");
    }
    member.put(&path, &scale(json!(i32::MAX))).await.expect(200);
    let kept = member.get(&format!("{DEPLOYMENTS}/d")).await.expect(200);
    assert_eq!(kept["spec"]["replicas"], i32::MAX);
}

#[tokio::test]
async fn metrics_tell_how_many_objects_there_are_and_what_they_take() {
    let member = Member::start().await;
    let figure = async |name: &str| -> usize {
        let answer = member.get("/metrics").await;
        assert_eq!(answer.code.as_u16(), 200, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let start = format!("{name}{{resource=\"configmaps\"}} ");
        let value = answer.text.lines().find_map(|line| line.strip_prefix(&start));
        value.map_or(0, |value| value.parse().expect("is a number"))
    };
    let before = (figure("apiserver_storage_objects").await, figure("keelson_cache_text_bytes").await);
    for name in ["one", "two"] {
        member.post(MAPS, &map(name)).await.expect(201);
    }
    // A list waits until this member has what was written.
    let list = member.get(MAPS).await.expect(200);
    assert_eq!(figure("apiserver_storage_objects").await, before.0 + 2);
    let text = figure("keelson_cache_text_bytes").await - before.1;
    let own =
        list["items"].as_array().into_iter().flatten().filter(|item| item["metadata"]["name"] != "kube-root-ca.crt");
    // Kinds are told once in a list.
    let sent: usize = own.map(|item| item.to_string().len()).sum();
    assert!(text >= sent && text <= sent + 2 * 64, "{text} bytes of text, {sent} of them sent");
    assert!(figure("keelson_cache_bytes").await > figure("keelson_cache_text_bytes").await);
}
