//! Writes through the pipeline: guards, conflicts and batches.

use std::sync::Arc;

use bytes::Bytes;
use keelson_api::pipeline::{Operation, Outcome, ReadVersion, WriteOptions};
use serde_json::{Value, json};

use crate::member::{Member, admin, config_map, controller, target, version};

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
