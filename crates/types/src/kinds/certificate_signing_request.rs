//! CertificateSigningRequest: somebody wants a certificate, and somebody else says whether they get it.

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use serde_json::{Value, json};

use super::check;
use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kind::{Behaviour, Kind};
use crate::table::{self, Column};
use crate::{duration_human, meta};

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// Nobody needs a certificate for less.
const SECONDS_MIN: i64 = 600;
const ANSWERS: [&str; 3] = ["Approved", "Denied", "Failed"];

pub static KIND: Kind = Kind {
    short_names: &["csr"],
    status: true,
    approval: true,
    columns: &[
        Column::NAME,
        Column::AGE,
        Column::string("SignerName", "Who is to sign."),
        Column::string("Requestor", "Who asked."),
        Column::string("RequestedDuration", "How long the certificate is to be valid."),
        Column::string("Condition", "What was said, and whether it was signed."),
    ],
    selectable_fields: &[("spec.signerName", "")],
    behaviour: Behaviour {
        validate,
        validate_update,
        prepare_status,
        cells,
        ..Behaviour::of::<CertificateSigningRequest>()
    },
    ..Kind::cluster::<CertificateSigningRequest>("certificatesigningrequest")
};

fn validate(object: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let request = text(&spec["request"]);
    // The base64 of a PEM block begins with that of its first line.
    if request.is_empty() {
        errors.push(Error::required(&path.child("request"), ""));
    } else if !request.starts_with("LS0tLS1CRUdJTi") {
        errors.push(Error::invalid(&path.child("request"), request, "PEM block type must be CERTIFICATE REQUEST"));
    }
    let signer = text(&spec["signerName"]);
    let signer_path = path.child("signerName");
    if check::required(&spec["signerName"], &signer_path, errors) {
        match signer.split_once('/') {
            Some((domain, rest)) if !rest.is_empty() && domain.contains('.') => {
                check::name(domain, crate::names::dns1123_subdomain, &signer_path, errors);
            }
            _ => errors.push(Error::invalid(
                &signer_path,
                signer,
                "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            )),
        }
    }
    let usages = path.child("usages");
    if items(&spec["usages"]).next().is_none() {
        errors.push(Error::required(&usages, "usages is required"));
    }
    for (index, usage) in items(&spec["usages"]) {
        check::one_of(usage, &USAGES, &usages.index(index), errors);
    }
    if spec["expirationSeconds"].as_i64().is_some_and(|seconds| seconds < SECONDS_MIN) {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(Error::invalid(&path.child("expirationSeconds"), spec["expirationSeconds"].clone(), why));
    }
    let status = Path::new("status");
    let conditions = status.child("conditions");
    let has = |word: &str| items(&object["status"]["conditions"]).any(|(_, condition)| condition["type"] == word);
    if has("Approved") && has("Denied") {
        errors.push(Error::invalid(&conditions, "Denied", "Approved and Denied conditions are mutually exclusive"));
    }
    for (index, condition) in items(&object["status"]["conditions"]) {
        let path = conditions.index(index);
        check::required(&condition["type"], &path.child("type"), errors);
        if ANSWERS.contains(&text(&condition["type"])) && text(&condition["status"]) != "True" {
            errors.push(Error::not_supported(&path.child("status"), condition["status"].clone(), &["True"]));
        }
    }
}

/// What is asked stays, and so does what was said about it.
fn validate_update(new: &Value, old: &Value, errors: &mut Vec<Error>) {
    let path = Path::new("spec");
    meta::immutable(&path, &new["spec"], &old["spec"], errors);
    let status = Path::new("status");
    let conditions = |object: &Value, word: &str| -> usize {
        items(&object["status"]["conditions"]).filter(|(_, condition)| condition["type"] == word).count()
    };
    for answer in ANSWERS {
        if conditions(new, answer) < conditions(old, answer) {
            let why = format!("updates may not remove a condition of type {answer:?}");
            errors.push(Error::forbidden(&status.child("conditions"), why));
        }
    }
    let issued = &old["status"]["certificate"];
    if !issued.is_null() {
        meta::immutable(&status.child("certificate"), &new["status"]["certificate"], issued, errors);
    }
}

/// Whoever signs does not also approve: that is another subresource.
fn prepare_status(new: &mut Value, old: &Value) {
    let said = |object: &Value, keep: bool| -> Vec<Value> {
        items(&object["status"]["conditions"])
            .filter(|(_, condition)| matches!(text(&condition["type"]), "Approved" | "Denied") == keep)
            .map(|(_, condition)| condition.clone())
            .collect()
    };
    let mut conditions = said(old, true);
    conditions.extend(said(new, false));
    if let Some(status) = new.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("conditions");
        if !conditions.is_empty() {
            status.insert("conditions".to_owned(), conditions.into());
        }
    } else if !conditions.is_empty() {
        crate::json::set(new, "status", json!({ "conditions": conditions }));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let has = |word: &str| items(&status["conditions"]).any(|(_, condition)| condition["type"] == word);
    let mut said: Vec<&str> = [("Approved", "Approved"), ("Denied", "Denied"), ("Failed", "Failed")]
        .into_iter()
        .filter(|(word, _)| has(word))
        .map(|(_, shown)| shown)
        .collect();
    if said.is_empty() {
        said.push("Pending");
    }
    if !text(&status["certificate"]).is_empty() {
        said.push("Issued");
    }
    let duration = spec["expirationSeconds"]
        .as_i64()
        .map_or("<none>".to_owned(), |seconds| duration_human(jiff::SignedDuration::from_secs(seconds)));
    vec![
        table::name(object),
        table::object_age(object, now),
        table::or_none(&spec["signerName"]),
        json!(text(&spec["username"])),
        json!(duration),
        json!(said.join(",")),
    ]
}
