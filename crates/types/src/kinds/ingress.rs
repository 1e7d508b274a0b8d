//! Ingress: which requests from outside go to which Service.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kind::{Behaviour, Kind};
use crate::names;
use crate::table::{self, Column};

/// How many hosts a table shows before it says how many more there are.
const SHOWN_MAX: usize = 3;
/// What a path may not contain, plain or encoded: a proxy may resolve it to another path.
const STRANGE: [&str; 6] = ["//", "/./", "/../", "%2f", "%2F", "/.."];

pub static KIND: Kind = Kind {
    short_names: &["ing"],
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Class", "The class that handles the ingress."),
        Column::string("Hosts", "Hosts that the ingress is about."),
        Column::string("Address", "Where the ingress can be reached."),
        Column::string("Ports", "Ports at which the ingress listens."),
        Column::AGE,
    ],
    behaviour: Behaviour { counts_generation: true, validate, warn, cells, ..Behaviour::of::<Ingress>() },
    ..Kind::namespaced::<Ingress>("ingress")
};

/// Only of a new one: whoever has it set already was told.
fn warn(object: &Value, old: Option<&Value>, warnings: &mut Vec<String>) {
    if old.is_none() && !object["metadata"]["annotations"]["kubernetes.io/ingress.class"].is_null() {
        let why =
            "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead";
        warnings.push(why.to_owned());
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let class = text(&spec["ingressClassName"]);
    if !class.is_empty() {
        check::name(class, names::dns1123_subdomain, &path.child("ingressClassName"), errors);
    }
    let default = &spec["defaultBackend"];
    if default.is_object() {
        backend(default, &path.child("defaultBackend"), errors);
    } else if items(&spec["rules"]).next().is_none() {
        errors.push(Error::invalid(&path, spec.clone(), "either `defaultBackend` or `rules` must be specified"));
    }
    let tls = path.child("tls");
    for (index, entry) in items(&spec["tls"]) {
        let path = tls.index(index);
        let hosts = path.child("hosts");
        for (index, name) in items(&entry["hosts"]) {
            host(text(name), &hosts.index(index), errors);
        }
    }
    let rules = path.child("rules");
    for (index, rule) in items(&spec["rules"]) {
        let path = rules.index(index);
        let name = text(&rule["host"]);
        if !name.is_empty() {
            if name.parse::<std::net::IpAddr>().is_ok() {
                errors.push(Error::invalid(&path.child("host"), name, "must be a DNS name, not an IP address"));
            }
            host(name, &path.child("host"), errors);
        }
        if rule["http"].is_object() {
            http(&rule["http"], &path.child("http"), errors);
        }
    }
}

/// A name, or `*.` and a name.
fn host(name: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    match name.strip_prefix("*.") {
        Some(rest) if names::dns1123_subdomain(rest).is_empty() => {}
        Some(_) => errors.push(Error::invalid(
            path,
            name,
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of \
             lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', \
             regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        )),
        None => check::name(name, names::dns1123_subdomain, path, errors),
    }
}

fn http(http: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let paths = path.child("paths");
    if items(&http["paths"]).next().is_none() {
        errors.push(Error::required(&paths, ""));
    }
    for (index, entry) in items(&http["paths"]) {
        let path = paths.index(index);
        let (kind, route) = (&entry["pathType"], text(&entry["path"]));
        if kind.is_null() {
            errors.push(Error::required(&path.child("pathType"), "pathType must be specified"));
        }
        check::one_of(kind, &["Exact", "ImplementationSpecific", "Prefix"], &path.child("pathType"), errors);
        let free = text(kind) == "ImplementationSpecific";
        if !(route.starts_with('/') || free && route.is_empty()) {
            errors.push(Error::invalid(&path.child("path"), route, "must be an absolute path"));
        } else if !free && let Some(strange) = STRANGE[..5].iter().find(|strange| route.contains(**strange)) {
            errors.push(Error::invalid(&path.child("path"), route, format!("must not contain '{strange}'")));
        } else if !free && route.ends_with(STRANGE[5]) {
            errors.push(Error::invalid(&path.child("path"), route, format!("cannot end with '{}'", STRANGE[5])));
        }
        backend(&entry["backend"], &path.child("backend"), errors);
    }
}

fn backend(backend: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    match (service.is_object(), resource.is_object()) {
        (true, true) => {
            errors.push(Error::invalid(path, "", "cannot set both resource and service backends"));
        }
        (false, false) => {
            errors.push(Error::required(path, "port name or number is required"));
        }
        (false, true) => {
            for field in ["kind", "name"] {
                check::required(&resource[field], &path.child("resource").child(field), errors);
            }
        }
        (true, false) => {
            let path = path.child("service");
            let name = text(&service["name"]);
            if check::required(&service["name"], &path.child("name"), errors) {
                check::name(name, names::dns1035_label, &path.child("name"), errors);
            }
            let port = path.child("port");
            let (number, name) = (&service["port"]["number"], text(&service["port"]["name"]));
            match (number.as_i64().is_some_and(|number| number != 0), name.is_empty()) {
                (true, false) => {
                    errors.push(Error::invalid(&port, "", "cannot set both port name & port number"));
                }
                (false, true) => errors.push(Error::required(&port, "port name or number is required")),
                (true, true) => check::port(number, &port.child("number"), errors),
                (false, false) => check::name(name, names::port_name, &port.child("name"), errors),
            }
        }
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let rules = items(&spec["rules"]).count();
    let hosts: Vec<&str> = items(&spec["rules"])
        .take(SHOWN_MAX)
        .map(|(_, rule)| text(&rule["host"]))
        .filter(|host| !host.is_empty())
        .collect();
    let hosts = match (hosts.is_empty(), rules > SHOWN_MAX) {
        (true, _) => "*".to_owned(),
        (false, false) => hosts.join(","),
        (false, true) => format!("{} + {} more...", hosts.join(","), rules - SHOWN_MAX),
    };
    let addresses: Vec<&str> = items(&object["status"]["loadBalancer"]["ingress"])
        .map(|(_, entry)| if entry["ip"].is_string() { text(&entry["ip"]) } else { text(&entry["hostname"]) })
        .collect();
    let secured = items(&spec["tls"]).next().is_some();
    vec![
        table::name(object),
        table::or_none(&spec["ingressClassName"]),
        json!(hosts),
        json!(addresses.join(",")),
        json!(if secured { "80, 443" } else { "80" }),
        table::object_age(object, now),
    ]
}
