//! What a pod's spec says when its author does not.

use serde_json::{Value, json};

use crate::json::{child, default_text, default_to, empty, entries, items_mut, set, text};

const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
/// `rw-r--r--` of files from ConfigMaps and Secrets.
const FILE_MODE: i32 = 0o644;
const TOKEN_SECONDS: i32 = 3600;
const GRACE_SECONDS: i32 = 30;

/// Defaults of pods and of pod templates alike.
pub(crate) fn spec(spec: &mut Value) {
    default_text(spec, "dnsPolicy", "ClusterFirst");
    default_text(spec, "restartPolicy", "Always");
    default_text(spec, "schedulerName", "default-scheduler");
    default_to(spec, "securityContext", empty());
    default_to(spec, "terminationGracePeriodSeconds", GRACE_SECONDS);
    // The account has an older name, which clients still read.
    let account = match text(&spec["serviceAccountName"]) {
        "" => text(&spec["serviceAccount"]).to_owned(),
        name => name.to_owned(),
    };
    if !account.is_empty() {
        set(spec, "serviceAccountName", account.as_str());
        set(spec, "serviceAccount", account);
    }
    for list in CONTAINER_LISTS {
        items_mut(spec, list).for_each(container);
    }
    items_mut(spec, "volumes").for_each(volume);
}

fn container(container: &mut Value) {
    let policy = pull_policy(text(&container["image"]));
    default_text(container, "imagePullPolicy", policy);
    default_text(container, "terminationMessagePath", "/dev/termination-log");
    default_text(container, "terminationMessagePolicy", "File");
    default_to(container, "resources", empty());
    for port in items_mut(container, "ports") {
        default_text(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        let Some(source) = variable.get_mut("valueFrom") else { continue };
        if let Some(field) = source.get_mut("fieldRef") {
            default_text(field, "apiVersion", "v1");
        }
        if let Some(resource) = source.get_mut("resourceFieldRef") {
            default_text(resource, "divisor", "0");
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(name).filter(|probe| probe.is_object()) {
            default_probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = container.get_mut("lifecycle").and_then(|lifecycle| lifecycle.get_mut(hook)) {
            default_handler(handler);
        }
    }
}

/// An image without a tag, or tagged `latest`, may change under its name.
pub(super) fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = match image.split_once('@') {
        Some((name, _)) => (name, true),
        None => (image, false),
    };
    // A colon before the last slash belongs to a port of the registry.
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    match tag {
        None if digest => "IfNotPresent",
        None | Some("latest") => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn default_probe(probe: &mut Value) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe[field].as_i64().unwrap_or(0) == 0 {
            set(probe, field, value);
        }
    }
    default_handler(probe);
}

fn default_handler(handler: &mut Value) {
    if let Some(http) = handler.get_mut("httpGet").filter(|http| http.is_object()) {
        default_text(http, "path", "/");
        default_text(http, "scheme", "HTTP");
    }
    if let Some(grpc) = handler.get_mut("grpc").filter(|grpc| grpc.is_object()) {
        default_to(grpc, "service", "");
    }
}

fn volume(volume: &mut Value) {
    let sources = entries(volume).filter(|(key, _)| *key != "name").count();
    if sources == 0 {
        set(volume, "emptyDir", empty());
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source).filter(|source| source.is_object()) {
            default_to(source, "defaultMode", FILE_MODE);
        }
    }
    if let Some(host_path) = volume.get_mut("hostPath").filter(|source| source.is_object()) {
        default_to(host_path, "type", "");
    }
    if let Some(downward) = volume.get_mut("downwardAPI") {
        default_downward(downward);
    }
    storage(volume);
    let template = volume.get_mut("ephemeral").and_then(|ephemeral| ephemeral.get_mut("volumeClaimTemplate"));
    if let Some(claim) = template.and_then(|template| child(template, "spec")) {
        default_text(claim, "volumeMode", "Filesystem");
    }
    let Some(projected) = volume.get_mut("projected") else { return };
    for source in items_mut(projected, "sources") {
        if let Some(token) = source.get_mut("serviceAccountToken").filter(|token| token.is_object()) {
            default_to(token, "expirationSeconds", TOKEN_SECONDS);
        }
        if let Some(downward) = source.get_mut("downwardAPI") {
            default_downward(downward);
        }
    }
}

/// Kinds of storage that have defaults of their own, in pods and in persistent volumes.
pub(crate) fn storage(volume: &mut Value) {
    for (source, field, value) in [
        ("iscsi", "iscsiInterface", "default"),
        ("rbd", "pool", "rbd"),
        ("rbd", "user", "admin"),
        ("rbd", "keyring", "/etc/ceph/keyring"),
        ("scaleIO", "storageMode", "ThinProvisioned"),
        ("scaleIO", "fsType", "xfs"),
        ("azureDisk", "cachingMode", "ReadWrite"),
        ("azureDisk", "kind", "Shared"),
        ("azureDisk", "fsType", "ext4"),
    ] {
        if let Some(source) = volume.get_mut(source).filter(|source| source.is_object()) {
            default_text(source, field, value);
        }
    }
    if let Some(disk) = volume.get_mut("azureDisk").filter(|source| source.is_object()) {
        default_to(disk, "readOnly", false);
    }
}

fn default_downward(source: &mut Value) {
    for item in items_mut(source, "items") {
        if let Some(field) = item.get_mut("fieldRef") {
            default_text(field, "apiVersion", "v1");
        }
        if let Some(resource) = item.get_mut("resourceFieldRef") {
            default_text(resource, "divisor", "0");
        }
    }
}

/// A container that is limited but requests nothing requests its limit.
pub(super) fn requests_from_limits(spec: &mut Value) {
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            let limits = container["resources"]["limits"].clone();
            if let Some(requests) = entries(&limits)
                .next()
                .and_then(|_| container.get_mut("resources"))
                .and_then(|resources| child(resources, "requests"))
            {
                for (resource, limit) in entries(&limits) {
                    default_to(requests, resource, limit.clone());
                }
            }
        }
    }
}

/// On the host's network every port is one of the host.
pub(super) fn host_ports(spec: &mut Value) {
    if spec["hostNetwork"] != json!(true) {
        return;
    }
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            for port in items_mut(container, "ports") {
                if port["hostPort"].as_i64().unwrap_or(0) == 0 {
                    let number = port["containerPort"].clone();
                    set(port, "hostPort", number);
                }
            }
        }
    }
}
