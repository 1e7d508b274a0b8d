//! Every kind there is goes the same way, by its example. A kind without one fails.

use http::Method;
use keelson_types::{Kind, registry};
use serde_json::{Value, json};

use crate::examples::{Example, examples};
use crate::member::{Lines, Member, administrator};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

impl Example {
    async fn live(&self, member: &Member) {
        let Example { kind, path, name, .. } = self;
        let own = format!("{path}/{name}");

        let mut unknown = self.object.clone();
        unknown["nonsense"] = true.into();
        let refused = member.post(&format!("{path}?fieldValidation=Strict"), &unknown).await.expect(400);
        let message = refused["message"].as_str().unwrap_or_default();
        assert!(message.contains("unknown field \"nonsense\""), "{kind:?}: {refused}");

        let refused = member.post(path, &self.wrong()).await.expect(422);
        let causes = refused["details"]["causes"].as_array().expect("causes");
        assert!(causes.iter().any(|cause| cause["field"] == self.field), "{kind:?} {}: {refused}", self.field);
        assert_eq!(refused["reason"], "Invalid");

        let before = member.get(path).await.expect(200);
        assert_eq!(before["kind"], kind.list_kind);
        let since = before["metadata"]["resourceVersion"].as_str().expect("a version");
        let watch = format!("{path}?watch=true&resourceVersion={since}&fieldSelector=metadata.name%3D{name}");
        let mut watch = Lines::new(member.open(administrator(), Method::GET, &watch, &[], "").await);

        let created = member.post(path, &self.object).await.expect(201);
        assert_eq!((&created["apiVersion"], &created["kind"]), (&self.object["apiVersion"], &self.object["kind"]));
        assert!(created["metadata"]["uid"].is_string(), "{created}");
        assert_eq!(member.get(&own).await.expect(200), created);
        assert_eq!(next(&mut watch, "ADDED").await, created);
        let again = member.post(path, &self.object).await.expect(409);
        assert_eq!(again["reason"], "AlreadyExists", "{kind:?}");

        // What is sent again as it was read changes nothing.
        let same = member.put(&own, &created).await.expect(200);
        assert_eq!(same["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"], "{kind:?}: {same}");

        self.table(member).await;
        self.protobuf(member, &created).await;

        let mut labelled = created.clone();
        labelled["metadata"]["labels"]["is"] = "new".into();
        let updated = member.put(&own, &labelled).await.expect(200);
        assert_eq!(updated["metadata"]["labels"]["is"], "new", "{kind:?}");
        assert_eq!(next(&mut watch, "MODIFIED").await["metadata"]["labels"]["is"], "new");
        let stale = member.put(&own, &labelled).await.expect(409);
        assert_eq!(stale["reason"], "Conflict", "{kind:?}");
        let patched =
            member.patch(&own, "merge", &json!({"metadata": {"labels": {"is": "patched"}}})).await.expect(200);
        assert_eq!(patched["kind"], kind.kind, "{patched}");
        let selected = member.get(&format!("{path}?labelSelector=is%3Dpatched")).await.expect(200);
        assert_eq!(selected["items"][0]["metadata"]["name"], *name, "{kind:?}: {selected}");

        let status = member.get(&format!("{own}/status")).await;
        assert_eq!(status.code.as_u16(), if kind.status { 200 } else { 404 }, "{kind:?}");
        if kind.status {
            let change = json!({"metadata": {"annotations": {"not": "here"}}, "status": {}});
            let answer = member.patch(&format!("{own}/status"), "merge", &change).await.expect(200);
            assert_eq!(answer["metadata"]["labels"]["is"], "patched", "{kind:?}");
        }
        if kind.scale {
            let scale = member.patch(&format!("{own}/scale"), "merge", &json!({"spec": {"replicas": 4}})).await;
            assert_eq!(scale.expect(200)["spec"]["replicas"], 4, "{kind:?}");
        }
        assert!(member.delete(&own).await.code.is_success(), "{kind:?}");
        // A namespace goes when everything in it has gone, which is a controller's work.
        if kind.kind != "Namespace" {
            member.get(&own).await.expect(404);
            loop {
                let event = watch.next().await.expect("the watch goes on");
                if event["type"] == "DELETED" {
                    assert_eq!(event["object"]["kind"], kind.kind, "{event}");
                    break;
                }
            }
        }
    }

    async fn table(&self, member: &Member) {
        let own = format!("{}/{}", self.path, self.name);
        let table = member.send(Method::GET, &own, &[("accept", TABLE)], "").await.expect(200);
        let columns: Vec<&Value> =
            table["columnDefinitions"].as_array().expect("columns").iter().map(|column| &column["name"]).collect();
        assert_eq!(json!(columns), self.columns, "{:?}", self.kind);
        let cells = table["rows"][0]["cells"].as_array().expect("cells");
        assert_eq!(cells.len(), columns.len(), "{:?}", self.kind);
        assert!(cells.iter().all(|cell| !cell.is_null()), "{:?}: {cells:?}", self.kind);
    }

    /// The object as protobuf is another client's body, and comes to the same object.
    async fn protobuf(&self, member: &Member, created: &Value) {
        let own = format!("{}/{}", self.path, self.name);
        let (parts, body) = member.send_bytes(Method::GET, &own, &[("accept", PROTOBUF)], "").await;
        assert_eq!(parts.status.as_u16(), 200, "{:?}", self.kind);
        assert_eq!(parts.headers["content-type"], PROTOBUF, "{:?}", self.kind);
        let same = member.send(Method::PUT, &own, &[("content-type", PROTOBUF)], body).await.expect(200);
        assert_eq!(same["metadata"]["uid"], created["metadata"]["uid"]);
        for part in ["spec", "rules", "webhooks", "subsets", "data", "roleRef", "subjects"] {
            assert_eq!(same[part], created[part], "{:?}", self.kind);
        }
    }
}

async fn next(watch: &mut Lines, event: &str) -> Value {
    let line = watch.next().await.expect("the watch goes on");
    assert_eq!(line["type"], event, "{line}");
    line["object"].clone()
}

#[tokio::test]
async fn every_kind_lives_through_every_verb() {
    let member = Member::start().await;
    let examples = examples();
    // The server itself writes to a CustomResourceDefinition; it has tests of its own.
    let others = registry::all().iter().filter(|kind| kind.kind != "CustomResourceDefinition");
    for kind in others.filter(|kind| !kind.is_answered() && !kind.is_observed()) {
        Example::of(kind, &examples).live(&member).await;
    }
}

#[tokio::test]
async fn reviews_are_created_and_nothing_else() {
    let member = Member::start().await;
    let reviews: Vec<&Kind> = registry::all().iter().copied().filter(|kind| kind.is_answered()).collect();
    assert_eq!(reviews.len(), 6);
    for kind in reviews {
        let namespace = if kind.namespaced { "namespaces/default/" } else { "" };
        let path = format!("/apis/{}/{}/{namespace}{}", kind.group, kind.version, kind.plural);
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(member.send(method, &path, &[], "").await.code.as_u16(), 405, "{kind:?}");
        }
        let object = json!({"kind": kind.kind, "apiVersion": kind.api_version(), "spec": {}});
        let headers = [("content-type", "application/json"), ("accept", TABLE)];
        let refused = member.send(Method::POST, &path, &headers, object.to_string()).await;
        assert_eq!(refused.code.as_u16(), 406, "{kind:?}");
    }
    let who = json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"});
    let me = member.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &who).await.expect(201);
    assert_eq!(
        me["status"]["userInfo"],
        json!({"username": "admin", "groups": ["system:masters", "system:authenticated"]})
    );
}
