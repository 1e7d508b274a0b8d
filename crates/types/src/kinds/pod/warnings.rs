//! What a pod, or a template of pods, may say and had better not: fields that are out of date, and lists of which one entry hides
//! another. Nothing is refused for it; a client shows it to who wrote the object.

use serde_json::Value;

use crate::field::Path;
use crate::json::{entries, items, text};

mod containers;

/// Labels of nodes that have other names by now.
const OLD_LABELS: [(&str, &str); 7] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];
const OLD_ANNOTATIONS: [(&str, &str); 4] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("seccomp.security.alpha.kubernetes.io/pod", "non-functional in v1.27+; use the \"seccompProfile\" field instead"),
];
const OLD_VOLUMES: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

/// Of a pod itself: only of a new one, for people seldom change pods.
pub(super) fn of_pod(pod: &Value, old: Option<&Value>, warnings: &mut Vec<String>) {
    if old.is_none() {
        crate::kinds::workload::warn_of_name(pod, "the Pod's hostname", warnings);
        of(pod, &Path::ROOT, warnings);
    }
}

/// Of what has the metadata and the spec of a pod, at `path`.
pub(crate) fn of(pod: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let (metadata, spec_path) = (path.child("metadata"), path.child("spec"));
    let annotations = metadata.child("annotations");
    for (annotation, why) in OLD_ANNOTATIONS {
        if !pod["metadata"]["annotations"][annotation].is_null() {
            warnings.push(format!("{}: {why}", annotations.key(annotation)));
        }
    }
    let spec = &pod["spec"];
    of_nodes(spec, &spec_path, warnings);
    of_pods(&spec["affinity"], &spec_path.child("affinity"), warnings);
    let volumes = spec_path.child("volumes");
    for (index, volume) in items(&spec["volumes"]) {
        for (source, why) in OLD_VOLUMES.iter().filter(|(source, _)| !volume[*source].is_null()) {
            warnings.push(format!("{}: {why}", volumes.index(index).child(source)));
        }
    }
    twice(&spec["hostAliases"], "ip", &spec_path.child("hostAliases"), warnings);
    let secrets = spec_path.child("imagePullSecrets");
    twice(&spec["imagePullSecrets"], "name", &secrets, warnings);
    for (index, _) in items(&spec["imagePullSecrets"]).filter(|(_, secret)| text(&secret["name"]).is_empty()) {
        warnings.push(format!("{}: invalid empty name \"\"", secrets.index(index).child("name")));
    }
    fractions(&spec["overhead"], &spec_path.child("overhead"), warnings);
    containers::of(spec, &spec_path, warnings);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        let path = spec_path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
}

fn old_label(label: &str) -> Option<&'static str> {
    OLD_LABELS.iter().find(|(old, _)| *old == label).map(|(_, why)| *why)
}

/// Which nodes it may run on.
fn of_nodes(spec: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let selector = path.child("nodeSelector");
    for (label, _) in entries(&spec["nodeSelector"]) {
        if let Some(why) = old_label(label) {
            warnings.push(format!("{}: {why}", selector.key(label)));
        }
    }
    let affinity = &spec["affinity"]["nodeAffinity"];
    let (affinity_path, required) = (path.child("affinity"), "requiredDuringSchedulingIgnoredDuringExecution");
    let (affinity_path, preferred) =
        (affinity_path.child("nodeAffinity"), "preferredDuringSchedulingIgnoredDuringExecution");
    let terms = affinity_path.child(required);
    let terms = terms.child("nodeSelectorTerms");
    for (index, term) in items(&affinity[required]["nodeSelectorTerms"]) {
        of_term(term, &terms.index(index), warnings);
    }
    let terms = affinity_path.child(preferred);
    for (index, term) in items(&affinity[preferred]) {
        of_term(&term["preference"], &terms.index(index).child("preference"), warnings);
    }
    let constraints = path.child("topologySpreadConstraints");
    for (index, constraint) in items(&spec["topologySpreadConstraints"]) {
        let path = constraints.index(index);
        let key = text(&constraint["topologyKey"]);
        if let Some(why) = old_label(key) {
            warnings.push(format!("{}: {key} is {why}", path.child("topologyKey")));
        }
        if constraint["labelSelector"].is_null() {
            warnings.push(format!("{}: {NO_SELECTOR}", path.child("labelSelector")));
        }
    }
}

fn of_term(term: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let expressions = path.child("matchExpressions");
    for (index, expression) in items(&term["matchExpressions"]) {
        let key = text(&expression["key"]);
        if let Some(why) = old_label(key) {
            warnings.push(format!("{}: {key} is {why}", expressions.index(index).child("key")));
        }
    }
}

/// Beside which pods it may run.
fn of_pods(affinity: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    for part in ["podAffinity", "podAntiAffinity"] {
        let path = path.child(part);
        for (field, inner) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", None),
            ("preferredDuringSchedulingIgnoredDuringExecution", Some("podAffinityTerm")),
        ] {
            let terms = path.child(field);
            for (index, term) in items(&affinity[part][field]) {
                let path = terms.index(index);
                let (term, path) = inner.map_or((term, path), |inner| (&term[inner], path.child(inner)));
                if term["labelSelector"].is_null() {
                    warnings.push(format!("{}: {NO_SELECTOR}", path.child("labelSelector")));
                }
            }
        }
    }
}

/// Entries of a list that say the same as an earlier one in `field`.
fn twice(list: &Value, field: &str, path: &Path<'_>, warnings: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    for (index, entry) in items(list) {
        let value = text(&entry[field]);
        if !seen.insert(value) {
            warnings.push(format!("{}: duplicate {field} {value:?}", path.index(index).child(field)));
        }
    }
}

/// Amounts of bytes that are no whole number: as they are kept, they have a suffix then.
fn fractions(amounts: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    for resource in ["memory", "ephemeral-storage"] {
        let amount = text(&amounts[resource]);
        if amount.ends_with(['m', 'u', 'n']) {
            let why = format!("fractional byte value {amount:?} is invalid, must be an integer");
            warnings.push(format!("{}: {why}", path.key(resource)));
        }
    }
}
