//! Kubernetes' key layout, so that its own tools find their way: `/registry/<resource>/<namespace>/<name>`.
//!
//! Bytes below `/registry/` that no kind here owns are left alone. Keelson's own keys are the allocations
//! (`/registry/ranges/…`): one key an address or port, whose value is the owning Service's path, so that a transaction can
//! guard each on its own.

use keelson_types::Kind;

/// Everything that the API stores.
pub const ROOT: &str = "/registry/";
/// The end of the range of everything that the API stores: `ROOT` with its last byte plus one.
pub const ROOT_END: &str = "/registry0";

/// Allocations of addresses and ports.
pub const RANGES: &str = "/registry/ranges/";

/// The prefix of a kind's keys, with the trailing slash.
pub fn prefix(kind: &'static Kind) -> String {
    let kind = kind.stored();
    if kind.is_custom() {
        return custom(kind.group, kind.plural);
    }
    // Some kinds kept the names that they had before they were called as they are now.
    match (kind.group, kind.plural) {
        ("", "nodes") => format!("{ROOT}minions/"),
        ("", "services") => format!("{ROOT}services/specs/"),
        ("", "endpoints") => format!("{ROOT}services/endpoints/"),
        ("", "replicationcontrollers") => format!("{ROOT}controllers/"),
        ("networking.k8s.io", "ingresses") => format!("{ROOT}ingress/"),
        // What is measured is not stored; its plurals are those of what is.
        (group @ ("apiregistration.k8s.io" | "apiextensions.k8s.io" | "metrics.k8s.io"), plural) => {
            format!("{ROOT}{group}/{plural}/")
        }
        (_, plural) => format!("{ROOT}{plural}/"),
    }
}

/// The prefix of the keys of a kind that users define.
pub fn custom(group: &str, plural: &str) -> String {
    format!("{ROOT}{group}/{plural}/")
}

/// The key of an object by its path below its kind's prefix.
pub fn object(kind: &'static Kind, path: &str) -> String {
    let mut key = prefix(kind);
    key.push_str(path);
    key
}

/// The path of an object below its kind's prefix.
pub fn path(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// The allocation of a Service's cluster address.
pub fn cluster_ip(address: std::net::Ipv4Addr) -> String {
    format!("{RANGES}serviceips/{address}")
}

/// The allocation of a Service's node port.
pub fn node_port(port: u16) -> String {
    format!("{RANGES}servicenodeports/{port}")
}

/// The end of the range of all keys that begin with `prefix`, which ends in an ASCII character.
pub fn range_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
