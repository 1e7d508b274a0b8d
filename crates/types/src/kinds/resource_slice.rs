//! ResourceSlice: devices that a driver has to give.

use jiff::Timestamp;
use k8s_openapi::api::resource::v1::ResourceSlice;
use serde_json::{Value, json};

use super::persistent_volume::unset;
use super::{check, devices, pod};
use crate::field::{Error, Path};
use crate::json::{entries, items, text};
use crate::kind::{Behaviour, Kind};
use crate::table::{self, Column};
use crate::{meta, names};

const DEVICES_MAX: usize = 128;
const ATTRIBUTES_MAX: usize = 32;
const TAINTS_MAX: usize = 16;
const VALUE_BYTES_MAX: usize = 64;

pub static KIND: Kind = Kind {
    columns: &[
        Column::NAME,
        Column::string("Node", "The node that has the devices."),
        Column::string("Driver", "Who manages them."),
        Column::string("Pool", "The pool that they belong to."),
        Column::AGE,
    ],
    selectable_fields: &[("spec.driver", ""), ("spec.nodeName", "")],
    behaviour: Behaviour {
        counts_generation: true,
        validate,
        validate_update,
        cells,
        ..Behaviour::of::<ResourceSlice>()
    },
    ..Kind::cluster::<ResourceSlice>("resourceslice")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    check::driver(&spec["driver"], &path.child("driver"), errors);
    validate_pool(&spec["pool"], &path.child("pool"), errors);
    let places = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
    let named = places.iter().filter(|field| !spec[**field].is_null() && spec[**field] != false).count();
    if named != 1 {
        let why = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
        errors.push(if named == 0 { Error::required(&path, why) } else { Error::invalid(&path, "", why) });
    }
    validate_place(spec, &path, errors);
    let list = path.child("devices");
    let count = items(&spec["devices"]).count();
    if count > DEVICES_MAX {
        errors.push(Error::too_many(&list, count, DEVICES_MAX));
    }
    let mut seen = std::collections::HashSet::new();
    for (index, device) in items(&spec["devices"]) {
        let path = list.index(index);
        let name = text(&device["name"]);
        if check::required(&device["name"], &path.child("name"), errors) {
            check::name(name, names::dns1123_label, &path.child("name"), errors);
        }
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        validate_device(device, spec["perDeviceNodeSelection"] == true, &path, errors);
    }
    let sets = path.child("sharedCounters");
    for (index, set) in items(&spec["sharedCounters"]) {
        counters(set, "name", &sets.index(index), errors);
    }
}

fn validate_pool(pool: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let name = path.child("name");
    if check::required(&pool["name"], &name, errors) {
        if text(&pool["name"]).len() > names::SUBDOMAIN_BYTES_MAX {
            errors.push(Error::too_long(&name, names::SUBDOMAIN_BYTES_MAX));
        }
        for part in text(&pool["name"]).split('/') {
            check::name(part, names::dns1123_subdomain, &name, errors);
        }
    }
    let slices = pool["resourceSliceCount"].as_i64().unwrap_or(0);
    if slices <= 0 {
        errors.push(Error::invalid(&path.child("resourceSliceCount"), slices, "must be greater than zero"));
    }
    let generation = pool["generation"].as_i64().unwrap_or(0);
    if generation < 0 {
        let why = "must be greater than or equal to zero";
        errors.push(Error::invalid(&path.child("generation"), generation, why));
    }
}

/// Where devices are, all of a slice or one alone.
fn validate_place(object: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if let Some(node) = object["nodeName"].as_str() {
        let path = path.child("nodeName");
        if node.is_empty() {
            errors.push(Error::invalid(&path, "", "must be either unset or set to a non-empty string"));
        } else {
            check::name(node, names::dns1123_subdomain, &path, errors);
        }
    }
    if object["nodeSelector"].is_object() {
        let path = path.child("nodeSelector");
        pod::validation::scheduling::node_selector(&object["nodeSelector"], &path, errors);
    }
    if object["allNodes"] == false {
        errors.push(Error::invalid(&path.child("allNodes"), false, "must be either unset or set to true"));
    }
}

fn validate_device(device: &Value, placed: bool, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (attributes, capacities) = (&device["attributes"], &device["capacity"]);
    let count = entries(attributes).count() + entries(capacities).count();
    if count > ATTRIBUTES_MAX {
        let why = format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}");
        errors.push(Error::invalid(path, count, why));
    }
    let map = path.child("attributes");
    for (name, attribute) in entries(attributes) {
        devices::attribute_name(name, false, &map.key(name), errors);
        validate_attribute(attribute, &map.key(name), errors);
    }
    let map = path.child("capacity");
    for (name, capacity) in entries(capacities) {
        devices::attribute_name(name, false, &map.key(name), errors);
        if !capacity["requestPolicy"].is_null() && device["allowMultipleAllocations"] != true {
            let why = "allowMultipleAllocations must be true";
            errors.push(Error::forbidden(&map.key(name).child("requestPolicy"), why));
        }
    }
    let list = path.child("taints");
    let count = items(&device["taints"]).count();
    if count > TAINTS_MAX {
        errors.push(Error::too_many(&list, count, TAINTS_MAX));
    }
    for (index, taint) in items(&device["taints"]) {
        let path = list.index(index);
        check::name(text(&taint["key"]), names::qualified_name, &path.child("key"), errors);
        check::name(text(&taint["value"]), names::label_value, &path.child("value"), errors);
        if check::required(&taint["effect"], &path.child("effect"), errors) {
            devices::effect(&taint["effect"], &path.child("effect"), errors);
        }
    }
    let list = path.child("consumesCounters");
    for (index, set) in items(&device["consumesCounters"]) {
        counters(set, "counterSet", &list.index(index), errors);
    }
    let named = ["nodeName", "nodeSelector", "allNodes"].iter().filter(|field| !device[**field].is_null()).count();
    if placed {
        let why = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set \
                   to true in the ResourceSlice spec";
        match named {
            0 => errors.push(Error::required(path, why)),
            1 => {}
            _ => errors.push(Error::invalid(path, "", why)),
        }
        validate_place(device, path, errors);
    } else if named > 0 {
        let why = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the \
                   ResourceSlice spec";
        errors.push(Error::invalid(path, Value::Null, why));
    }
}

/// One value, of one type.
fn validate_attribute(attribute: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    match entries(attribute).filter(|(_, value)| !value.is_null()).count() {
        0 => errors.push(Error::required(path, "exactly one value must be specified")),
        1 => {}
        _ => errors.push(Error::invalid(path, attribute.clone(), "exactly one value must be specified")),
    }
    for field in ["string", "version"] {
        if text(&attribute[field]).len() > VALUE_BYTES_MAX {
            errors.push(Error::too_long(&path.child(field), VALUE_BYTES_MAX));
        }
    }
    if let Some(version) = attribute["version"].as_str().filter(|version| !is_version(version)) {
        let why = "must be a string compatible with semver.org spec 2.0.0";
        errors.push(Error::invalid(&path.child("version"), version, why));
    }
}

/// `1.2.3-alpha.1+build`, by semver.org 2.0.0.
fn is_version(version: &str) -> bool {
    let (version, build) = version.split_once('+').map_or((version, None), |(version, build)| (version, Some(build)));
    let (core, early) = version.split_once('-').map_or((version, None), |(core, early)| (core, Some(early)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    core.split('.').count() == 3
        && core.split('.').all(number)
        && early.is_none_or(|early| early.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

fn counters(set: &Value, name: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    if check::required(&set[name], &path.child(name), errors) {
        check::name(text(&set[name]), names::dns1123_label, &path.child(name), errors);
    }
    if entries(&set["counters"]).next().is_none() {
        errors.push(Error::required(&path.child("counters"), ""));
    }
    let counters = path.child("counters");
    for (counter, _) in entries(&set["counters"]) {
        check::name(counter, names::dns1123_label, &counters.key(counter), errors);
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    for field in ["driver", "nodeName"] {
        meta::immutable(&path.child(field), &new["spec"][field], &old["spec"][field], errors);
    }
    let pool = path.child("pool");
    meta::immutable(&pool.child("name"), &new["spec"]["pool"]["name"], &old["spec"]["pool"]["name"], errors);
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        table::name(object),
        unset(&spec["nodeName"]),
        json!(text(&spec["driver"])),
        json!(text(&spec["pool"]["name"])),
        table::object_age(object, now),
    ]
}
