//! Every kind there is goes the same way: `kinds.json` has an example of each, something wrong with it and the field at fault,
//! and the columns that Kubernetes prints. A kind without an example fails.

use http::Method;
use keelson_types::{Kind, registry};
use serde_json::{Value, json};

use crate::member::{Lines, Member, administrator};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn examples() -> Value {
    serde_json::from_str(include_str!("kinds.json")).expect("is JSON")
}

struct Example {
    kind: &'static Kind,
    /// Of the objects' collection.
    path: String,
    name: String,
    object: Value,
    bad: Value,
    field: String,
    columns: Value,
}

impl Example {
    fn of(kind: &'static Kind, all: &Value) -> Example {
        let example = &all[format!("{} {}", kind.api_version(), kind.kind)];
        assert!(example.is_object(), "{kind:?} has no example in kinds.json");
        let name = example["name"].as_str().unwrap_or("example").to_owned();
        let mut object = example["object"].clone();
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        object["metadata"] = json!({"name": name});
        let base = if kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", kind.group) };
        let namespace = if kind.namespaced { "namespaces/default/" } else { "" };
        Example {
            kind,
            path: format!("{base}/{}/{namespace}{}", kind.version, kind.plural),
            name,
            object,
            bad: example["bad"].clone(),
            field: example["field"].as_str().expect("names a field").to_owned(),
            columns: example["columns"].clone(),
        }
    }

    /// The example with something wrong.
    fn wrong(&self) -> Value {
        let mut object = self.object.clone();
        json_patch::merge(&mut object, &self.bad);
        object
    }

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
    for kind in others.filter(|kind| !kind.is_answered()) {
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

#[tokio::test]
async fn two_versions_of_an_autoscaler_are_one_object() {
    let member = Member::start().await;
    let path = |version: &str| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
    let v1 = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "maxReplicas": 3, "targetCPUUtilizationPercentage": 70,
        },
    });
    let created = member.post(&path("v1"), &v1).await.expect(201);
    assert_eq!(created["spec"]["targetCPUUtilizationPercentage"], 70, "{created}");
    let seen = member.get(&format!("{}/h", path("v2"))).await.expect(200);
    assert_eq!(seen["apiVersion"], "autoscaling/v2");
    assert_eq!(seen["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(seen["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70);

    let patch = json!({"spec": {"targetCPUUtilizationPercentage": 50}});
    member.patch(&format!("{}/h", path("v1")), "merge", &patch).await.expect(200);
    let list = member.get(&path("v2")).await.expect(200);
    assert_eq!(list["items"][0]["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50, "{list}");
    let pods = json!({"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "5"}});
    let metrics = json!({"spec": {"metrics": [{"type": "Pods", "pods": pods}]}});
    member.patch(&format!("{}/h", path("v2")), "merge", &metrics).await.expect(200);
    let old = member.get(&format!("{}/h", path("v1"))).await.expect(200);
    assert!(old["spec"].get("targetCPUUtilizationPercentage").is_none(), "{old}");
    assert!(old["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"].is_string(), "{old}");
    // A program that knows only v1 must not lose what it does not know.
    member.put(&format!("{}/h", path("v1")), &old).await.expect(200);
    let seen = member.get(&format!("{}/h", path("v2"))).await.expect(200);
    assert_eq!(seen["spec"]["metrics"][0]["pods"]["target"]["averageValue"], "5", "{seen}");
}

#[tokio::test]
async fn an_event_is_selected_by_the_names_of_either_version() {
    let member = Member::start().await;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "Started", "type": "Normal",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "message": "m",
    });
    member.post("/api/v1/namespaces/default/events", &event).await.expect(201);
    let core = "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dp";
    assert_eq!(member.get(core).await.expect(200)["items"][0]["message"], "m");
    let own = "/apis/events.k8s.io/v1/namespaces/default/events";
    let list = member.get(&format!("{own}?fieldSelector=regarding.name%3Dp")).await.expect(200);
    assert_eq!((list["items"][0]["note"].as_str(), list["kind"].as_str()), (Some("m"), Some("EventList")));
    assert_eq!(list["items"][0]["apiVersion"], "events.k8s.io/v1");
    member.get(&format!("{own}?fieldSelector=involvedObject.name%3Dp")).await.expect(400);
}

#[tokio::test]
async fn a_certificate_is_approved_by_a_subresource_of_its_own() {
    let member = Member::start().await;
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let all = examples();
    let mut object = all["certificates.k8s.io/v1 CertificateSigningRequest"]["object"].clone();
    object["metadata"] = json!({"name": "c"});
    object["spec"]["username"] = "somebody else".into();
    let created = member.post(path, &object).await.expect(201);
    assert_eq!(created["spec"]["username"], "admin", "who asks is who asks");
    let condition = json!({"type": "Approved", "status": "True", "reason": "Looks good"});
    let mut approved = created.clone();
    approved["status"] = json!({"conditions": [condition]});
    let by_status = member.put(&format!("{path}/c/status"), &approved).await.expect(200);
    assert!(by_status["status"]["conditions"].is_null(), "{by_status}");
    approved["metadata"] = by_status["metadata"].clone();
    approved["spec"]["usages"] = json!(["any"]);
    let answer = member.put(&format!("{path}/c/approval"), &approved).await.expect(200);
    assert_eq!(answer["status"]["conditions"][0]["type"], "Approved", "{answer}");
    assert_eq!(answer["spec"]["usages"], created["spec"]["usages"]);
    let mut unsaid = answer.clone();
    unsaid["status"]["conditions"] = json!([]);
    member.put(&format!("{path}/c/approval"), &unsaid).await.expect(422);
}

/// Defaults, and what may not change.
#[tokio::test]
async fn what_a_kind_fixes_stays_and_what_it_fills_in_is_there() {
    let member = Member::start().await;
    let all = examples();
    type Row = (&'static str, Value, Value, &'static str);
    let rows: [Row; 9] = [
        (
            "apps/v1 StatefulSet",
            json!({"spec": {"podManagementPolicy": "OrderedReady", "replicas": 1, "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": {"partition": 0}}}}),
            json!({"spec": {"serviceName": "t"}}),
            "spec",
        ),
        (
            "apps/v1 DaemonSet",
            json!({"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}}}),
            json!({"spec": {"selector": {"matchLabels": {"more": "y"}}}}),
            "spec.selector",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"completions": 1, "parallelism": 1, "backoffLimit": 6, "suspend": false}}),
            json!({"spec": {"completions": 2}}),
            "spec.completions",
        ),
        (
            "v1 PersistentVolumeClaim",
            json!({"spec": {"volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}),
            json!({"spec": {"accessModes": ["ReadOnlyMany"]}}),
            "spec",
        ),
        (
            "v1 PersistentVolume",
            json!({"spec": {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"}}),
            json!({"spec": {"hostPath": {"path": "/y"}}}),
            "spec.persistentvolumesource",
        ),
        (
            "storage.k8s.io/v1 StorageClass",
            json!({"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
            json!({"provisioner": "example.com/other"}),
            "provisioner",
        ),
        (
            "scheduling.k8s.io/v1 PriorityClass",
            json!({"preemptionPolicy": "PreemptLowerPriority"}),
            json!({"value": 11}),
            "value",
        ),
        (
            "rbac.authorization.k8s.io/v1 RoleBinding",
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io"}}),
            json!({"roleRef": {"name": "edit"}}),
            "roleRef",
        ),
        ("v1 LimitRange", json!({"spec": {}}), json!({"metadata": {"name": "other"}}), ""),
    ];
    for (key, filled, change, field) in rows {
        let kind = registry::all().iter().find(|kind| format!("{} {}", kind.api_version(), kind.kind) == key);
        let example = Example::of(kind.expect("is a kind"), &all);
        let created = member.post(&example.path, &example.object).await.expect(201);
        let mut with = created.clone();
        json_patch::merge(&mut with, &filled);
        assert_eq!(with, created, "{key}");
        let own = format!("{}/{}", example.path, example.name);
        let refused = member.patch(&own, "merge", &change).await;
        if field.is_empty() {
            assert_eq!(created["spec"]["limits"][0]["defaultRequest"]["cpu"], "1");
            refused.expect(400);
            continue;
        }
        let refused = refused.expect(422);
        let causes = refused["details"]["causes"].as_array().expect("causes");
        assert!(causes.iter().any(|cause| cause["field"] == field), "{key}: {refused}");
    }
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |class: &str| {
        json!({"metadata": {"name": class.replace("system-", "")},
        "spec": {"priorityClassName": class, "containers": [{"name": "c", "image": "i"}]}})
    };
    let critical = member.post(pods, &pod("system-node-critical")).await.expect(201);
    assert_eq!(critical["spec"]["priority"], 2_000_001_000);
    let refused = member.post(pods, &pod("nobody")).await.expect(403);
    assert!(
        refused["message"].as_str().is_some_and(|why| why.contains("no PriorityClass with name nobody")),
        "{refused}"
    );

    let class = json!({"metadata": {"name": "usual", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "example.com/disk"});
    member.post("/apis/storage.k8s.io/v1/storageclasses", &class).await.expect(201);
    let mut claim = Example::of(registry::by_name("pvc").expect("is a kind"), &all).object;
    claim["metadata"]["name"] = "classless".into();
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    assert_eq!(member.post(claims, &claim).await.expect(201)["spec"]["storageClassName"], "usual");
}

#[tokio::test]
async fn an_eviction_spends_what_a_budget_allows() {
    let member = Member::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    for name in ["a", "b", "c"] {
        let pod = json!({"metadata": {"name": name, "labels": {"app": "x"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        member.post(pods, &pod).await.expect(201);
        let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        member.patch(&format!("{pods}/{name}/status"), "merge", &running).await.expect(200);
    }
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "x"}}}});
    member.post(budgets, &budget).await.expect(201);
    let evict = |name: &str| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        let path = format!("{pods}/{name}/eviction");
        let member = &member;
        async move { member.post(&path, &eviction).await }
    };
    let early = evict("a").await.expect(429);
    assert!(
        early["details"]["causes"][0]["message"].as_str().is_some_and(|why| why.contains("still being processed")),
        "{early}"
    );
    let known =
        json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2}});
    member.patch(&format!("{budgets}/b/status"), "merge", &known).await.expect(200);
    assert_eq!(evict("a").await.expect(201)["status"], "Success");
    member.get(&format!("{pods}/a")).await.expect(404);
    let spent = member.get(&format!("{budgets}/b")).await.expect(200);
    assert_eq!(spent["status"]["disruptionsAllowed"], 0);
    assert!(spent["status"]["disruptedPods"]["a"].is_string(), "{spent}");
    let refused = evict("b").await;
    // As of Kubernetes: kubectl tries again by a pace of its own, and client-go would wait in silence for the server's.
    assert!(!refused.headers.contains_key("retry-after"));
    let refused = refused.expect(429);
    assert_eq!(refused["details"]["causes"][0]["reason"], "DisruptionBudget", "{refused}");
    assert_eq!(evict("nobody").await.code.as_u16(), 404);
    member.delete(&format!("{budgets}/b")).await.expect(200);
    evict("b").await.expect(201);
}

#[test]
fn jobs_and_policies_say_what_makes_sense() {
    let all = examples();
    let rows: [(&str, Value, &str); 12] = [
        (
            "batch/v1 Job",
            json!({"spec": {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "other"}},
            "template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "other"}}}}}),
            "`selector` not auto-generated",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "Guess", "onExitCodes": {
            "operator": "In", "values": [1]}}]}}}),
            "supported values: \"Count\"",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "Ignore"}]}}}),
            "specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {
            "operator": "In", "values": [0]}}]}}}),
            "must not be 0 for the In operator",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {
            "operator": "In", "values": [2, 1]}}]}}}),
            "must be ordered",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"podFailurePolicy": {"rules": [{"action": "FailIndex", "onExitCodes": {
            "operator": "In", "values": [1]}}]}}}),
            "requires the backoffLimitPerIndex",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"successPolicy": {"rules": [{"succeededCount": 1}]}}}),
            "requires indexed completion mode",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [
            {"succeededIndexes": "0,2-3"}]}}}),
            "indexes must be less than 3",
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [
            {"succeededIndexes": "0,2", "succeededCount": 3}]}}}),
            "must be less than or equal to 2 (the number of indexes",
        ),
        (
            "networking.k8s.io/v1 NetworkPolicy",
            json!({"spec": {"ingress": [{"from": [{"ipBlock": {
            "cidr": "10.1.0.0/16", "except": ["10.2.0.0/24"]}}]}]}}),
            "must be a strict subset of `cidr`",
        ),
        (
            "networking.k8s.io/v1 NetworkPolicy",
            json!({"spec": {"ingress": [{"from": [{"ipBlock": {
            "cidr": "10.1.0.0/16", "except": ["10.1.0.0/16"]}}]}]}}),
            "must be a strict subset of `cidr`",
        ),
        (
            "networking.k8s.io/v1 NetworkPolicy",
            json!({"spec": {"ingress": [{"from": [{"ipBlock": {
            "cidr": "::/0", "except": ["10.1.0.0/16"]}}]}]}}),
            "must be a strict subset of `cidr`",
        ),
    ];
    let complaints = |key: &str, change: &Value| {
        let kind = registry::all().iter().find(|kind| format!("{} {}", kind.api_version(), kind.kind) == key);
        let kind = kind.expect("is a kind");
        let mut object = Example::of(kind, &all).object;
        place(kind, &mut object);
        json_patch::merge(&mut object, change);
        kind.default(&mut object);
        kind.prepare_create(&mut object);
        kind.validate_create(&object).iter().map(ToString::to_string).collect::<Vec<String>>().join("; ")
    };
    for (key, change, why) in rows {
        let said = complaints(key, &change);
        assert!(said.contains(why), "{key} {change}: {said}");
    }
    for (key, change) in [
        (
            "batch/v1 Job",
            json!({"spec": {"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": [
            {"succeededIndexes": "0-1,2", "succeededCount": 3}]}}}),
        ),
        (
            "batch/v1 Job",
            json!({"spec": {"template": {"spec": {"restartPolicy": "Never"}}, "podFailurePolicy": {"rules": [
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1, 2]}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}}}),
        ),
        (
            "networking.k8s.io/v1 NetworkPolicy",
            json!({"spec": {"ingress": [{"from": [{"ipBlock": {
            "cidr": "0.0.0.0/0", "except": ["10.1.0.0/16"]}}]}]}}),
        ),
    ] {
        assert_eq!(complaints(key, &change), "", "{key} {change}");
    }
}

/// What the API adds to an object before it is looked at.
fn place(kind: &Kind, object: &mut Value) {
    object["metadata"]["uid"] = "own".into();
    if kind.namespaced {
        object["metadata"]["namespace"] = "default".into();
    }
}

#[test]
fn updates_keep_what_counts_and_no_more() {
    let kind = |name: &str| registry::by_name(name).expect("is a kind");
    let refused = |name: &str, old: &Value, new: &Value| !kind(name).validate_update(new, old).is_empty();
    let all = examples();
    let object = |name: &str, change: Value| {
        let mut object = Example::of(kind(name), &all).object;
        json_patch::merge(&mut object, &change);
        object["metadata"]["resourceVersion"] = "1".into();
        place(kind(name), &mut object);
        kind(name).default(&mut object);
        object
    };
    let absent = object("statefulsets", json!({"spec": {"serviceName": null}}));
    let empty = object("statefulsets", json!({"spec": {"serviceName": ""}}));
    assert!(!refused("statefulsets", &absent, &empty) && !refused("statefulsets", &empty, &absent));
    assert!(refused("statefulsets", &absent, &object("statefulsets", json!({"spec": {"serviceName": "other"}}))));

    // It was to grow from 2 to 9, and has 5 by now.
    let claim = |change: Value| {
        let mut claim = object(
            "persistentvolumeclaims",
            json!({
            "spec": {"resources": {"requests": {"storage": "9Gi"}}},
            "status": {"phase": "Bound", "capacity": {"storage": "5Gi"}}}),
        );
        json_patch::merge(&mut claim, &change);
        claim
    };
    let old = claim(json!({}));
    let asks = |storage: &str| claim(json!({"spec": {"resources": {"requests": {"storage": storage}}}}));
    for (new, bad) in [
        (asks("10Gi"), false),
        (asks("6Gi"), false),
        (asks("5Gi"), true),
        (asks("1Gi"), true),
        (claim(json!({"spec": {"resources": {"limits": {"storage": "20Gi"}}}})), true),
    ] {
        assert_eq!(refused("persistentvolumeclaims", &old, &new), bad, "{}", new["spec"]);
    }
}
