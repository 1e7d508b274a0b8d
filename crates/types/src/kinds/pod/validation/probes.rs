//! Probes and hooks: exactly one way to do it, and sensible numbers.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;
use crate::names;

const NUMBERS: [&str; 5] =
    ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];

pub(super) fn validate(container: &Value, init: bool, grace: Option<i64>, path: &Path<'_>, errors: &mut Vec<Error>) {
    let sidecar = container["restartPolicy"] == "Always";
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &container[name];
        if !probe.is_object() {
            continue;
        }
        let path = path.child(name);
        if init && !sidecar {
            errors.push(Error::forbidden(&path, "may not be set for init containers without restartPolicy=Always"));
            continue;
        }
        validate_handler(probe, grace, &path, errors);
        for number in NUMBERS {
            check::not_negative(&probe[number], &path.child(number), errors);
        }
        let successes = &probe["successThreshold"];
        if name != "readinessProbe" && successes.as_i64().is_some_and(|count| count != 1) {
            errors.push(Error::invalid(&path.child("successThreshold"), successes.clone(), "must be 1"));
        }
        let own = &probe["terminationGracePeriodSeconds"];
        if name == "readinessProbe" && !own.is_null() {
            let why = "must not be set for readinessProbes";
            errors.push(Error::invalid(&path.child("terminationGracePeriodSeconds"), own.clone(), why));
        }
        check::positive(own, &path.child("terminationGracePeriodSeconds"), errors);
    }
    let lifecycle = path.child("lifecycle");
    if init && !sidecar && container["lifecycle"].is_object() {
        errors.push(Error::forbidden(&lifecycle, "may not be set for init containers without restartPolicy=Always"));
        return;
    }
    let signal = &container["lifecycle"]["stopSignal"];
    if let Some(signal) = signal.as_str().filter(|signal| !signal.starts_with("SIG")) {
        errors.push(Error::invalid(
            &lifecycle.child("stopSignal"),
            signal,
            "must be the name of a signal, such as SIGTERM",
        ));
    }
    for hook in ["postStart", "preStop"] {
        let handler = &container["lifecycle"][hook];
        if handler.is_object() {
            validate_handler(handler, grace, &lifecycle.child(hook), errors);
        }
    }
}

fn validate_handler(handler: &Value, grace: Option<i64>, path: &Path<'_>, errors: &mut Vec<Error>) {
    let kinds: Vec<&str> = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"]
        .into_iter()
        .filter(|kind| handler[*kind].is_object())
        .collect();
    let Some((first, more)) = kinds.split_first() else {
        errors.push(Error::required(path, "must specify a handler type"));
        return;
    };
    for kind in more {
        errors.push(Error::forbidden(&path.child(kind), "may not specify more than 1 handler type"));
    }
    let path = path.child(first);
    let handler = &handler[*first];
    match *first {
        "exec" if handler["command"].as_array().is_none_or(Vec::is_empty) => {
            errors.push(Error::required(&path.child("command"), ""));
        }
        "httpGet" => {
            check::required(&handler["path"], &path.child("path"), errors);
            validate_port(&handler["port"], &path.child("port"), errors);
            check::one_of(&handler["scheme"], &["HTTP", "HTTPS"], &path.child("scheme"), errors);
            for (_, header) in items(&handler["httpHeaders"]) {
                let name = text(&header["name"]);
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                    let why =
                        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name')";
                    errors.push(Error::invalid(&path.child("httpHeaders"), name, why));
                }
            }
        }
        "tcpSocket" => validate_port(&handler["port"], &path.child("port"), errors),
        "grpc" => validate_port(&handler["port"], &path.child("port"), errors),
        "sleep" => {
            let (seconds, most) = (handler["seconds"].as_i64().unwrap_or(0), grace.unwrap_or(0));
            if seconds < 0 || seconds > most {
                let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({most})");
                errors.push(Error::invalid(&path, seconds, why));
            }
        }
        _ => {}
    }
}

/// A number or the name of one of the container's ports.
fn validate_port(port: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    match port {
        Value::String(_) => check::name(text(port), names::port_name, path, errors),
        Value::Null => check::port(&Value::from(0), path, errors),
        _ => check::port(port, path, errors),
    }
}
