use keelson_fuzzing::fuzz;
use keelson_types::schema::Type;
use keelson_types::{Kind, registry};
use proptest::prelude::*;
use serde_json::json;

use super::*;

mod generate;

/// Objects whose every field is set, as Kubernetes' own encoders write them (`scripts/kubernetes-facts`): apiVersion, kind,
/// JSON, protobuf in base64.
const GOLDEN: &str = include_str!("testdata/golden.txt");

fn golden() -> impl Iterator<Item = (&'static str, Value, Vec<u8>)> {
    use base64::Engine as _;
    GOLDEN.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, kind, json, wire] = words[..] else { panic!("{line}") };
        let wire = base64::engine::general_purpose::STANDARD.decode(wire).expect("is base64");
        (kind, serde_json::from_str(json).expect("is JSON"), wire)
    })
}

#[test]
fn what_kubernetes_writes_is_read_and_written_the_same() {
    for (kind, json, wire) in golden() {
        let read = decode(&wire, ("", "")).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(read, json, "{kind}");
        let written = document(&json).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(written == wire, "{kind}: other bytes than Kubernetes writes");
    }
}

#[test]
fn every_kind_that_is_served_is_among_them() {
    // The aggregator's one kind and what is measured are not among the types that the golden bytes are made of.
    let elsewhere = |kind: &&&Kind| kind.group == "apiregistration.k8s.io" || kind.is_observed();
    for kind in registry::all().iter().filter(|kind| !elsewhere(kind)) {
        assert!(golden().any(|(name, ..)| name == kind.kind), "{}", kind.kind);
    }
}

#[test]
fn zeros_are_kept_where_they_mean_something() {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "replicas": 0,
            "paused": false,
            "template": {"spec": {
                "containers": [{"name": "", "image": "", "ports": [{"containerPort": 0}], "resources": {}}],
                "volumes": [{"name": "v", "emptyDir": {}}],
            }},
        },
    });
    let decoded = decode(&document(&deployment).expect("is written"), ("", "")).expect("is read");
    assert_eq!(
        decoded["spec"],
        json!({
            "replicas": 0,
            "template": {"spec": {
                "containers": [{"name": "", "ports": [{"containerPort": 0}]}],
                "volumes": [{"name": "v", "emptyDir": {}}],
            }},
        })
    );
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"empty": ""}});
    assert_eq!(decode(&document(&secret).expect("is written"), ("", "")).expect("is read"), secret);
}

fn envelope(kind: &str, message: &[u8]) -> Vec<u8> {
    [&prefixed_document_head("v1", kind, message.len())[..], message].concat()
}

#[test]
fn unknown_fields_are_skipped_and_what_is_wrong_is_told_with_its_place() {
    // Field 99 as a number, as bytes, as 32 and as 64 bits; then the name.
    let unknown = b"\x98\x06\x07\x9a\x06\x01x\x9d\x06....\x99\x06........\x0a\x03\x0a\x01m";
    let map = decode(&envelope("ConfigMap", unknown), ("", "")).expect("is read");
    assert_eq!(map["metadata"], json!({"name": "m"}));
    let expected = decode(&[MAGIC, b"\x12\x05\x0a\x03\x0a\x01m"].concat(), ("v1", "ConfigMap")).expect("is read");
    assert_eq!(expected, map, "without a type, it is what the path says");

    for (message, place, why) in [
        (&b"\x0a\x05\x0a\x01m"[..], "core.v1.ConfigMap", "beyond the data"),
        (b"\x0a\x03\x0a\x02m", "metadata", "beyond the data"),
        (b"\x0a\x03\x0a\x01\xff", "metadata.name", "not UTF-8"),
        (b"\x08\x01", "metadata", "another type on the wire"),
        (b"\x12\x04\x0a\x02\xc3\x28", "data", "not UTF-8"),
        (b"\x0a", "core.v1.ConfigMap", "ends in the middle"),
        (b"\x0b", "core.v1.ConfigMap", "wire type"),
    ] {
        let Err(Error::Malformed { path, what }) = decode(&envelope("ConfigMap", message), ("", "")) else {
            panic!("{message:?} is refused");
        };
        assert_eq!(path, place, "{message:?}");
        assert!(what.contains(why), "{what}");
    }
    assert_eq!(decode(b"{}", ("", "")), Err(Error::NoMagic));
    assert!(matches!(decode(&envelope("Unheard", b""), ("", "")), Err(Error::NoKind { .. })));
    let compressed = [&envelope("ConfigMap", b"")[..], b"\x1a\x04gzip"].concat();
    assert_eq!(decode(&compressed, ("", "")), Err(Error::Encoding("gzip".to_owned())));
}

#[test]
fn the_epoch_is_a_moment_and_what_rfc_3339_cannot_say_is_none() {
    let created =
        |text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"creationTimestamp": text}});
    for text in ["1970-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-30T22:00:00Z"] {
        let map = created(text);
        assert_eq!(decode(&document(&map).expect("is written"), ("", "")).expect("is read"), map);
    }
    let at = |seconds: i64| {
        let (mut moment, mut metadata, mut map) = (Vec::new(), Vec::new(), Vec::new());
        wire::put_number(1, seconds as u64, &mut moment);
        wire::put_bytes(8, &moment, &mut metadata);
        wire::put_bytes(1, &metadata, &mut map);
        decode(&envelope("ConfigMap", &map), ("", ""))
    };
    assert_eq!(at(0).expect("is read"), created("1970-01-01T00:00:00Z"));
    for seconds in [-62_167_219_201, i64::MIN, i64::MAX] {
        assert!(matches!(at(seconds), Err(Error::Malformed { what, .. }) if what.contains("calendar")), "{seconds}");
    }
}

#[test]
fn no_type_holds_itself_so_that_bytes_nest_no_deeper_than_the_table() {
    fn depth(of: &'static Message, around: &mut Vec<&'static str>) -> usize {
        if around.contains(&of.name) {
            // Schemas hold schemas; there the decoder itself says where it ends.
            assert_eq!(of.name, "apiextensions.v1.JSONSchemaProps", "it holds itself");
            return 0;
        }
        around.push(of.name);
        let inner = of.fields.iter().filter_map(|field| {
            let mut of = &field.of;
            while let Type::List(inner) | Type::Map(inner) = of {
                of = inner;
            }
            if let Type::Message(index) = of { Some(depth(schema().message(*index), around)) } else { None }
        });
        let deepest = inner.max().unwrap_or(0) + 1;
        around.pop();
        deepest
    }
    for kind in registry::all() {
        let whole = if kind.is_answered() { kind.kind } else { kind.list_kind };
        let of = kind_of(&kind.api_version(), whole).expect("a kind");
        assert!(depth(of, &mut Vec::new()) < decode::DEPTH_MAX, "{}", kind.kind);
    }
}

#[test]
fn schemas_within_schemas_are_read_only_so_deep() {
    let nested = |levels: usize| {
        let schema = (0..levels).fold(json!({"type": "object"}), |inner, _| json!({"not": inner}));
        let spec = json!({"versions": [{"schema": {"openAPIV3Schema": schema}}]});
        let object = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec});
        decode(&document(&object).expect("is written"), ("", ""))
    };
    nested(50).expect("is read");
    assert!(matches!(nested(150), Err(Error::Malformed { what, .. }) if what.contains("too deeply")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// For each kind that is served, JSON to protobuf and back is the same.
    #[test]
    fn every_kind_survives_the_way_there_and_back(seed in any::<u64>()) {
        for kind in registry::all() {
            let object = generate::object(&kind.api_version(), kind.kind, seed);
            let wire = document(&object).expect("is written");
            prop_assert_eq!(decode(&wire, ("", "")).expect("is read"), object);
        }
    }
}

#[test]
fn what_is_read_of_any_bytes_is_written_and_read_again() {
    let seeds = golden().map(|(_, _, wire)| wire).collect();
    // Fields that no type has, ends of groups, and messages whose length is not theirs.
    let words: [&[u8]; 6] = [b"\x9a\x06\x01x", b"\x0b\x0c", b"\x0a\x7f", b"\x12\x00", b"\x0a\x02v1", b"{\"a\":[]}"];
    fuzz!(keelson_fuzzing::Bytes::new(seeds, &words), |wire| {
        let Ok(object) = decode(wire, ("v1", "Pod")) else { return false };
        let written = document(&object).expect("what was read is written");
        assert_eq!(decode(&written, ("", "")).expect("what was written is read"), object);
        true
    });
}
