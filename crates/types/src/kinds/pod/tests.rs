use jiff::Timestamp;
use serde_json::json;

use super::*;

fn pod(spec: Value) -> Value {
    let mut object = json!({"metadata": {"name": "p", "namespace": "default"}, "spec": spec});
    KIND.default(&mut object);
    object
}

fn one_container(change: Value) -> Value {
    let mut container = json!({"name": "c", "image": "nginx"});
    for (field, value) in change.as_object().into_iter().flatten() {
        set(&mut container, field, value.clone());
    }
    pod(json!({"containers": [container]}))
}

fn complaints(object: &Value) -> Vec<String> {
    KIND.validate_create(object).iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_kubernetes_own() {
    let object = one_container(json!({
        "resources": {"limits": {"cpu": "1"}},
        "ports": [{"containerPort": 80}],
        "readinessProbe": {"httpGet": {"port": 80}},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }));
    assert_eq!(
        object["spec"],
        json!({
            "containers": [{
                "name": "c", "image": "nginx", "imagePullPolicy": "Always",
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "readinessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
                    "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}}],
            }],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "securityContext": {}, "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
        })
    );
    let mut again = object.clone();
    KIND.default(&mut again);
    assert_eq!(again, object, "defaults are idempotent");
    assert_eq!(complaints(&object), Vec::<String>::new());
}

#[test]
fn images_that_may_change_are_always_pulled() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:0123", "IfNotPresent"),
        ("nginx:latest@sha256:0123", "Always"),
    ] {
        assert_eq!(defaults::pull_policy(image), policy, "{image}");
    }
}

#[test]
fn what_is_wrong_with_a_pod_is_said_as_kubernetes_says_it() {
    for (object, complaint) in [
        (pod(json!({})), "spec.containers: Required value"),
        (one_container(json!({"image": ""})), "spec.containers[0].image: Required value"),
        (one_container(json!({"name": ""})), "spec.containers[0].name: Required value"),
        (
            pod(json!({"containers": [{"name": "a", "image": "i"}, {"name": "a", "image": "i"}]})),
            "spec.containers[1].name: Duplicate value: \"a\"",
        ),
        (
            one_container(json!({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}})),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            one_container(json!({"resources": {"limits": {"cpu": "x"}, "requests": {"cpu": "1"}}})),
            "spec.containers[0].resources.limits[cpu]: Invalid value: \"x\": quantities must match the regular expression \
             '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            one_container(json!({"ports": [{"containerPort": 70000}]})),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            one_container(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            one_container(json!({"env": [{"name": "a=b"}]})),
            "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of \
             printable ASCII characters other than '='",
        ),
        (
            one_container(json!({"imagePullPolicy": "X"})),
            "spec.containers[0].imagePullPolicy: Unsupported value: \"X\": supported values: \"Always\", \
             \"IfNotPresent\", \"Never\"",
        ),
        (
            one_container(json!({"livenessProbe": {"periodSeconds": 3}})),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            pod(json!({"restartPolicy": "X", "containers": [{"name": "a", "image": "i"}]})),
            "spec.restartPolicy: Unsupported value: \"X\": supported values: \"Always\", \"Never\", \"OnFailure\"",
        ),
        (
            pod(json!({"containers": [{"name": "a", "image": "i"}], "tolerations": [{"value": "x"}]})),
            "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \
             \"match all values and all keys\"",
        ),
        (
            pod(json!({"containers": [{"name": "a", "image": "i"}], "volumes": [{"name": "v", "configMap": {}}]})),
            "spec.volumes[0].configMap.name: Required value",
        ),
    ] {
        assert_eq!(complaints(&object), [complaint]);
    }
}

#[test]
fn a_resize_policy_names_each_resource_once_and_fits_the_pod() {
    let told = |restart: &str, policies: Value| {
        let container = json!({"name": "a", "image": "i", "resizePolicy": policies});
        complaints(&pod(json!({"restartPolicy": restart, "containers": [container]}))).join("; ")
    };
    let policy = |resource: &str, restart: &str| json!({"resourceName": resource, "restartPolicy": restart});
    let path = "spec.containers[0].resizePolicy";
    assert_eq!(told("Always", json!([policy("cpu", "NotRequired"), policy("memory", "RestartContainer")])), "");
    assert_eq!(told("Never", json!([policy("cpu", "NotRequired")])), "");
    for (restart, policies, complaint) in [
        (
            "Never",
            json!([policy("cpu", "RestartContainer")]),
            "Invalid value: \"RestartContainer\": must be 'NotRequired' when `restartPolicy` is 'Never'",
        ),
        (
            "Always",
            json!([policy("cpu", "Restartcontainer")]),
            "Unsupported value: \"Restartcontainer\": supported values: \"NotRequired\", \"RestartContainer\"",
        ),
        (
            "Always",
            json!([policy("storage", "NotRequired")]),
            "Unsupported value: \"storage\": supported values: \"cpu\", \"memory\"",
        ),
        (
            "Always",
            json!([policy("cpu", "NotRequired"), policy("cpu", "RestartContainer")]),
            "Duplicate value: \"cpu\"",
        ),
        ("Always", json!([policy("", "NotRequired")]), "Required value"),
        ("Always", json!([policy("cpu", "")]), "Required value"),
    ] {
        assert_eq!(told(restart, policies), format!("{path}: {complaint}"));
    }
}

#[test]
fn a_template_has_a_resize_policy_as_its_pods_may() {
    use crate::kinds::{
        cron_job, daemon_set, deployment, job, pod_template, replica_set, replication_controller, stateful_set,
    };
    let template = |policy: &str| {
        let policy = json!([{"resourceName": "cpu", "restartPolicy": policy}]);
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {
            "restartPolicy": "Always", "containers": [{"name": "a", "image": "i", "resizePolicy": policy}],
        }})
    };
    let job_template = |policy: &str| {
        let mut template = template(policy);
        template["spec"]["restartPolicy"] = json!("OnFailure");
        json!({"spec": {"template": template}})
    };
    for kind in [
        &cron_job::KIND,
        &daemon_set::KIND,
        &deployment::KIND,
        &job::KIND,
        &pod_template::KIND,
        &replica_set::KIND,
        &replication_controller::KIND,
        &stateful_set::KIND,
    ] {
        let object = |policy: &str| {
            let mut object = json!({"metadata": {"name": "o", "namespace": "d"}});
            match kind.kind {
                "CronJob" => object["spec"] = json!({"schedule": "@daily", "jobTemplate": job_template(policy)}),
                "Job" => object["spec"] = job_template(policy)["spec"].clone(),
                "PodTemplate" => object["template"] = template(policy),
                "ReplicationController" => {
                    object["spec"] = json!({"selector": {"a": "b"}, "template": template(policy)})
                }
                _ => {
                    let selector = json!({"matchLabels": {"a": "b"}});
                    object["spec"] = json!({"selector": selector, "template": template(policy)});
                }
            }
            kind.default(&mut object);
            object
        };
        let (good, bad) = (object("RestartContainer"), object("Restartcontainer"));
        let about = |errors: Vec<crate::field::Error>| -> Vec<String> {
            let errors = errors.iter().filter(|error| error.path.contains("resizePolicy"));
            errors.map(ToString::to_string).collect()
        };
        assert_eq!(about(kind.validate_create(&good)), [""; 0], "{}", kind.kind);
        let told = about(kind.validate_create(&bad));
        assert!(
            told.len() == 1 && told[0].contains("Unsupported value: \"Restartcontainer\""),
            "{}: {told:?}",
            kind.kind
        );
        assert_eq!(about(kind.validate_update(&bad, &good)), told, "{}", kind.kind);
        // One that was stored before this was looked at can be scaled, and told of.
        assert_eq!(about(kind.validate_update(&bad, &bad)), [""; 0], "{}", kind.kind);
    }
}

#[test]
fn names_are_those_of_kubernetes() {
    let mut object = one_container(json!({}));
    object["metadata"]["name"] = json!("Nginx");
    let texts = complaints(&object);
    assert!(
        texts[0].starts_with("metadata.name: Invalid value: \"Nginx\": a lowercase RFC 1123 subdomain"),
        "{texts:?}"
    );
}

#[test]
fn a_new_pod_is_pending_and_knows_its_class() {
    for (resources, class) in [
        (json!({}), "BestEffort"),
        (json!({"requests": {"cpu": "1"}}), "Burstable"),
        (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
        (json!({"limits": {"cpu": "1"}}), "Burstable"),
    ] {
        let mut object = one_container(json!({"resources": resources}));
        object["status"] = json!({"phase": "Running"});
        KIND.prepare_create(&mut object);
        assert_eq!(object["status"], json!({"phase": "Pending", "qosClass": class}));
        assert_eq!(object["metadata"]["generation"], 1);
        assert_eq!(object["spec"].get("priority"), None, "is the cluster's to know");
    }
}

#[test]
fn almost_nothing_may_change() {
    type Change = fn(&mut Value);
    let old = one_container(json!({}));
    let table: [(Change, bool); 8] = [
        (|pod| pod["spec"]["containers"][0]["image"] = json!("nginx:2"), true),
        (|pod| pod["spec"]["activeDeadlineSeconds"] = json!(5), true),
        (|pod| pod["spec"]["tolerations"] = json!([{"operator": "Exists"}]), true),
        (|pod| pod["metadata"]["labels"] = json!({"a": "b"}), true),
        (|pod| pod["spec"]["containers"][0]["command"] = json!(["x"]), false),
        (|pod| pod["spec"]["nodeName"] = json!("n1"), false),
        (|pod| pod["spec"]["containers"] = json!([]), false),
        (|pod| pod["metadata"]["uid"] = json!("other"), false),
    ];
    for (index, (change, allowed)) in table.into_iter().enumerate() {
        let mut new = old.clone();
        change(&mut new);
        assert_eq!(KIND.validate_update(&new, &old).is_empty(), allowed, "change {index}");
    }
}

fn row(spec: Value, status: Value, deleting: bool) -> Vec<String> {
    let now: Timestamp = "2026-01-01T00:01:00Z".parse().expect("a time");
    let mut object = pod(spec);
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    object["status"] = status;
    if deleting {
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
    }
    KIND.cells(&object, now).iter().map(|cell| text(cell).to_owned()).collect()
}

#[test]
fn the_status_of_a_row_is_kubectls() {
    let one = json!({"containers": [{"name": "a", "image": "i"}]});
    let init = json!({"containers": [{"name": "a", "image": "i"}],
        "initContainers": [{"name": "x", "image": "i"}, {"name": "y", "image": "i"}]});
    let statuses = |phase: &str, container: Value| json!({"phase": phase, "containerStatuses": [container]});
    let running = json!({"name": "a", "ready": true, "state": {"running": {}}});
    let table = [
        (&one, json!({"phase": "Pending"}), false, "0/1", "Pending", "0"),
        (&one, statuses("Running", running.clone()), false, "1/1", "Running", "0"),
        (&one, statuses("Running", running), true, "1/1", "Terminating", "0"),
        (
            &one,
            statuses("Pending", json!({"state": {"waiting": {"reason": "ContainerCreating"}}})),
            false,
            "0/1",
            "ContainerCreating",
            "0",
        ),
        (
            &one,
            statuses(
                "Running",
                json!({"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:00:40Z"}}}),
            ),
            false,
            "0/1",
            "CrashLoopBackOff",
            "3 (20s ago)",
        ),
        (
            &one,
            statuses("Succeeded", json!({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}})),
            false,
            "0/1",
            "Completed",
            "0",
        ),
        (&one, statuses("Failed", json!({"state": {"terminated": {"exitCode": 3}}})), false, "0/1", "ExitCode:3", "0"),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [
                {"name": "x", "state": {"terminated": {"exitCode": 0}}}, {"name": "y", "state": {"running": {}}}]}),
            false,
            "0/1",
            "Init:1/2",
            "0",
        ),
        (
            &init,
            json!({"phase": "Pending", "initContainerStatuses": [
                {"name": "x", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}),
            false,
            "0/1",
            "Init:Error",
            "0",
        ),
    ];
    for (spec, status, deleting, ready, word, restarts) in table {
        let cells = row(spec.clone(), status, deleting);
        assert_eq!(cells[1..5], [ready, word, restarts, "60s"]);
    }
    let wide = row(
        json!({"nodeName": "n1", "containers": [{"name": "a", "image": "i"}]}),
        json!({"phase": "Running", "podIP": "10.0.0.7"}),
        false,
    );
    assert_eq!(wide[5..], ["10.0.0.7", "n1", "<none>", "<none>"]);
}

#[test]
fn every_cell_has_its_column() {
    let now = Timestamp::UNIX_EPOCH;
    for kind in crate::registry::all() {
        assert_eq!(kind.cells(&json!({}), now).len(), kind.columns.len(), "{}", kind.kind);
    }
}

#[test]
fn fields_can_be_selected() {
    let mut object = one_container(json!({}));
    object["spec"]["nodeName"] = json!("n1");
    assert_eq!(KIND.selectable_field(&object, "spec.nodeName").as_deref(), Some("n1"));
    assert_eq!(KIND.selectable_field(&object, "metadata.name").as_deref(), Some("p"));
    assert_eq!(KIND.selectable_field(&object, "status.phase").as_deref(), Some(""));
    assert_eq!(KIND.selectable_field(&object, "spec.hostNetwork").as_deref(), Some("false"));
    assert_eq!(KIND.selectable_field(&object, "spec.containers"), None);
}
