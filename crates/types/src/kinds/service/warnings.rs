//! What a Service may say and had better not: fields that do nothing beside others, and those that are out of date.

use serde_json::Value;

use crate::json::{items, text};

const OLD_HINTS: &str = "service.kubernetes.io/topology-aware-hints";

pub(super) fn of(service: &Value, _: Option<&Value>, warnings: &mut Vec<String>) {
    let mut warn = |condition: bool, warning: &str| {
        if condition {
            warnings.push(warning.to_owned());
        }
    };
    let spec = &service["spec"];
    let external_ips = items(&spec["externalIPs"]).next().is_some();
    let headless = text(&spec["type"]) == "ClusterIP" && text(&spec["clusterIP"]) == "None";
    let elsewhere = text(&spec["type"]) == "ExternalName";
    let hints = !service["metadata"]["annotations"][OLD_HINTS].is_null();
    warn(
        hints,
        "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode \
         instead",
    );
    warn(headless && !text(&spec["loadBalancerIP"]).is_empty(), "spec.loadBalancerIP is ignored for headless services");
    warn(headless && external_ips, "spec.externalIPs is ignored for headless services");
    let affinity = !matches!(text(&spec["sessionAffinity"]), "" | "None");
    warn(headless && affinity, "spec.SessionAffinity is ignored for headless services");
    warn(
        external_ips && !headless && !elsewhere,
        "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
    );
    warn(external_ips && elsewhere, "spec.externalIPs is ignored when spec.type is \"ExternalName\"");
    let named = !text(&spec["externalName"]).is_empty();
    warn(named && !elsewhere, "spec.externalName is ignored when spec.type is not \"ExternalName\"");
    let close = text(&spec["trafficDistribution"]) == "PreferClose";
    warn(close, "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
}
