//! Kinds that users define: what a CustomResourceDefinition makes possible, and what becomes of it.

use http::Method;
use serde_json::{Value, json};

use crate::member::{Lines, Member, administrator};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
pub const V1: &str = "/apis/example.com/v1/namespaces/default/crontabs";
pub const BETA: &str = "/apis/example.com/v1beta1/namespaces/default/crontabs";

/// CronTabs in two versions, of which v1 is stored.
pub fn definition() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["cronSpec"],
                "properties": {
                    "cronSpec": {"type": "string", "pattern": "^[0-9* ]+$"},
                    "image": {"type": "string", "default": "busybox"},
                    "replicas": {"type": "integer", "minimum": 0, "default": 1},
                    "ports": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
                        "items": {
                            "type": "object", "required": ["port"],
                            "properties": {"port": {"type": "integer"}, "name": {"type": "string"}},
                        },
                    },
                },
                "x-kubernetes-validations": [
                    {"rule": "self.replicas <= 10", "message": "at most ten replicas"},
                    {"rule": "self.image == oldSelf.image || self.replicas == 0", "message": "scale down first"},
                ],
            },
            "status": {
                "type": "object",
                "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}},
            },
        },
    });
    let columns = json!([
        {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec", "description": "When."},
        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
        {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let scale = json!({
        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    });
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}, "scale": scale}, "additionalPrinterColumns": columns,
            "selectableFields": [{"jsonPath": ".spec.image"}],
        })
    };
    let mut old = version("v1beta1", false);
    old["deprecated"] = true.into();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [version("v1", true), old],
        },
    })
}

pub fn cron_tab(name: &str) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": {"cronSpec": "* * 5"},
    })
}

/// A watch of one definition, from what it is now.
async fn watched(member: &Member, name: &str) -> Lines {
    let path = format!("{DEFINITIONS}?watch=true&fieldSelector=metadata.name%3D{name}");
    Lines::new(member.open(administrator(), Method::GET, &path, &[], "").await)
}

/// Reads a watch until an event is as wanted.
async fn until(lines: &mut Lines, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let line = lines.next().await.expect("the watch goes on");
        if wanted(&line) {
            return line["object"].clone();
        }
    }
}

fn holds(definition: &Value, condition: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|found| found["type"] == condition && found["status"] == "True")
}

pub async fn established(member: &Member, definition: &Value) -> Value {
    member.post(DEFINITIONS, definition).await.expect(201);
    let name = definition["metadata"]["name"].as_str().expect("a name");
    until(&mut watched(member, name).await, |line| holds(&line["object"], "Established")).await
}

#[tokio::test]
async fn a_kind_is_served_as_soon_as_its_definition_is_established() {
    let member = Member::start().await;
    member.get(V1).await.expect(404);
    let groups = member.get("/apis").await;
    let known = groups.headers["etag"].to_str().expect("text").to_owned();
    let made = established(&member, &definition()).await;
    assert_eq!(made["spec"]["names"]["listKind"], "CronTabList");
    assert_eq!(made["spec"]["names"]["singular"], "crontab");
    assert_eq!(made["spec"]["conversion"]["strategy"], "None");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(made["status"]["acceptedNames"], made["spec"]["names"]);
    assert!(holds(&made, "NamesAccepted"));

    // Discovery tells of it at once, in every form.
    let again = member.send(Method::GET, "/apis", &[("if-none-match", &known)], "").await;
    assert_eq!(again.code.as_u16(), 200, "the hash has changed");
    let groups = again.json();
    let group = groups["groups"].as_array().expect("groups").iter().find(|group| group["name"] == "example.com");
    assert_eq!(group.expect("the group is told of")["preferredVersion"]["version"], "v1");
    let resources = member.get("/apis/example.com/v1").await.expect(200);
    let names: Vec<&Value> =
        resources["resources"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(json!(names), json!(["crontabs", "crontabs/scale", "crontabs/status"]));
    assert_eq!(resources["resources"][0]["shortNames"], json!(["ct"]));
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let aggregated = member.send(Method::GET, "/apis", &[("accept", v2)], "").await.expect(200);
    let items = aggregated["items"].as_array().expect("a list");
    let own = items.iter().find(|item| item["metadata"]["name"] == "example.com").expect("is told of");
    assert_eq!(own["versions"][0]["resources"][0]["categories"], json!(["all"]));
    let index = member.get("/openapi/v3").await.expect(200);
    assert!(index["paths"]["apis/example.com/v1"].is_object(), "{index}");
    let schemas = member.get("/openapi/v3/apis/example.com/v1").await.expect(200);
    let schema = &schemas["components"]["schemas"]["com.example.v1.CronTab"];
    assert_eq!(schema["properties"]["spec"]["properties"]["image"]["type"], "string", "{schemas}");
    assert_eq!(schema["x-kubernetes-group-version-kind"][0]["kind"], "CronTab");
}

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
    let current = member.get(&format!("{DEFINITIONS}/crontabs.example.com")).await.expect(200);
    changed["metadata"] = current["metadata"].clone();
    member.put(&format!("{DEFINITIONS}/crontabs.example.com"), &changed).await.expect(200);
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

#[tokio::test]
async fn a_bad_definition_is_refused_by_field() {
    let member = Member::start().await;
    let bad: [(Value, &str); 9] = [
        (json!({"metadata": {"name": "other.example.com"}}), "metadata.name"),
        (json!({"spec": {"group": "example"}}), "spec.group"),
        (json!({"spec": {"scope": "Everywhere"}}), "spec.scope"),
        (json!({"spec": {"names": {"kind": "Cron Tab"}}}), "spec.names.kind"),
        (json!({"spec": {"versions": []}}), "spec.versions"),
        (json!({"spec": {"conversion": {"strategy": "Webhook"}}}), "spec.conversion.strategy"),
        (json!({"spec": {"preserveUnknownFields": true}}), "spec.preserveUnknownFields"),
        (json!({"spec": {"group": "x.k8s.io"}}), "metadata.annotations[api-approved.kubernetes.io]"),
        (
            json!({"spec": {"versions": [{"name": "v1", "served": true, "storage": true}]}}),
            "spec.versions[0].schema.openAPIV3Schema",
        ),
    ];
    for (change, field) in bad {
        let mut wrong = definition();
        json_patch::merge(&mut wrong, &change);
        let refused = member.post(DEFINITIONS, &wrong).await.expect(422);
        let causes = refused["details"]["causes"].as_array().expect("causes");
        assert!(causes.iter().any(|cause| cause["field"] == field), "{field}: {refused}");
    }
    let mut unstructured = definition();
    unstructured["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["type"] = Value::Null;
    let refused = member.post(DEFINITIONS, &unstructured).await.expect(422);
    let path = "spec.versions[0].schema.openAPIV3Schema.properties[spec].type";
    assert!(refused["message"].as_str().expect("text").contains(path), "{refused}");

    let made = established(&member, &definition()).await;
    let own = format!("{DEFINITIONS}/crontabs.example.com");
    for (change, field) in [
        (json!({"spec": {"scope": "Cluster"}}), "spec.scope"),
        (json!({"spec": {"names": {"kind": "Other", "listKind": "OtherList"}}}), "spec.names.kind"),
    ] {
        let refused = member.patch(&own, "merge", &change).await.expect(422);
        assert_eq!(refused["details"]["causes"][0]["field"], field, "{refused}");
    }
    // What objects may be stored as must stay, until somebody says that none is.
    let mut renamed = made.clone();
    renamed["spec"]["versions"] = json!([made["spec"]["versions"][1]]);
    renamed["spec"]["versions"][0]["storage"] = true.into();
    let refused = member.put(&own, &renamed).await.expect(422);
    assert_eq!(refused["details"]["causes"][0]["field"], "status.storedVersions[0]", "{refused}");
}

#[tokio::test]
async fn a_definition_goes_when_its_objects_have_gone() {
    let member = Member::start().await;
    established(&member, &definition()).await;
    let mut held = cron_tab("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    member.post(V1, &held).await.expect(201);
    member.post(V1, &cron_tab("free")).await.expect(201);
    let watch = format!("{V1}?watch=true&fieldSelector=metadata.name%3Dfree");
    let mut watch = Lines::new(member.open(administrator(), Method::GET, &watch, &[], "").await);
    assert_eq!(watch.next().await.expect("an event")["type"], "ADDED");

    let own = format!("{DEFINITIONS}/crontabs.example.com");
    let mut definitions = watched(&member, "crontabs.example.com").await;
    member.delete(&own).await.expect(200);
    let terminating = until(&mut definitions, |line| holds(&line["object"], "Terminating")).await;
    assert_eq!(terminating["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    let refused = member.post(V1, &cron_tab("late")).await.expect(405);
    assert_eq!(refused["message"], "create not allowed while custom resource definition is terminating");
    assert_eq!(watch.next().await.expect("an event")["type"], "DELETED");
    member.patch(&format!("{V1}/held"), "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    until(&mut definitions, |line| line["type"] == "DELETED").await;
    assert_eq!(watch.next().await, None, "watches of the kind end");
    member.get(V1).await.expect(404);
    member.get("/apis/example.com").await.expect(404);
    member.get(&own).await.expect(404);
}
