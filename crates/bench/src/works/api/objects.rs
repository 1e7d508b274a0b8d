//! What the works store: configuration maps and pods of a size, whose text does not compress well.

use bytes::Bytes;
use rand::Rng as _;
use serde_json::json;

use super::super::keys;

/// As many characters as six bits tell apart, none of which JSON escapes.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A configuration map with a value of so many bytes.
pub fn config_map(name: &str, number: usize, bytes: usize) -> Bytes {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "labels": labels(number) },
        "data": { "value": text(number, bytes) },
    });
    object.to_string().into()
}

/// A pod that nobody schedules, with a variable of so many bytes.
pub fn pod(name: &str, number: usize, bytes: usize) -> Bytes {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": labels(number) },
        "spec": {
            "schedulingGates": [{ "name": "example.org/never" }],
            "containers": [{
                "name": "main",
                "image": "registry.example.org/team/application:1.2.3",
                "env": [{ "name": "VALUE", "value": text(number, bytes) }],
                "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
            }],
        },
    });
    object.to_string().into()
}

/// As many as objects usually have.
fn labels(number: usize) -> serde_json::Value {
    json!({
        "app.kubernetes.io/name": "application",
        "app.kubernetes.io/instance": format!("application-{}", number % 100),
        "app.kubernetes.io/managed-by": "keelson-bench",
    })
}

/// Text that differs from number to number.
pub fn text(number: usize, bytes: usize) -> String {
    let mut text = vec![0; bytes];
    keys::random(number).fill_bytes(&mut text);
    text.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_as_large_as_they_are_meant_to_be_and_differ() {
        let object: serde_json::Value = serde_json::from_slice(&config_map("m", 7, 1_000)).expect("is JSON");
        assert_eq!(object["data"]["value"].as_str().map(str::len), Some(1_000));
        assert_ne!(text(1, 100), text(2, 100));
        assert_eq!(text(1, 100), text(1, 100));
        let bytes = pod("p", 7, 1_000).len();
        assert!((1_000..2_000).contains(&bytes), "{bytes}");
    }
}
