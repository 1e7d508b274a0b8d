//! Objects of kinds that users define: every verb, and what their schemas say.

use http::Method;
use serde_json::{Value, json};

use crate::cron_tabs::{BETA, DEFINITIONS, OWN, TABLE, V1, cron_tab, definition, established};
use crate::member::{Lines, Member, administrator};

#[tokio::test]
async fn custom_objects_live_through_every_verb_in_every_version() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let watch = format!("{BETA}?watch=true");
    let mut watch = Lines::new(member.open(administrator(), Method::GET, &watch, &[], "").await);

    let created = member.post(V1, &cron_tab("a")).await.expect(201);
    assert_eq!((&created["apiVersion"], &created["metadata"]["generation"]), (&json!("example.com/v1"), &json!(1)));
    member.post(V1, &cron_tab("a")).await.expect(409);
    let event = watch.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["apiVersion"]), (&json!("ADDED"), &json!("example.com/v1beta1")));
    let seen = member.get(&format!("{BETA}/a")).await;
    assert_eq!(seen.headers["warning"], "299 - \"example.com/v1beta1 CronTab is deprecated\"");
    let mut seen = seen.expect(200);
    assert_eq!(seen["apiVersion"], "example.com/v1beta1");
    assert_eq!(seen["metadata"]["uid"], created["metadata"]["uid"]);

    seen["spec"]["cronSpec"] = "1".into();
    let updated = member.put(&format!("{BETA}/a"), &seen).await.expect(200);
    assert_eq!(
        (&updated["apiVersion"], &updated["metadata"]["generation"]),
        (&json!("example.com/v1beta1"), &json!(2))
    );
    member.put(&format!("{BETA}/a"), &seen).await.expect(409);
    let patch = json!({"metadata": {"labels": {"x": "y"}}});
    let patched = member.patch(&format!("{V1}/a"), "merge", &patch).await.expect(200);
    assert_eq!(patched["metadata"]["generation"], 2, "labels are no change of what is wanted");
    let json_patch = json!([{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/hold"]}]);
    member.patch(&format!("{V1}/a"), "json", &json_patch).await.expect(200);
    member.patch(&format!("{V1}/a"), "strategic-merge", &patch).await.expect(415);
    let list = member.get(&format!("{BETA}?labelSelector=x%3Dy")).await.expect(200);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("CronTabList"), &json!("example.com/v1beta1")));
    assert_eq!(list["items"][0]["apiVersion"], "example.com/v1beta1");

    let table = member.send(Method::GET, V1, &[("accept", TABLE)], "").await.expect(200);
    let columns: Vec<(&Value, &Value)> = table["columnDefinitions"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|one| (&one["name"], &one["priority"]))
        .collect();
    assert_eq!(json!(columns), json!([["Name", 0], ["Spec", 0], ["Replicas", 0], ["Image", 1], ["Age", 0]]));
    assert_eq!(table["rows"][0]["cells"][1], "1");
    let protobuf = [("accept", "application/vnd.kubernetes.protobuf")];
    let (refused, _) = member.send_bytes(Method::GET, V1, &protobuf, "").await;
    assert_eq!(refused.status.as_u16(), 406);
    let protobuf = [("content-type", "application/vnd.kubernetes.protobuf")];
    assert_eq!(member.send(Method::POST, V1, &protobuf, "k8s\0").await.code.as_u16(), 415);

    let dry = member.delete(&format!("{V1}/a?dryRun=All")).await.expect(200);
    assert_eq!(dry["metadata"]["name"], "a");
    let going = member.delete(&format!("{V1}/a")).await.expect(200);
    assert!(going["metadata"]["deletionTimestamp"].is_string(), "its finalizer holds it");
    member.patch(&format!("{V1}/a"), "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    member.get(&format!("{V1}/a")).await.expect(404);
    for name in ["b", "c"] {
        member
            .post(BETA, &{
                let mut object = cron_tab(name);
                object["apiVersion"] = "example.com/v1beta1".into();
                object
            })
            .await
            .expect(201);
    }
    member.delete(V1).await.expect(200);
    assert_eq!(member.get(V1).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn what_a_schema_says_holds() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let mut object = cron_tab("a");
    object["spec"]["nonsense"] = true.into();
    object["metadata"]["nonsense"] = true.into();
    let refused = member.post(&format!("{V1}?fieldValidation=Strict"), &object).await.expect(400);
    let message = refused["message"].as_str().expect("text").to_owned();
    assert!(message.contains("unknown field \"spec.nonsense\""), "{message}");
    assert!(message.contains("unknown field \"metadata.nonsense\""), "{message}");
    let warned = member.post(&format!("{V1}?fieldValidation=Warn&dryRun=All"), &object).await;
    let warnings: Vec<_> = warned.headers.get_all("warning").iter().map(|text| text.to_str().expect("text")).collect();
    assert!(warnings.iter().any(|text| text.contains("spec.nonsense")), "{warnings:?}");
    let created = member.post(&format!("{V1}?fieldValidation=Ignore"), &object).await.expect(201);
    assert_eq!(
        created["spec"],
        json!({"cronSpec": "* * 5", "image": "busybox", "replicas": 1}),
        "pruned, with defaults"
    );
    assert!(created["metadata"].get("nonsense").is_none());

    for (spec, field) in [
        (json!({}), "spec.cronSpec"),
        (json!({"cronSpec": "often"}), "spec.cronSpec"),
        (json!({"cronSpec": "5", "replicas": -1}), "spec.replicas"),
        (json!({"cronSpec": "5", "replicas": "many"}), "spec.replicas"),
    ] {
        let mut wrong = cron_tab("wrong");
        wrong["spec"] = spec;
        let refused = member.post(V1, &wrong).await.expect(422);
        let causes = refused["details"]["causes"].as_array().expect("causes");
        assert!(causes.iter().any(|cause| cause["field"] == field), "{field}: {refused}");
    }
    let ports = json!({"spec": {"ports": [{"port": 1}, {"port": 1}]}});
    let refused = member.patch(&format!("{V1}/a"), "merge", &ports).await.expect(422);
    assert_eq!(refused["details"]["causes"][0]["reason"], "FieldValueDuplicate", "{refused}");
    let selected = member.get(&format!("{V1}?fieldSelector=spec.image%3Dbusybox")).await.expect(200);
    assert_eq!(selected["items"][0]["metadata"]["name"], "a");
    let none = member.get(&format!("{V1}?fieldSelector=spec.image%3Dother")).await.expect(200);
    assert_eq!(none["items"], json!([]));
    member.get(&format!("{V1}?fieldSelector=spec.replicas%3D1")).await.expect(400);

    // Another default is seen at once in what was stored without the field.
    let mut changed = definition();
    let properties = &mut changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    properties["spec"]["properties"]["zone"] = json!({"type": "string", "default": "here"});
    let current = member.get(OWN).await.expect(200);
    changed["metadata"] = current["metadata"].clone();
    member.put(OWN, &changed).await.expect(200);
    let seen = member.get(&format!("{V1}/a")).await.expect(200);
    assert_eq!((&seen["spec"]["zone"], &seen["metadata"]["generation"]), (&json!("here"), &json!(1)));
    let seen = member.get(&format!("{BETA}/a")).await.expect(200);
    assert!(seen["spec"].get("zone").is_none(), "the other version does not have it: {seen}");
}

#[tokio::test]
async fn rules_see_the_object_and_what_it_was() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let mut object = cron_tab("a");
    object["spec"]["replicas"] = 11.into();
    let refused = member.post(V1, &object).await.expect(422);
    assert_eq!(refused["details"]["causes"][0]["field"], "spec", "{refused}");
    assert!(refused["message"].as_str().expect("text").contains("at most ten replicas"), "{refused}");
    object["spec"]["replicas"] = 3.into();
    member.post(V1, &object).await.expect(201);
    let other = json!({"spec": {"image": "other"}});
    let refused = member.patch(&format!("{V1}/a"), "merge", &other).await.expect(422);
    assert!(refused["message"].as_str().expect("text").contains("scale down first"), "{refused}");
    member.patch(&format!("{V1}/a"), "merge", &json!({"spec": {"replicas": 0}})).await.expect(200);
    member.patch(&format!("{V1}/a"), "merge", &other).await.expect(200);

    let mut broken = definition();
    let schema = &mut broken["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"]["x-kubernetes-validations"] = json!([{"rule": "self.nothing > 1"}]);
    broken["spec"]["group"] = "example.org".into();
    broken["metadata"]["name"] = "crontabs.example.org".into();
    let refused = member.post(DEFINITIONS, &broken).await.expect(422);
    assert!(refused["message"].as_str().expect("text").contains("x-kubernetes-validations[0].rule"), "{refused}");
}

#[tokio::test]
async fn status_and_scale_are_where_the_definition_says() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let mut object = cron_tab("a");
    object["status"] = json!({"replicas": 7});
    let created = member.post(V1, &object).await.expect(201);
    assert!(created.get("status").is_none(), "status is the controller's: {created}");
    let own = format!("{V1}/a");
    let status = json!({"spec": {"replicas": 5}, "status": {"replicas": 2, "selector": "app=x"}});
    let patched = member.patch(&format!("{own}/status"), "merge", &status).await.expect(200);
    assert_eq!((&patched["spec"]["replicas"], &patched["status"]["replicas"]), (&json!(1), &json!(2)));
    assert_eq!(patched["metadata"]["generation"], 1);
    let scale = member.get(&format!("{own}/scale")).await.expect(200);
    assert_eq!((&scale["kind"], &scale["apiVersion"]), (&json!("Scale"), &json!("autoscaling/v1")));
    assert_eq!(
        (&scale["spec"], &scale["status"]),
        (&json!({"replicas": 1}), &json!({"replicas": 2, "selector": "app=x"}))
    );
    let scaled = member.patch(&format!("{own}/scale"), "merge", &json!({"spec": {"replicas": 4}})).await.expect(200);
    assert_eq!(scaled["spec"]["replicas"], 4);
    let seen = member.get(&own).await.expect(200);
    assert_eq!((&seen["spec"]["replicas"], &seen["metadata"]["generation"]), (&json!(4), &json!(2)));
    member.patch(&format!("{own}/scale"), "merge", &json!({"spec": {"replicas": -1}})).await.expect(422);
}

#[tokio::test]
async fn server_side_apply_merges_lists_by_the_keys_of_the_schema() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let apply = async |manager: &str, spec: Value| {
        let mut config = cron_tab("a");
        config["spec"] = spec;
        let path = format!("{V1}/a?fieldManager={manager}");
        let headers = [("content-type", "application/apply-patch+yaml")];
        member.send(Method::PATCH, &path, &headers, config.to_string()).await
    };
    let port = |number: u16, name: &str| json!({"port": number, "name": name});
    apply("one", json!({"cronSpec": "5", "ports": [port(80, "web")]})).await.expect(201);
    let both = apply("two", json!({"ports": [port(443, "tls")]})).await.expect(200);
    assert_eq!(both["spec"]["ports"], json!([port(80, "web"), port(443, "tls")]));
    let fields = both["metadata"]["managedFields"].to_string();
    assert!(fields.contains("k:{\\\"port\\\":443}"), "{fields}");
    let conflict = apply("two", json!({"cronSpec": "6", "ports": [port(443, "tls")]})).await.expect(409);
    assert!(conflict["message"].as_str().expect("text").contains(".spec.cronSpec"), "{conflict}");
    let rest = apply("two", json!({})).await.expect(200);
    assert_eq!(rest["spec"]["ports"], json!([port(80, "web")]), "what one manager gives up goes");
}
