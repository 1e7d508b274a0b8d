//! IngressClass: a program that handles Ingresses.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::IngressClass;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{default_text, text};
use crate::kind::{Behaviour, Kind};
use crate::meta;
use crate::table::{self, Column};

const CONTROLLER_BYTES_MAX: usize = 250;

pub static KIND: Kind = Kind {
    columns: &[
        Column::NAME,
        Column::string("Controller", "Which controller handles the class."),
        Column::string("Parameters", "An object with more configuration."),
        Column::AGE,
    ],
    behaviour: Behaviour {
        counts_generation: true,
        default,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<IngressClass>()
    },
    ..Kind::cluster::<IngressClass>("ingressclass")
};

fn default(object: &mut Value) {
    if let Some(parameters) = object.get_mut("spec").and_then(|spec| spec.get_mut("parameters")) {
        default_text(parameters, "scope", "Cluster");
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let spec = Path::new("spec");
    let path = spec.child("controller");
    let controller = text(&object["spec"]["controller"]);
    if controller.len() > CONTROLLER_BYTES_MAX {
        errors.push(Error::too_long(&path, CONTROLLER_BYTES_MAX));
    }
    let prefix = controller.split_once('/');
    match prefix {
        Some((domain, rest)) if !rest.is_empty() => {
            check::name(domain, crate::names::dns1123_subdomain, &path, errors);
        }
        _ => errors.push(Error::invalid(&path, controller, "must be a domain-prefixed path (such as \"acme.io/foo\")")),
    }
    let parameters = &object["spec"]["parameters"];
    if parameters.is_object() {
        let path = spec.child("parameters");
        for field in ["kind", "name"] {
            check::required(&parameters[field], &path.child(field), errors);
        }
        check::one_of(&parameters["scope"], &["Cluster", "Namespace"], &path.child("scope"), errors);
        let namespace = text(&parameters["namespace"]);
        match text(&parameters["scope"]) {
            "Namespace" if namespace.is_empty() => {
                errors.push(Error::required(&path.child("namespace"), "`parameters.scope` is set to 'Namespace'"))
            }
            "Cluster" if !namespace.is_empty() => {
                errors.push(Error::forbidden(&path.child("namespace"), "`parameters.scope` is set to 'Cluster'"))
            }
            _ => {}
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    meta::immutable(&path.child("controller"), &new["spec"]["controller"], &old["spec"]["controller"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = &object["spec"]["parameters"];
    let shown = if parameters.is_object() {
        let kind = text(&parameters["kind"]);
        let kind = match text(&parameters["apiGroup"]) {
            "" => kind.to_owned(),
            group => format!("{kind}.{group}"),
        };
        format!("{kind}/{}", text(&parameters["name"]))
    } else {
        "<none>".to_owned()
    };
    vec![table::name(object), json!(text(&object["spec"]["controller"])), json!(shown), table::object_age(object, now)]
}
