//! Plans, executed against caches alone: what each operation writes, answers and guards.

mod admission;

use keelson_proto::mvccpb::{Event, KeyValue, event::EventType};
use keelson_types::registry;
use serde_json::json;

use super::*;
use crate::cache::{self, Limits};
use crate::pipeline::request::{DeleteOptions, FieldValidation, Operation, PatchType, Propagation, Subresource};

/// Caches that stand in for the whole cluster: each plan is applied at once, at the next revision.
struct World {
    caches: Arc<Caches>,
    kinds: Kinds,
    settings: Settings,
    revision: i64,
}

impl World {
    fn new() -> World {
        let mut world = World {
            caches: Caches::new(Limits { batches_max: 100, bytes_max: 1 << 20 }),
            kinds: Kinds::find().expect("the kinds are registered"),
            settings: Settings { default_toleration_seconds: None, ..Settings::default() },
            revision: 1,
        };
        world.create("namespaces", "", json!({"metadata": {"name": "default"}})).expect("creates a namespace");
        world
    }

    fn plan(&self, operation: &Operation) -> Result<Plan, Status> {
        let options = WriteOptions { field_validation: FieldValidation::Strict, ..WriteOptions::default() };
        let planner = Planner {
            caches: &self.caches,
            kinds: &self.kinds,
            settings: &self.settings,
            user: None,
            options: &options,
            now: Timestamp::UNIX_EPOCH,
            event_lease: 7,
            taken: Mutex::default(),
        };
        planner.plan(&prepare(&self.kinds, operation, &options)?)
    }

    /// Plans and applies. The object is the state after, or before a removal.
    fn execute(&mut self, operation: &Operation) -> Result<(Value, Outcome), Status> {
        let plan = self.plan(operation)?;
        self.revision += 1;
        let events = plan.writes.iter().map(|(key, write)| {
            let (kind, value) = match write {
                Write::Put { value, .. } => (EventType::Put, value.clone()),
                Write::Delete => (EventType::Delete, Bytes::new()),
            };
            let key = Bytes::from(key.clone());
            let kv = KeyValue { key, value, mod_revision: self.revision, ..KeyValue::default() };
            Event { r#type: kind as i32, kv: Some(kv), prev_kv: None }
        });
        cache::apply(&self.caches, self.revision, events.collect());
        cache::advance(&self.caches, self.revision);
        Ok(match plan.answer {
            Answer::Stored { value, outcome } => (serde_json::from_slice(&value).expect("is JSON"), outcome),
            Answer::Existing { object, outcome } => (object.value().expect("is JSON"), outcome),
            Answer::Bound | Answer::Evicted => (Value::Null, Outcome::Configured),
        })
    }

    fn create(&mut self, resource: &str, name: &str, object: Value) -> Result<Value, Status> {
        let operation = Operation::Create { target: target(resource, name), body: body(&object) };
        self.execute(&operation).map(|(object, _)| object)
    }

    fn delete(&mut self, resource: &str, name: &str, options: DeleteOptions) -> Result<(Value, Outcome), Status> {
        self.execute(&Operation::Delete { target: target(resource, name), options })
    }

    fn update(&mut self, resource: &str, name: &str, object: &Value) -> Result<(Value, Outcome), Status> {
        self.execute(&Operation::Update { target: target(resource, name), body: body(object) })
    }

    fn get(&self, resource: &str, name: &str) -> Option<Value> {
        let target = target(resource, name);
        let object = self.caches.get(target.kind, &keys::path(&target.namespace, name))?;
        Some(object.value().expect("is JSON"))
    }
}

fn target(resource: &str, name: &str) -> Target {
    let kind = registry::by_name(resource).expect("is registered");
    let namespace = if kind.namespaced { "default" } else { "" };
    Target { kind, namespace: namespace.to_owned(), name: name.to_owned(), subresource: Subresource::None }
}

fn sub(resource: &str, name: &str, subresource: Subresource) -> Target {
    Target { subresource, ..target(resource, name) }
}

fn body(object: &Value) -> Bytes {
    Bytes::from(object.to_string())
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

fn config_map(data: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": data}})
}

fn service(name: &str, spec: Value) -> Value {
    let mut service = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    for (field, value) in spec.as_object().expect("a spec is an object") {
        service["spec"][field] = value.clone();
    }
    service
}

#[test]
fn a_new_object_gets_what_only_the_system_gives() {
    let mut world = World::new();
    let mut asked = pod("a");
    asked["metadata"]["uid"] = "chosen".into();
    asked["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z".into();
    let object = world.create("pods", "", asked).expect("creates");
    assert_ne!(object["metadata"]["uid"], "chosen");
    assert_eq!(object["metadata"]["creationTimestamp"], "1970-01-01T00:00:00Z");
    assert_eq!(object["metadata"]["namespace"], "default");
    assert!(object["metadata"].get("deletionTimestamp").is_none());
    assert!(object["metadata"].get("resourceVersion").is_none(), "the store's revision is the version");
    assert_eq!(object["spec"]["serviceAccountName"], "default");
}

#[test]
fn a_name_is_taken_once_and_generated_when_asked() {
    let mut world = World::new();
    world.create("pods", "", pod("a")).expect("creates");
    let refused = world.create("pods", "", pod("a")).expect_err("is taken");
    assert_eq!((refused.code, refused.message.as_str()), (409, "pods \"a\" already exists"));
    let mut generated = pod("");
    generated["metadata"] = json!({"generateName": "web-"});
    let object = world.create("pods", "", generated).expect("creates");
    let name = object["metadata"]["name"].as_str().expect("has a name");
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
}

#[test]
fn nothing_is_created_in_a_namespace_that_is_missing_or_ends() {
    let mut world = World::new();
    let elsewhere = Target { namespace: "elsewhere".to_owned(), ..target("pods", "") };
    let create = Operation::Create { target: elsewhere.clone(), body: body(&pod("a")) };
    assert_eq!(world.plan(&create).expect_err("is missing").message, "namespaces \"elsewhere\" not found");
    world.create("namespaces", "", json!({"metadata": {"name": "elsewhere"}})).expect("creates");
    let plan = world.plan(&create).expect("plans");
    assert!(plan.guards.iter().any(|guard| guard.key == "/registry/namespaces/elsewhere"), "the namespace guards it");
    let (ending, outcome) = world.delete("namespaces", "elsewhere", DeleteOptions::default()).expect("marks");
    assert_eq!((&ending["status"]["phase"], outcome), (&json!("Terminating"), Outcome::Deleting));
    assert_eq!(world.plan(&create).expect_err("ends").code, 403);
}

#[test]
fn a_namespace_goes_when_it_is_finalized() {
    let mut world = World::new();
    world.create("namespaces", "", json!({"metadata": {"name": "n"}})).expect("creates");
    world.delete("namespaces", "n", DeleteOptions::default()).expect("marks");
    let mut ending = world.get("namespaces", "n").expect("waits");
    ending["spec"]["finalizers"] = json!([]);
    let finalize = Operation::Update { target: sub("namespaces", "n", Subresource::Finalize), body: body(&ending) };
    assert_eq!(world.execute(&finalize).expect("finalizes").1, Outcome::Removed);
    assert!(world.get("namespaces", "n").is_none());
    let refused = world.delete("namespaces", "default", DeleteOptions::default()).expect_err("is the system's");
    assert_eq!(refused.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

#[test]
fn an_update_is_guarded_by_its_version_and_uid() {
    let mut world = World::new();
    world.create("configmaps", "", config_map("1")).expect("creates");
    let mut current = world.get("configmaps", "c").expect("exists");
    current["data"]["k"] = "2".into();
    assert_eq!(world.update("configmaps", "c", &current).expect("updates").1, Outcome::Configured);
    let stale = world.update("configmaps", "c", &current).expect_err("is stale");
    assert_eq!(stale.code, 409);
    assert!(stale.message.contains("the object has been modified"), "{stale}");
    let mut other = config_map("3");
    other["metadata"]["uid"] = "another".into();
    assert!(world.update("configmaps", "c", &other).expect_err("is another").message.contains("UID in precondition"));
    world.update("configmaps", "c", &config_map("3")).expect("without a version the last writer wins");
    assert_eq!(world.update("configmaps", "c", &config_map("3")).expect("is the same").1, Outcome::Unchanged);
}

#[test]
fn strict_validation_names_the_unknown_field() {
    let mut world = World::new();
    let mut odd = pod("a");
    odd["spec"]["containers"][0]["imag"] = "typo".into();
    let refused = world.create("pods", "", odd).expect_err("has an unknown field");
    assert_eq!(refused.code, 400);
    assert!(refused.message.contains("unknown field \"spec.containers[0].imag\""), "{refused}");
}

#[test]
fn apply_creates_configures_and_leaves_alone() {
    let mut world = World::new();
    let apply = |data: &str| Operation::Apply { target: target("configmaps", ""), body: body(&config_map(data)) };
    assert_eq!(world.execute(&apply("1")).expect("applies").1, Outcome::Created);
    assert_eq!(world.execute(&apply("1")).expect("applies").1, Outcome::Unchanged);
    let patch = Operation::Patch {
        target: target("configmaps", "c"),
        patch_type: PatchType::Merge,
        patch: Bytes::from_static(br#"{"data":{"other":"kept"}}"#),
    };
    world.execute(&patch).expect("patches");
    let (object, outcome) = world.execute(&apply("2")).expect("applies");
    assert_eq!((&object["data"], outcome), (&json!({"k": "2", "other": "kept"}), Outcome::Configured));
    let last = object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].as_str();
    assert_eq!(
        last,
        Some(
            "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"2\"},\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\
             \"name\":\"c\",\"namespace\":\"default\"}}\n"
        )
    );
}

#[test]
fn a_patch_may_carry_a_version_and_must_fit_the_kind() {
    let mut world = World::new();
    world.create("configmaps", "", config_map("1")).expect("creates");
    let mut patch = |patch_type, text: &str| {
        let patch = Bytes::from(text.to_owned());
        world.execute(&Operation::Patch { target: target("configmaps", "c"), patch_type, patch })
    };
    assert_eq!(patch(PatchType::Merge, r#"{"metadata":{"resourceVersion":"1"}}"#).expect_err("is stale").code, 409);
    assert_eq!(patch(PatchType::Merge, r#"{"data":{"k":1}}"#).expect_err("is no text").code, 422);
    assert_eq!(patch(PatchType::Merge, "{").expect_err("is no JSON").code, 400);
    let replaced = patch(PatchType::Json, r#"[{"op":"replace","path":"/data/k","value":"2"}]"#).expect("patches");
    assert_eq!(replaced.0["data"]["k"], "2");
    let merged = patch(PatchType::Strategic, r#"{"metadata":{"labels":{"a":"b"}}}"#).expect("patches");
    assert_eq!(merged.0["metadata"]["labels"], json!({"a": "b"}));
}

#[test]
fn a_finalizer_keeps_an_object_until_it_is_removed() {
    let mut world = World::new();
    let mut object = config_map("1");
    object["metadata"]["finalizers"] = json!(["example.com/keep"]);
    world.create("configmaps", "", object.clone()).expect("creates");
    assert_eq!(world.delete("configmaps", "c", DeleteOptions::default()).expect("marks").1, Outcome::Deleting);
    let marked = world.get("configmaps", "c").expect("waits");
    assert_eq!(marked["metadata"]["deletionTimestamp"], "1970-01-01T00:00:00Z");
    assert_eq!(world.delete("configmaps", "c", DeleteOptions::default()).expect("waits").1, Outcome::Deleting);
    object["metadata"]["finalizers"] = json!([]);
    assert_eq!(world.update("configmaps", "c", &object).expect("frees").1, Outcome::Removed);
    assert!(world.get("configmaps", "c").is_none());
}

#[test]
fn propagation_is_told_by_finalizers() {
    for (propagation, finalizer) in [(Propagation::Foreground, "foregroundDeletion"), (Propagation::Orphan, "orphan")] {
        let mut world = World::new();
        world.create("configmaps", "", config_map("1")).expect("creates");
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        let (marked, outcome) = world.delete("configmaps", "c", options).expect("marks");
        assert_eq!((&marked["metadata"]["finalizers"], outcome), (&json!([finalizer]), Outcome::Deleting));
        let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        assert_eq!(world.delete("configmaps", "c", options).expect("removes").1, Outcome::Removed);
    }
}

#[test]
fn only_a_bound_pod_gets_time_to_end() {
    let mut world = World::new();
    world.create("pods", "", pod("a")).expect("creates");
    assert_eq!(world.delete("pods", "a", DeleteOptions::default()).expect("removes").1, Outcome::Removed);
    world.create("pods", "", pod("b")).expect("creates");
    let bind = |uid: &str| Operation::Bind {
        namespace: "default".to_owned(),
        pod: "b".to_owned(),
        uid: uid.to_owned(),
        node: "n1".to_owned(),
    };
    assert_eq!(world.execute(&bind("another")).expect_err("is another pod").code, 409);
    world.execute(&bind("")).expect("binds");
    let bound = world.get("pods", "b").expect("exists");
    assert_eq!(bound["spec"]["nodeName"], "n1");
    let conditions = bound["status"]["conditions"].as_array().expect("has conditions");
    assert!(conditions.iter().any(|condition| condition["type"] == "PodScheduled" && condition["status"] == "True"));
    let again = world.execute(&bind("")).expect_err("is bound");
    assert!(again.message.contains("pod b is already assigned to node \"n1\""), "{again}");

    let (marked, outcome) = world.delete("pods", "b", DeleteOptions::default()).expect("marks");
    assert_eq!((&marked["metadata"]["deletionGracePeriodSeconds"], outcome), (&json!(30), Outcome::Deleting));
    assert_eq!(marked["metadata"]["deletionTimestamp"], "1970-01-01T00:00:30Z");
    let shorter = DeleteOptions { grace_period_seconds: Some(5), ..DeleteOptions::default() };
    let (marked, _) = world.delete("pods", "b", shorter).expect("shortens");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 5);
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    assert_eq!(world.delete("pods", "b", now).expect("removes").1, Outcome::Removed);
}

#[test]
fn a_grace_period_may_be_longer_than_the_calendar() {
    let mut world = World::new();
    let mut bound = pod("a");
    bound["spec"]["nodeName"] = "n1".into();
    world.create("pods", "", bound).expect("creates");
    let options = DeleteOptions { grace_period_seconds: Some(i64::MAX), ..DeleteOptions::default() };
    let (marked, outcome) = world.delete("pods", "a", options).expect("marks");
    assert_eq!(outcome, Outcome::Deleting);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], i64::MAX);
    assert_eq!(marked["metadata"]["deletionTimestamp"], "9999-12-30T22:00:00Z");
    let shorter = DeleteOptions { grace_period_seconds: Some(5), ..DeleteOptions::default() };
    let (marked, _) = world.delete("pods", "a", shorter).expect("shortens");
    assert_eq!(marked["metadata"]["deletionTimestamp"], "1970-01-01T00:00:05Z");
}

#[test]
fn a_deletion_checks_its_preconditions() {
    let mut world = World::new();
    world.create("configmaps", "", config_map("1")).expect("creates");
    let other = DeleteOptions { uid: "another".to_owned(), ..DeleteOptions::default() };
    assert_eq!(world.delete("configmaps", "c", other).expect_err("is another").code, 409);
    let stale = DeleteOptions { resource_version: "1".to_owned(), ..DeleteOptions::default() };
    assert_eq!(world.delete("configmaps", "c", stale).expect_err("is stale").code, 409);
    assert_eq!(world.delete("configmaps", "x", DeleteOptions::default()).expect_err("is missing").code, 404);
}

#[test]
fn addresses_and_ports_are_held_by_one_service_each() {
    let mut world = World::new();
    let first = world.create("services", "", service("a", json!({"type": "NodePort"}))).expect("creates");
    let address = first["spec"]["clusterIP"].as_str().expect("has an address").to_owned();
    let port = first["spec"]["ports"][0]["nodePort"].as_u64().expect("has a port");
    assert!(address.starts_with("10.") && (30_000..=32_767).contains(&port), "{address} {port}");
    assert_eq!(first["spec"]["clusterIPs"], json!([address]));

    let refused = world.create("services", "", service("b", json!({"clusterIP": address}))).expect_err("is held");
    assert!(refused.message.contains("provided IP is already allocated"), "{refused}");
    let taken = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    let refused = world.create("services", "", service("b", taken.clone())).expect_err("is held");
    assert!(refused.message.contains("provided port is already allocated"), "{refused}");
    let outside = world.create("services", "", service("b", json!({"clusterIP": "10.0.0.1"}))).expect_err("is outside");
    assert!(outside.message.contains("not in the valid range"), "{outside}");

    let (kept, _) = world.update("services", "a", &service("a", json!({"type": "NodePort"}))).expect("updates");
    assert_eq!(kept["spec"]["clusterIP"], json!(address));
    let (moved, _) = world.update("services", "a", &service("a", json!({"type": "ClusterIP"}))).expect("updates");
    assert!(moved["spec"]["ports"][0].get("nodePort").is_none());
    world.create("services", "", service("b", taken)).expect("the port is free again");
    world.delete("services", "a", DeleteOptions::default()).expect("removes");
    world.create("services", "", service("c", json!({"clusterIP": address}))).expect("the address is free again");
    let headless = world.create("services", "", service("d", json!({"clusterIP": "None"}))).expect("creates");
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
}

#[test]
fn a_scale_is_a_view_of_the_replicas() {
    let mut world = World::new();
    let deployment = json!({
        "metadata": {"name": "d"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    });
    world.create("deployments", "", deployment).expect("creates");
    let patch = Operation::Patch {
        target: sub("deployments", "d", Subresource::Scale),
        patch_type: PatchType::Merge,
        patch: Bytes::from_static(br#"{"spec":{"replicas":5}}"#),
    };
    let plan = world.plan(&patch).expect("plans");
    assert!(plan.as_scale);
    world.execute(&patch).expect("scales");
    let scaled = world.get("deployments", "d").expect("exists");
    assert_eq!(scaled["spec"]["replicas"], 5);
    let scale = crate::pipeline::scale::value(registry::by_name("deployments").expect("is registered"), &scaled);
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["selector"]), (&json!(5), &json!("app=web")));
}

#[test]
fn status_and_the_rest_do_not_touch_each_other() {
    let mut world = World::new();
    world.create("pods", "", pod("a")).expect("creates");
    let mut told = world.get("pods", "a").expect("exists");
    told["status"] = json!({"phase": "Running"});
    told["metadata"]["labels"] = json!({"app": "changed"});
    let status = Operation::Update { target: sub("pods", "a", Subresource::Status), body: body(&told) };
    let (object, _) = world.execute(&status).expect("updates");
    assert_eq!(
        (&object["status"]["phase"], &object["metadata"]["labels"]),
        (&json!("Running"), &json!({"app": "web"}))
    );
    let mut relabelled = world.get("pods", "a").expect("exists");
    relabelled["status"] = json!({"phase": "Failed"});
    relabelled["metadata"]["labels"] = json!({"app": "changed"});
    let (object, _) = world.update("pods", "a", &relabelled).expect("updates");
    assert_eq!(
        (&object["status"]["phase"], &object["metadata"]["labels"]),
        (&json!("Running"), &json!({"app": "changed"}))
    );
}

#[test]
fn an_object_that_is_too_large_is_refused() {
    let mut world = World::new();
    let large = "x".repeat(OBJECT_BYTES_MAX);
    let mut object = pod("a");
    object["spec"]["containers"][0]["args"] = json!([large]);
    assert_eq!(world.create("pods", "", object).expect_err("is too large").code, 413);
    // A ConfigMap's data has a bound of its own, which is told by its field.
    assert_eq!(world.create("configmaps", "", config_map(&large)).expect_err("is too large").code, 422);
}

#[test]
fn events_live_as_long_as_their_lease() {
    let world = World::new();
    let event = json!({
        "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "a", "namespace": "default"},
        "reason": "Started", "message": "m", "type": "Normal",
    });
    let plan = world.plan(&Operation::Create { target: target("events", ""), body: body(&event) }).expect("plans");
    assert!(plan.writes.values().all(|write| matches!(write, Write::Put { lease: 7, .. })));
    let plan = world.plan(&Operation::Create { target: target("pods", ""), body: body(&pod("a")) }).expect("plans");
    assert!(plan.writes.values().all(|write| matches!(write, Write::Put { lease: 0, .. })));
}

#[test]
fn a_batch_makes_no_more_definitions_than_fit() {
    let world = World::new();
    let definition = |name: &str| {
        let names = json!({"plural": name, "kind": "Thing"});
        let schema = json!({"openAPIV3Schema": {"type": "object"}});
        let versions = json!([{"name": "v1", "served": true, "storage": true, "schema": schema}]);
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{name}.example.com")},
            "spec": {"group": "example.com", "scope": "Cluster", "names": names, "versions": versions},
        })
    };
    let events = (1..crate::custom::DEFINITIONS_MAX).map(|index| {
        let key = keys::object(world.kinds.definitions, &format!("things{index}.example.com"));
        let value = body(&definition(&format!("things{index}")));
        Event {
            r#type: EventType::Put as i32,
            kv: Some(KeyValue { key: key.into(), value, ..KeyValue::default() }),
            prev_kv: None,
        }
    });
    cache::apply(&world.caches, 3, events.collect());
    let options = WriteOptions::default();
    let planner = Planner {
        caches: &world.caches,
        kinds: &world.kinds,
        settings: &world.settings,
        user: None,
        options: &options,
        now: Timestamp::UNIX_EPOCH,
        event_lease: 0,
        taken: Mutex::default(),
    };
    let create = |name: &str| {
        let target = Target {
            kind: world.kinds.definitions,
            namespace: String::new(),
            name: String::new(),
            subresource: Subresource::None,
        };
        let operation = Operation::Create { target, body: body(&definition(name)) };
        planner.plan(&prepare(&world.kinds, &operation, &options)?)
    };
    create("last").expect("one fits");
    assert_eq!(create("more").expect_err("no other does").reason, keelson_types::status::Reason::Forbidden);
}
