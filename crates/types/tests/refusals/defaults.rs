//! What Kubernetes fills in is filled in.

use serde_json::json;

use super::super::{kind, made};

#[test]
fn what_a_volume_leaves_open_is_filled_in() {
    let disk = json!({"diskName": "a", "diskURI": "https://a.blob.core.windows.net/b/c.vhd"});
    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    for (source, path, filled) in [
        (json!({"iscsi": {"targetPortal": "a", "iqn": "iqn.x", "lun": 0}}), "/iscsi/iscsiInterface", json!("default")),
        (json!({"rbd": {"monitors": ["a"], "image": "b"}}), "/rbd/pool", json!("rbd")),
        (json!({"rbd": {"monitors": ["a"], "image": "b"}}), "/rbd/user", json!("admin")),
        (json!({"rbd": {"monitors": ["a"], "image": "b"}}), "/rbd/keyring", json!("/etc/ceph/keyring")),
        (json!({"azureDisk": disk}), "/azureDisk/cachingMode", json!("ReadWrite")),
        (json!({"azureDisk": disk}), "/azureDisk/fsType", json!("ext4")),
        (json!({"azureDisk": disk}), "/azureDisk/kind", json!("Shared")),
        (json!({"azureDisk": disk}), "/azureDisk/readOnly", json!(false)),
        (
            json!({"ephemeral": {"volumeClaimTemplate": claim}}),
            "/ephemeral/volumeClaimTemplate/spec/volumeMode",
            json!("Filesystem"),
        ),
    ] {
        let mut volume = source.clone();
        volume["name"] = json!("v");
        let pod = json!({"spec": {"containers": [{"name": "c", "image": "x"}], "volumes": [volume]}});
        let pod = made(kind("", "pods"), pod);
        assert_eq!(pod["spec"]["volumes"][0].pointer(path), Some(&filled), "{source}");
        if source["ephemeral"].is_null() {
            let volume = made(kind("", "persistentvolumes"), json!({"spec": source}));
            assert_eq!(volume["spec"].pointer(path), Some(&filled), "{source}");
        }
    }
    let chosen = json!({"rbd": {"monitors": ["a"], "image": "b", "pool": "own"}, "name": "v"});
    let pod = json!({"spec": {"containers": [{"name": "c", "image": "x"}], "volumes": [chosen]}});
    assert_eq!(made(kind("", "pods"), pod)["spec"]["volumes"][0]["rbd"]["pool"], "own");
}

#[test]
fn both_names_of_a_source_say_the_same() {
    let source = json!({"kind": "PersistentVolumeClaim", "name": "a"});
    for (given, other) in [("dataSource", "dataSourceRef"), ("dataSourceRef", "dataSource")] {
        let claim = made(kind("", "persistentvolumeclaims"), json!({"spec": {given: source}}));
        assert_eq!(claim["spec"][other], source);
    }
    let elsewhere = json!({"kind": "PersistentVolumeClaim", "name": "a", "namespace": "b"});
    let claim = made(kind("", "persistentvolumeclaims"), json!({"spec": {"dataSourceRef": elsewhere}}));
    assert!(claim["spec"]["dataSource"].is_null(), "the older one cannot say it");
}
