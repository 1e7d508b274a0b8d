//! APIService: a group of kinds that another server serves.

use jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{default_to, items, text};
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};
use crate::table::{self, Column};

const GROUP_PRIORITY_MAX: i64 = 20_000;
const VERSION_PRIORITY_MAX: i64 = 1000;

pub static KIND: Kind = Kind {
    categories: &["api-extensions"],
    status: true,
    columns: &[
        Column::NAME,
        Column::string("Service", "Who serves the group; Local is this server."),
        Column::string("Available", "Whether it can be reached."),
        Column::AGE,
    ],
    merge_rules: &[Rules { prefix: "status", rules: &[("conditions", by("type"))] }],
    behaviour: Behaviour {
        default,
        validate,
        validate_name: crate::names::path_segment,
        cells,
        ..Behaviour::of::<APIService>()
    },
    ..Kind::cluster::<APIService>("apiservice")
};

fn default(object: &mut Value) {
    if let Some(service) = object.get_mut("spec").and_then(|spec| spec.get_mut("service")) {
        default_to(service, "port", 443);
    }
}

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let name = text(&object["metadata"]["name"]);
    let wanted = format!("{}.{}", text(&spec["version"]), text(&spec["group"]));
    if name != wanted {
        let metadata = Path::new("metadata");
        errors.push(Error::invalid(
            &metadata.child("name"),
            name,
            format!("must be `spec.version+\".\"+spec.group`: {wanted:?}"),
        ));
    }
    check::required(&spec["version"], &path.child("version"), errors);
    for (field, most) in [("groupPriorityMinimum", GROUP_PRIORITY_MAX), ("versionPriority", VERSION_PRIORITY_MAX)] {
        let value = spec[field].as_i64().unwrap_or(0);
        if value <= 0 || value > most {
            let why = format!("must be positive and less than {most}");
            errors.push(Error::invalid(&path.child(field), value, why));
        }
    }
    let service = &spec["service"];
    if service.is_object() {
        let path = path.child("service");
        for field in ["namespace", "name"] {
            check::required(&service[field], &path.child(field), errors);
        }
        check::port(&service["port"], &path.child("port"), errors);
    }
    if spec["insecureSkipTLSVerify"] == true && !spec["caBundle"].is_null() {
        let why = "may not be true if caBundle is present";
        errors.push(Error::invalid(&path.child("insecureSkipTLSVerify"), true, why));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let service = &object["spec"]["service"];
    let served = match service.is_object() {
        true => format!("{}/{}", text(&service["namespace"]), text(&service["name"])),
        false => "Local".to_owned(),
    };
    let condition = items(&object["status"]["conditions"]).find(|(_, condition)| condition["type"] == "Available");
    let available = match condition {
        None => "Unknown".to_owned(),
        Some((_, condition)) if condition["status"] == "True" => "True".to_owned(),
        Some((_, condition)) => format!("{} ({})", text(&condition["status"]), text(&condition["reason"])),
    };
    vec![table::name(object), json!(served), json!(available), table::object_age(object, now)]
}
