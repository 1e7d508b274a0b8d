//! Where the bytes of a volume come from, in pods and in persistent volumes.

use serde_json::Value;

use super::projected;
use crate::field::{Error, Path};
use crate::json::{entries, items, text};
use crate::kinds::{check, persistent_volume_claim};
use crate::quantity::Quantity;
use crate::{meta, names};

const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const PARTITION_MAX: i64 = 255;
const LUN_MAX: i64 = 255;

/// The texts that a source must have.
fn required(kind: &str) -> &'static [&'static str] {
    match kind {
        "awsElasticBlockStore" | "cinder" | "portworxVolume" => &["volumeID"],
        "azureDisk" => &["diskName", "diskURI"],
        "azureFile" => &["secretName", "shareName"],
        "configMap" => &["name"],
        "flexVolume" => &["driver"],
        "gcePersistentDisk" => &["pdName"],
        "gitRepo" => &["repository"],
        "glusterfs" => &["endpoints", "path"],
        "hostPath" | "local" => &["path"],
        "iscsi" => &["targetPortal", "iqn"],
        "nfs" => &["server", "path"],
        "persistentVolumeClaim" => &["claimName"],
        "photonPersistentDisk" => &["pdID"],
        "quobyte" => &["registry", "volume"],
        "rbd" => &["image"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        "secret" => &["secretName"],
        "storageos" => &["volumeName"],
        "vsphereVolume" => &["volumePath"],
        _ => &[],
    }
}

/// What the source of the volume at `path` may say.
pub(crate) fn validate(kind: &str, source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    // Kubernetes tells of these disks under another name than they are written.
    let path = &path.child(if kind == "gcePersistentDisk" { "persistentDisk" } else { kind });
    for field in required(kind) {
        check::required(&source[*field], &path.child(field), errors);
    }
    let own = |field: &str| text(&source[field]);
    match kind {
        "awsElasticBlockStore" | "gcePersistentDisk" => {
            check::between(&source["partition"], 0, PARTITION_MAX, &path.child("partition"), errors);
        }
        "azureDisk" => azure_disk(source, path, errors),
        "cephfs" | "rbd" if items(&source["monitors"]).next().is_none() => {
            errors.push(Error::required(&path.child("monitors"), ""));
        }
        "cinder" | "storageos" => secret_name(source, path, errors),
        "configMap" | "secret" => projected::files(source, path, errors),
        "csi" => csi(source, path, errors),
        "downwardAPI" => projected::downward(source, path, errors),
        "emptyDir" => empty_dir(source, path, errors),
        "ephemeral" => ephemeral(source, path, errors),
        "fc" => fibre_channel(source, path, errors),
        "flexVolume" => flex_options(source, path, errors),
        "flocker" => match (own("datasetName"), own("datasetUUID")) {
            ("", "") => errors.push(Error::required(path, "one of datasetName and datasetUUID is required")),
            (name, _) if name.contains('/') => {
                errors.push(Error::invalid(&path.child("datasetName"), name, "must not contain '/'"));
            }
            (_, "") | ("", _) => {}
            _ => {
                let why = "datasetName and datasetUUID can not be specified simultaneously";
                errors.push(Error::invalid(path, "resource", why));
            }
        },
        "gitRepo" => check::relative_path(own("directory"), &path.child("directory"), errors),
        "hostPath" => {
            check::no_steps_up(own("path"), &path.child("path"), errors);
            check::one_of(&source["type"], &HOST_PATH_TYPES, &path.child("type"), errors);
        }
        "image" => {
            if own("reference") != own("reference").trim() {
                let why = "must not have leading or trailing whitespace";
                errors.push(Error::invalid(&path.child("reference"), own("reference"), why));
            }
            let policies = ["Always", "IfNotPresent", "Never"];
            check::one_of(&source["pullPolicy"], &policies, &path.child("pullPolicy"), errors);
        }
        "iscsi" => iscsi(source, path, errors),
        "local" => check::no_steps_up(own("path"), &path.child("path"), errors),
        "nfs" if !own("path").is_empty() && !own("path").starts_with('/') => {
            errors.push(Error::invalid(&path.child("path"), own("path"), "must be an absolute path"));
        }
        "projected" => projected::validate(source, path, errors),
        "quobyte" if own("tenant").len() > 64 => {
            errors.push(Error::required(&path.child("tenant"), "must be a UUID of at most 64 characters"));
        }
        _ => {}
    }
}

fn azure_disk(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (caching, kinds) = (["None", "ReadOnly", "ReadWrite"], ["Dedicated", "Managed", "Shared"]);
    check::one_of(&source["cachingMode"], &caching, &path.child("cachingMode"), errors);
    check::one_of(&source["kind"], &kinds, &path.child("kind"), errors);
    let (managed, blob) = ("/subscriptions/{subscription}/…/disks/{disk}", "https://{account}.blob.core.windows.net/…");
    let uri = text(&source["diskURI"]);
    let (prefix, shown) = if source["kind"] == "Managed" { ("/subscriptions/", managed) } else { ("https://", blob) };
    if source["kind"].is_string() && !uri.is_empty() && !uri.starts_with(prefix) {
        errors.push(Error::not_supported(&path.child("diskURI"), uri, &[shown]));
    }
}

fn secret_name(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if source["secretRef"].is_object() {
        check::required(&source["secretRef"]["name"], &path.child("secretRef").child("name"), errors);
    }
}

fn csi(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    check::driver(&source["driver"], &path.child("driver"), errors);
    for (field, reference) in entries(source).filter(|(field, _)| field.ends_with("SecretRef")) {
        if reference.is_object() {
            check::required(&reference["name"], &path.child(field).child("name"), errors);
        }
    }
}

fn empty_dir(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let Some(limit) = source["sizeLimit"].as_str() else { return };
    let path = path.child("sizeLimit");
    match limit.parse::<Quantity>() {
        Err(error) => errors.push(Error::invalid(&path, limit, error.to_string())),
        Ok(amount) if amount.is_negative() => {
            errors.push(Error::forbidden(&path, "SizeLimit field must be a valid resource quantity"));
        }
        Ok(_) => {}
    }
}

fn ephemeral(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let template = &source["volumeClaimTemplate"];
    let path = path.child("volumeClaimTemplate");
    if !template.is_object() {
        errors.push(Error::required(&path, ""));
        return;
    }
    let metadata = path.child("metadata");
    meta::validate_labels(&template["metadata"]["labels"], &metadata.child("labels"), errors);
    meta::validate_annotations(&template["metadata"]["annotations"], &metadata.child("annotations"), errors);
    for (field, value) in entries(&template["metadata"]) {
        if !matches!(field.as_str(), "labels" | "annotations") && !value.is_null() {
            errors.push(Error::forbidden(&metadata.child(field), "cannot be set"));
        }
    }
    persistent_volume_claim::validate_spec(&template["spec"], &path.child("spec"), errors);
}

fn fibre_channel(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let some = |field: &str| items(&source[field]).next().is_some();
    let targets = path.child("targetWWNs");
    match (some("targetWWNs"), some("wwids")) {
        (false, false) => {
            errors.push(Error::required(&targets, "must specify either targetWWNs or wwids, but not both"))
        }
        (true, true) => {
            let why = "targetWWNs and wwids can not be specified simultaneously";
            errors.push(Error::invalid(&targets, source["targetWWNs"].clone(), why));
        }
        _ => {}
    }
    if some("targetWWNs") {
        if source["lun"].is_null() {
            errors.push(Error::required(&path.child("lun"), "lun is required if targetWWNs is specified"));
        }
        check::between(&source["lun"], 0, LUN_MAX, &path.child("lun"), errors);
    }
}

fn flex_options(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let options = path.child("options");
    for (key, _) in entries(&source["options"]) {
        let domain = format!(".{}", key.split('/').next().unwrap_or_default().to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let why = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(Error::invalid(&options.key(key), key.as_str(), why));
        }
    }
}

fn iscsi(source: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    // The last is written so in Kubernetes' messages.
    for (field, told) in [("iqn", "iqn"), ("initiatorName", "initiatorname")] {
        let name = text(&source[field]);
        if (field == "iqn" && name.is_empty()) || source[field].is_null() {
            continue;
        }
        if !["iqn", "eui", "naa"].iter().any(|prefix| name.starts_with(prefix)) {
            let why = "must be valid format starting with iqn, eui, or naa";
            errors.push(Error::invalid(&path.child(told), name, why));
        } else if !is_iscsi_name(name) {
            errors.push(Error::invalid(&path.child(told), name, "must be valid format"));
        }
    }
    check::between(&source["lun"], 0, LUN_MAX, &path.child("lun"), errors);
    let secured = source["chapAuthDiscovery"] == true || source["chapAuthSession"] == true;
    if secured && !source["secretRef"].is_object() {
        errors.push(Error::required(&path.child("secretRef"), ""));
    }
}

/// `iqn.2001-04.com.example:disk`, `eui.` and 16 digits, or `naa.` and 16 or 32 of them.
fn is_iscsi_name(name: &str) -> bool {
    let Some((kind, rest)) = name.split_once('.') else { return false };
    let digits = rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    match kind {
        "iqn" => {
            let (date, authority) = rest.split_once('.').unwrap_or_default();
            let (authority, unique) = authority.split_once(':').map_or((authority, None), |(a, u)| (a, Some(u)));
            let dated = date.split_once('-').is_some_and(|(year, month)| {
                let number = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
                number(year, 4) && number(month, 2)
            });
            dated
                && names::dns1123_subdomain(&authority.to_lowercase()).is_empty()
                && unique.is_none_or(|u| !u.is_empty())
        }
        "eui" => digits && rest.len() == 16,
        "naa" => digits && matches!(rest.len(), 16 | 32),
        _ => false,
    }
}
