//! A pod's row in a table. The status is kubectl's: one word for what matters most.
//!
//! Source: pkg/printers/internalversion/printers.go, printPod.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::duration_human;
use crate::json::{items, text};
use crate::table;

/// What the containers of a pod add up to.
struct Summary {
    ready: usize,
    total: usize,
    status: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let summary = summarize(object);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts != 0 => {
            format!("{} ({} ago)", summary.restarts, duration_human(now.duration_since(last)))
        }
        _ => summary.restarts.to_string(),
    };
    let address = match items(&status["podIPs"]).next() {
        Some((_, first)) => &first["ip"],
        None => &status["podIP"],
    };
    vec![
        table::name(object),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.status),
        json!(restarts),
        table::object_age(object, now),
        table::or_none(address),
        table::or_none(&spec["nodeName"]),
        table::or_none(&status["nominatedNodeName"]),
        json!(readiness_gates(spec, status)),
    ]
}

fn summarize(object: &Value) -> Summary {
    let (spec, status) = (&object["spec"], &object["status"]);
    let phase = match text(&status["phase"]) {
        "" => "Unknown",
        phase => phase,
    };
    let mut reason = match text(&status["reason"]) {
        "" => phase.to_owned(),
        reason => reason.to_owned(),
    };
    if condition(status, "PodScheduled").is_some_and(|condition| condition["reason"] == "SchedulingGated") {
        reason = "SchedulingGated".to_owned();
    }
    let sidecars = items(&spec["initContainers"]).filter(|(_, container)| is_sidecar(container)).count();
    let mut summary = Summary {
        ready: 0,
        total: items(&spec["containers"]).count() + sidecars,
        status: reason,
        restarts: 0,
        last_restart: None,
    };
    let initializing = add_init_containers(spec, status, &mut summary);
    let initialized = condition(status, "Initialized").is_some_and(|condition| condition["status"] == "True");
    if !initializing || initialized {
        add_containers(status, &mut summary);
    }
    if !object["metadata"]["deletionTimestamp"].is_null() {
        if text(&status["reason"]) == "NodeLost" {
            summary.status = "Unknown".to_owned();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            summary.status = "Terminating".to_owned();
        }
    }
    summary
}

/// Goes through the init containers up to the first that is not done; returns whether there is one.
fn add_init_containers(spec: &Value, status: &Value, summary: &mut Summary) -> bool {
    let count = items(&spec["initContainers"]).count();
    let (mut sidecar_restarts, mut sidecar_last_restart) = (0, None);
    let mut initializing = false;
    for (index, container) in items(&status["initContainerStatuses"]) {
        let name = &container["name"];
        let sidecar =
            items(&spec["initContainers"]).any(|(_, candidate)| candidate["name"] == *name && is_sidecar(candidate));
        count_restarts(container, &mut summary.restarts, &mut summary.last_restart);
        if sidecar {
            count_restarts(container, &mut sidecar_restarts, &mut sidecar_last_restart);
        }
        let (waiting, terminated) = (&container["state"]["waiting"], &container["state"]["terminated"]);
        if terminated.is_object() && terminated["exitCode"].as_i64().unwrap_or(0) == 0 {
            continue;
        }
        if sidecar && container["started"] == json!(true) {
            summary.ready += usize::from(container["ready"] == json!(true));
            continue;
        }
        summary.status = if terminated.is_object() {
            format!("Init:{}", how_it_ended(terminated))
        } else if !matches!(text(&waiting["reason"]), "" | "PodInitializing") {
            format!("Init:{}", text(&waiting["reason"]))
        } else {
            format!("Init:{index}/{count}")
        };
        initializing = true;
        break;
    }
    if !initializing || condition(status, "Initialized").is_some_and(|condition| condition["status"] == "True") {
        // From now on only what still runs is counted.
        summary.restarts = sidecar_restarts;
        summary.last_restart = sidecar_last_restart;
    }
    initializing
}

fn add_containers(status: &Value, summary: &mut Summary) {
    let mut running = false;
    for (_, container) in items(&status["containerStatuses"]).rev() {
        count_restarts(container, &mut summary.restarts, &mut summary.last_restart);
        let state = &container["state"];
        if !text(&state["waiting"]["reason"]).is_empty() {
            summary.status = text(&state["waiting"]["reason"]).to_owned();
        } else if state["terminated"].is_object() {
            summary.status = how_it_ended(&state["terminated"]);
        } else if container["ready"] == json!(true) && state["running"].is_object() {
            running = true;
            summary.ready += 1;
        }
    }
    // One of several containers is through: the pod still runs.
    if summary.status == "Completed" && running {
        let ready = condition(status, "Ready").is_some_and(|condition| condition["status"] == "True");
        summary.status = if ready { "Running" } else { "NotReady" }.to_owned();
    }
}

fn how_it_ended(terminated: &Value) -> String {
    match (text(&terminated["reason"]), terminated["signal"].as_i64().unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn count_restarts(container: &Value, restarts: &mut i64, last: &mut Option<Timestamp>) {
    *restarts += container["restartCount"].as_i64().unwrap_or(0);
    let finished = text(&container["lastState"]["terminated"]["finishedAt"]).parse::<Timestamp>().ok();
    *last = finished.max(*last);
}

/// An init container that stays, beside the others.
fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    items(&status["conditions"]).map(|(_, condition)| condition).find(|condition| condition["type"] == kind)
}

fn readiness_gates(spec: &Value, status: &Value) -> String {
    let total = items(&spec["readinessGates"]).count();
    if total == 0 {
        return "<none>".to_owned();
    }
    let open = items(&spec["readinessGates"])
        .filter(|(_, gate)| {
            condition(status, text(&gate["conditionType"])).is_some_and(|condition| condition["status"] == "True")
        })
        .count();
    format!("{open}/{total}")
}
