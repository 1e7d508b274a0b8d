//! The containers of a pod or of a template.

use serde_json::Value;

use super::super::{capitalized, map_lines};
use crate::render::describe::Section;
use crate::render::{items, text};

/// One section a container, with its status where there is one.
pub(super) fn containers(containers: &Value, statuses: &Value) -> Section {
    let mut section = Section::new();
    for container in items(containers) {
        let name = &container["name"];
        let status = items(statuses).iter().find(|status| status["name"] == *name);
        section.section(&text(name), one(container, status));
    }
    section
}

fn one(container: &Value, status: Option<&Value>) -> Section {
    let mut section = Section::new();
    if let Some(status) = status {
        section.optional("Container ID", text(&status["containerID"]));
    }
    section.field("Image", text(&container["image"]));
    let ports: Vec<String> = items(&container["ports"])
        .iter()
        .map(|port| {
            let protocol = text(&port["protocol"]);
            format!("{}/{}", text(&port["containerPort"]), if protocol.is_empty() { "TCP" } else { &protocol })
        })
        .collect();
    if !ports.is_empty() {
        section.field(if ports.len() > 1 { "Ports" } else { "Port" }, ports.join(", "));
    }
    for (title, field) in [("Command", "command"), ("Args", "args")] {
        let lines: Vec<String> = items(&container[field]).iter().map(text).collect();
        if !lines.is_empty() {
            section.lines(title, lines);
        }
    }
    if let Some(status) = status {
        section.lines("State", state(&status["state"]));
        if status["lastState"].as_object().is_some_and(|last| !last.is_empty()) {
            section.lines("Last State", state(&status["lastState"]));
        }
        section.field("Ready", if status["ready"] == true { "True" } else { "False" });
        section.field("Restart Count", status["restartCount"].as_i64().unwrap_or_default().to_string());
    }
    for (title, field) in [("Limits", "limits"), ("Requests", "requests")] {
        let lines = map_lines(&container["resources"][field], ':');
        if !lines.is_empty() {
            section.lines(title, lines);
        }
    }
    for (title, field) in [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
    {
        section.optional(title, probe(&container[field]));
    }
    let from: Vec<String> = items(&container["envFrom"]).iter().map(env_from).collect();
    if !from.is_empty() {
        section.lines("Environment Variables from", from);
    }
    section.lines("Environment", items(&container["env"]).iter().map(env).collect());
    let mounts: Vec<String> = items(&container["volumeMounts"])
        .iter()
        .map(|mount| {
            let access = if mount["readOnly"] == true { "ro" } else { "rw" };
            format!("{} from {} ({access})", text(&mount["mountPath"]), text(&mount["name"]))
        })
        .collect();
    if !mounts.is_empty() {
        section.lines("Mounts", mounts);
    }
    section
}

/// `Waiting`, with a line for each detail.
fn state(state: &Value) -> Vec<String> {
    let Some((name, detail)) = state.as_object().into_iter().flatten().next() else {
        return vec!["Waiting".to_owned()];
    };
    let mut lines = vec![capitalized(name)];
    for (label, field) in [
        ("Reason", "reason"),
        ("Message", "message"),
        ("Exit Code", "exitCode"),
        ("Signal", "signal"),
        ("Started", "startedAt"),
        ("Finished", "finishedAt"),
    ] {
        let value = text(&detail[field]);
        if !value.is_empty() {
            lines.push(format!("  {label}: {value}"));
        }
    }
    lines
}

/// `http-get :8080/healthz delay=5s period=10s #failure=3`
fn probe(probe: &Value) -> String {
    let action = if probe["httpGet"].is_object() {
        format!("http-get :{}{}", text(&probe["httpGet"]["port"]), text(&probe["httpGet"]["path"]))
    } else if probe["tcpSocket"].is_object() {
        format!("tcp-socket :{}", text(&probe["tcpSocket"]["port"]))
    } else if probe["grpc"].is_object() {
        format!("grpc :{}", text(&probe["grpc"]["port"]))
    } else if probe["exec"].is_object() {
        let command: Vec<String> = items(&probe["exec"]["command"]).iter().map(text).collect();
        format!("exec {}", command.join(" "))
    } else {
        return String::new();
    };
    let number = |field: &str, default: i64| probe[field].as_i64().unwrap_or(default);
    format!(
        "{action} delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds", 0),
        number("timeoutSeconds", 1),
        number("periodSeconds", 10),
        number("successThreshold", 1),
        number("failureThreshold", 3),
    )
}

fn env_from(source: &Value) -> String {
    let (kind, reference) = if source["configMapRef"].is_object() {
        ("ConfigMap", &source["configMapRef"])
    } else {
        ("Secret", &source["secretRef"])
    };
    let optional = if reference["optional"] == true { " (optional)" } else { "" };
    format!("{} {kind}{optional}", text(&reference["name"]))
}

fn env(variable: &Value) -> String {
    let name = text(&variable["name"]);
    let from = &variable["valueFrom"];
    for (field, what) in [("configMapKeyRef", "config map"), ("secretKeyRef", "secret")] {
        let reference = &from[field];
        if reference.is_object() {
            return format!("{name}: <key {:?} of {what} {:?}>", text(&reference["key"]), text(&reference["name"]));
        }
    }
    if from["fieldRef"].is_object() {
        return format!("{name}: <field {}>", text(&from["fieldRef"]["fieldPath"]));
    }
    format!("{name}: {}", text(&variable["value"]))
}
