//! CustomResourceDefinitions: what they make possible, and what becomes of them.

use http::Method;
use serde_json::{Value, json};

use crate::cron_tabs::{DEFINITIONS, OWN, V1, cron_tab, definition, established, holds, until, watched};
use crate::member::{Lines, Member, administrator};

#[tokio::test]
async fn a_kind_is_served_as_soon_as_its_definition_is_established() {
    let member = Member::start().await;
    member.get(V1).await.expect(404);
    let groups = member.get("/apis").await;
    let known = groups.headers["etag"].to_str().expect("text").to_owned();
    let v2_before = member.get("/openapi/v2").await;
    let v2_known = v2_before.headers["etag"].to_str().expect("text").to_owned();
    assert!(v2_before.expect(200)["definitions"]["com.example.v1.CronTab"].is_null());
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
    let v2 = member.send(Method::GET, "/openapi/v2", &[("if-none-match", &v2_known)], "").await;
    let (v2_now, v2) = (v2.headers["etag"].to_str().expect("text").to_owned(), v2.expect(200));
    let v2_schema = &v2["definitions"]["com.example.v1.CronTab"];
    assert_eq!(v2_schema["properties"]["spec"]["properties"]["image"]["type"], "string", "{v2_schema}");
    assert_eq!(v2_schema["x-kubernetes-group-version-kind"], schema["x-kubernetes-group-version-kind"]);
    assert!(v2["paths"]["/apis/example.com/v1/namespaces/{namespace}/crontabs/{name}"]["patch"].is_object());
    let same = member.send(Method::GET, "/openapi/v2", &[("if-none-match", &v2_now)], "").await;
    assert_eq!(same.code.as_u16(), 304);
    for (accept, code) in [("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", 200), ("text/plain", 406)] {
        let answer = member.send(Method::GET, "/openapi/v2", &[("accept", accept)], "").await;
        assert_eq!(answer.code.as_u16(), code, "{accept}");
        assert!(code == 406 || answer.text.is_empty(), "kubectl takes version 3, and no kind from this one");
    }
    // What kubectl looks for: where metadata is explained, and that the server validates.
    let metadata = schema["properties"]["metadata"]["allOf"][0]["$ref"].as_str().expect("a reference");
    assert!(schemas.pointer(metadata.trim_start_matches('#')).is_some(), "{metadata}");
    let patch = &schemas["paths"]["/apis/example.com/v1/namespaces/{namespace}/crontabs/{name}"]["patch"];
    let parameters = patch["parameters"].as_array().expect("parameters");
    assert!(parameters.iter().any(|one| one["name"] == "fieldValidation" && one["in"] == "query"), "{patch}");
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "CronTab");
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
    for (change, field) in [
        (json!({"spec": {"scope": "Cluster"}}), "spec.scope"),
        (json!({"spec": {"names": {"kind": "Other", "listKind": "OtherList"}}}), "spec.names.kind"),
    ] {
        let refused = member.patch(OWN, "merge", &change).await.expect(422);
        assert_eq!(refused["details"]["causes"][0]["field"], field, "{refused}");
    }
    // What objects may be stored as must stay, until somebody says that none is.
    let mut renamed = made.clone();
    renamed["spec"]["versions"] = json!([made["spec"]["versions"][1]]);
    renamed["spec"]["versions"][0]["storage"] = true.into();
    let refused = member.put(OWN, &renamed).await.expect(422);
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

    let mut definitions = watched(&member, "crontabs.example.com").await;
    member.delete(OWN).await.expect(200);
    let terminating = until(&mut definitions, |line| holds(&line["object"], "Terminating")).await;
    assert_eq!(terminating["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    let refused = member.post(V1, &cron_tab("late")).await.expect(405);
    assert_eq!(refused["message"], "create not allowed while custom resource definition is terminating");
    assert_eq!(watch.next().await.expect("an event")["type"], "DELETED");
    member.patch(&format!("{V1}/held"), "merge", &json!({"metadata": {"finalizers": null}})).await.expect(200);
    until(&mut definitions, |line| line["type"] == "DELETED").await;
    let end = watch.next().await.expect("says why it ends");
    assert_eq!(end["object"]["code"], 410, "watches of the kind end: {end}");
    assert_eq!(watch.next().await, None);
    member.get(V1).await.expect(404);
    member.get("/apis/example.com").await.expect(404);
    member.get(OWN).await.expect(404);
}
