//! Definitions of kinds that are odd, wrong or hostile: they harm neither the program's kinds nor each other, nor objects.

use http::Method;
use keelson_api::pipeline::OBJECT_BYTES_MAX;
use keelson_proto::etcdserverpb::{DeleteRangeRequest, PutRequest};
use serde_json::{Value, json};

use crate::cron_tabs::{DEFINITIONS, OWN, V1, cron_tab, definition, established, holds, until, watched};
use crate::member::{Lines, Member, administrator};

/// The definition of another kind.
fn named(plural: &str, kind: &str, group: &str) -> Value {
    let mut definition = definition();
    definition["metadata"]["name"] = format!("{plural}.{group}").into();
    definition["spec"]["group"] = group.into();
    definition["spec"]["names"] = json!({"plural": plural, "kind": kind});
    definition
}

/// The condition as a text: its status and its reason.
fn condition(definition: &Value, kind: &str) -> String {
    let conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|found| found["type"] == kind).cloned().unwrap_or_default();
    format!("{} {}", found["status"].as_str().unwrap_or_default(), found["reason"].as_str().unwrap_or_default())
}

fn put(key: &str, value: String) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.into(), ..PutRequest::default() }
}

async fn remove(member: &Member, key: &str) {
    let gone = DeleteRangeRequest { key: key.to_owned().into(), ..DeleteRangeRequest::default() };
    member.pipeline.store().delete_range(gone).await.expect("is deleted");
}

#[tokio::test]
async fn a_group_of_the_program_is_not_taken_by_any_status() {
    let member = Member::start().await;
    let mut shadow = named("leases", "Lease", "coordination.k8s.io");
    shadow["metadata"]["annotations"] = json!({"api-approved.kubernetes.io": "https://example.com"});
    let mut changes = watched(&member, "leases.coordination.k8s.io").await;
    member.post(DEFINITIONS, &shadow).await.expect(201);
    let conflict = "False GroupConflict";
    until(&mut changes, |line| condition(&line["object"], "NamesAccepted") == conflict).await;

    let path = format!("{DEFINITIONS}/leases.coordination.k8s.io");
    let claim = json!({"status": {
        "conditions": [{"type": "Established", "status": "True", "reason": "x", "message": "", "lastTransitionTime": null}],
        "acceptedNames": {"plural": "leases", "kind": "Lease"},
    }});
    member.patch(&format!("{path}/status"), "merge", &claim).await.expect(200);
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({"metadata": {"name": "a"}, "spec": {"holderIdentity": "me"}});
    let made = member.post(leases, &lease).await.expect(201);
    assert_eq!((&made["spec"], &made["apiVersion"]), (&lease["spec"], &json!("coordination.k8s.io/v1")));
    member.get("/apis/coordination.k8s.io/v1beta1").await.expect(404);
    let claimed = |line: &Value| condition(&line["object"], "Established").starts_with("True");
    until(&mut changes, claimed).await;
    until(&mut changes, |line| condition(&line["object"], "Established") == "False NotAccepted").await;

    // It goes, and takes nothing of the program's along.
    member.delete(&path).await.expect(200);
    until(&mut changes, |line| line["type"] == "DELETED").await;
    member.get(&format!("{leases}/a")).await.expect(200);
}

#[tokio::test]
async fn no_status_moves_a_kind_to_other_names() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    member.post(V1, &cron_tab("a")).await.expect(201);
    let claim = json!({"status": {"acceptedNames": {"plural": "others", "kind": "Other", "listKind": "No such name"}}});
    member.patch(&format!("{OWN}/status"), "merge", &claim).await.expect(200);
    assert_eq!(member.get(V1).await.expect(200)["kind"], "CronTabList");
    assert_eq!(member.get(&format!("{V1}/a")).await.expect(200)["kind"], "CronTab");
}

#[tokio::test]
async fn a_definition_that_cannot_be_accepted_keeps_no_other_from_it() {
    let member = Member::start().await;
    // As large as an object may be, so that no status fits into it any more. It comes first by its name.
    let mut large = named("atoms", "Atom", "example.com");
    let room = |definition: &Value| {
        let dry = format!("{DEFINITIONS}?dryRun=All");
        let (member, text) = (&member, definition.to_string());
        async move {
            let made = member.send(Method::POST, &dry, &[("content-type", "application/json")], text).await;
            made.expect(201);
            OBJECT_BYTES_MAX - made.text.len()
        }
    };
    let schema = "/spec/versions/0/schema/openAPIV3Schema";
    large.pointer_mut(schema).expect("a schema")["description"] = "x".into();
    let filler = "x".repeat(room(&large).await - 100);
    large.pointer_mut(schema).expect("a schema")["description"] = filler.into();
    member.post(DEFINITIONS, &large).await.expect(201);
    established(&member, &definition()).await;
    member.post(V1, &cron_tab("a")).await.expect(201);
    let stuck = member.get(&format!("{DEFINITIONS}/atoms.example.com")).await.expect(200);
    assert!(!holds(&stuck, "Established"), "it cannot be");
}

#[tokio::test]
async fn names_are_counted() {
    let member = Member::start().await;
    let mut many = definition();
    let names: Vec<String> = (0..33).map(|index| format!("n{index}")).collect();
    many["spec"]["names"]["shortNames"] = json!(names);
    many["spec"]["names"]["categories"] = json!(names);
    let refused = member.post(DEFINITIONS, &many).await.expect(422);
    let fields: Vec<&Value> =
        refused["details"]["causes"].as_array().expect("causes").iter().map(|cause| &cause["field"]).collect();
    assert_eq!(json!(fields), json!(["spec.names.shortNames", "spec.names.categories"]), "{refused}");
}

#[tokio::test]
async fn objects_of_a_kind_that_goes_are_kept_whatever_its_status_says() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let mut held = cron_tab("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    member.post(V1, &held).await.expect(201);
    let mut changes = watched(&member, "crontabs.example.com").await;
    member.delete(OWN).await.expect(200);
    until(&mut changes, |line| condition(&line["object"], "Terminating").starts_with("True")).await;

    // Not established any more, somebody says; the leader tells again that objects are left.
    member.patch(&format!("{OWN}/status"), "merge", &json!({"status": {"conditions": []}})).await.expect(200);
    until(&mut changes, |line| condition(&line["object"], "Established") == " ").await;
    until(&mut changes, |line| condition(&line["object"], "Terminating").starts_with("True")).await;
    let own = format!("{V1}/held");
    member.get(&own).await.expect(200);
    member.patch(&own, "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    until(&mut changes, |line| line["type"] == "DELETED").await;
    member.get(&own).await.expect(404);
}

#[tokio::test]
async fn a_definition_stays_while_the_store_has_objects_that_nobody_can_read() {
    let member = Member::start().await;
    // As another release might have left it: this one cannot read its schema, so that it does not serve the kind.
    let mut unreadable = definition();
    unreadable["metadata"] = json!({
        "name": "crontabs.example.com", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0,
        "finalizers": ["customresourcecleanup.apiextensions.k8s.io"],
    });
    unreadable["spec"]["names"] = json!({
        "plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList",
    });
    unreadable["spec"]["conversion"] = json!({"strategy": "None"});
    unreadable["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["type"] = "unheard of".into();
    unreadable["status"] = json!({
        "storedVersions": ["v1"], "acceptedNames": unreadable["spec"]["names"],
        "conditions": [{"type": "Established", "status": "True", "reason": "x", "message": "", "lastTransitionTime": null}],
    });
    let store = member.pipeline.store();
    let key = "/registry/example.com/crontabs/default/a";
    store.put(put(key, cron_tab("a").to_string())).await.expect("is written");
    let mut changes = watched(&member, "crontabs.example.com").await;
    let path = "/registry/apiextensions.k8s.io/customresourcedefinitions/crontabs.example.com";
    store.put(put(path, unreadable.to_string())).await.expect("is written");
    let told = until(&mut changes, |line| condition(&line["object"], "Terminating").starts_with("True")).await;
    assert_eq!(condition(&told, "Terminating"), "True InstanceDeletionInProgress");
    member.get(V1).await.expect(404);

    remove(&member, key).await;
    until(&mut changes, |line| line["type"] == "DELETED").await;
}

#[tokio::test]
async fn a_definition_stays_while_an_object_of_its_kind_is_unreadable() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let key = "/registry/example.com/crontabs/default/odd";
    member.pipeline.store().put(put(key, "no object".to_owned())).await.expect("is written");
    let mut changes = watched(&member, "crontabs.example.com").await;
    member.delete(OWN).await.expect(200);
    let told = until(&mut changes, |line| !condition(&line["object"], "Terminating").starts_with(' ')).await;
    assert_eq!(condition(&told, "Terminating"), "True InstanceDeletionInProgress");
    remove(&member, key).await;
    until(&mut changes, |line| line["type"] == "DELETED").await;
}

#[tokio::test]
async fn an_object_that_cannot_be_deleted_keeps_no_other() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    // As large as an object may be, so that no time of deletion fits into it any more.
    let mut stuck = member.post(V1, &cron_tab("a")).await.expect(201);
    stuck["metadata"]["finalizers"] = json!(["example.com/hold"]);
    stuck["metadata"]["annotations"] = json!({"filler": ""});
    let filler = "x".repeat(OBJECT_BYTES_MAX - stuck.to_string().len());
    stuck["metadata"]["annotations"]["filler"] = filler.into();
    let key = "/registry/example.com/crontabs/default/a";
    member.pipeline.store().put(put(key, stuck.to_string())).await.expect("is written");
    member.post(V1, &cron_tab("b")).await.expect(201);
    let path = format!("{V1}?watch=true");
    let mut objects = Lines::new(member.open(administrator(), Method::GET, &path, &[], "").await);
    member.delete(OWN).await.expect(200);
    until(&mut objects, |line| line["type"] == "DELETED" && line["object"]["metadata"]["name"] == "b").await;
    member.get(&format!("{V1}/a")).await.expect(200);
}

#[tokio::test]
async fn a_namespace_keeps_its_finalizer_while_it_has_objects_of_a_kind_that_is_not_served() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let blue = "/api/v1/namespaces/blue";
    member.post("/api/v1/namespaces", &json!({"metadata": {"name": "blue"}})).await.expect(201);
    member.post(&V1.replace("default", "blue"), &cron_tab("a")).await.expect(201);
    let mut unserved = member.get(OWN).await.expect(200);
    for version in unserved["spec"]["versions"].as_array_mut().expect("versions") {
        version["served"] = false.into();
    }
    member.put(OWN, &unserved).await.expect(200);
    let mut going = member.delete(blue).await.expect(200);
    going["spec"]["finalizers"] = json!([]);
    let refused = member.put(&format!("{blue}/finalize"), &going).await.expect(409);
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.contains("the namespace still has 1 crontabs.example.com"), "{refused}");
    member.get(blue).await.expect(200);
    remove(&member, "/registry/example.com/crontabs/blue/a").await;
    member.put(&format!("{blue}/finalize"), &going).await.expect(200);
    member.get(blue).await.expect(404);
}

#[tokio::test]
async fn watches_go_on_when_only_what_is_shown_or_allowed_changes() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let path = format!("{V1}?watch=true");
    let mut watch = Lines::new(member.open(administrator(), Method::GET, &path, &[], "").await);
    let columns = json!([{"name": "Image", "type": "string", "jsonPath": ".spec.image"}]);
    let mut changed = member.get(OWN).await.expect(200);
    changed["spec"]["versions"][0]["additionalPrinterColumns"] = columns;
    let spec = &mut changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["description"] = "What is wanted.".into();
    spec["properties"]["replicas"]["maximum"] = 5.into();
    changed = member.put(OWN, &changed).await.expect(200);

    let mut object = cron_tab("a");
    object["spec"]["replicas"] = 6.into();
    member.post(V1, &object).await.expect(422);
    object["spec"]["replicas"] = 5.into();
    member.post(V1, &object).await.expect(201);
    assert_eq!(watch.next().await.expect("the watch goes on")["object"]["metadata"]["name"], "a");
    let table = member.send(Method::GET, V1, &[("accept", crate::cron_tabs::TABLE)], "").await.expect(200);
    assert_eq!(table["rows"][0]["cells"], json!(["a", "busybox"]), "columns are the new ones");

    // What is stored may be seen otherwise now.
    let spec = &mut changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"]["zone"] = json!({"type": "string", "default": "here"});
    member.put(OWN, &changed).await.expect(200);
    let expired = |line: Option<Value>| {
        let line = line.expect("says why it ends");
        assert_eq!(
            (&line["type"], &line["object"]["code"]),
            (&json!("ERROR"), &json!(410)),
            "clients list again: {line}"
        );
    };
    expired(watch.next().await);
    let now = member.get(&format!("{V1}/a")).await.expect(200);
    assert_eq!(now["spec"]["zone"], "here");
    let version = now["metadata"]["resourceVersion"].as_str().expect("a version");
    let path = format!("{path}&resourceVersion={version}");
    let mut again = Lines::new(member.open(administrator(), Method::GET, &path, &[], "").await);
    expired(again.next().await);
}
