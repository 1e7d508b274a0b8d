//! What server-side apply and OpenAPI are told.

use keelson_schema::{Key, Merge, Step, Structural};
use serde_json::json;

fn schema() -> Structural {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string", "title": "A", "odd": 1},
        "granular": {"type": "object", "additionalProperties": {"type": "string"}},
        "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
        "list": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "ports": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"type": "object", "required": ["port"], "properties": {
                "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}, "tags": {"type": "object"},
            }},
        },
        "free": {"x-kubernetes-preserve-unknown-fields": true},
        "either": {"x-kubernetes-int-or-string": true},
        "whole": {
            "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
        },
    }}}});
    Structural::parse(&schema, "s").expect("a schema")
}

#[test]
fn each_place_says_how_it_merges() {
    let schema = schema();
    let protocol = json!("TCP");
    let keys = vec![Key { name: "port", default: None }, Key { name: "protocol", default: Some(&protocol) }];
    let table = [
        ("a", Some(Merge::Atomic)),
        ("granular", Some(Merge::Granular)),
        ("atomic", Some(Merge::Atomic)),
        ("list", Some(Merge::Atomic)),
        ("set", Some(Merge::Set)),
        ("ports", Some(Merge::Keys(keys))),
        ("free", None),
        ("either", Some(Merge::Atomic)),
        ("nothing", None),
    ];
    for (name, merge) in table {
        assert_eq!(schema.facts(&[Step::Field("spec"), Step::Field(name)]).merge(), merge, "{name}");
    }
    assert_eq!(schema.root().merge(), Some(Merge::Granular));
    let tags = schema.facts(&[Step::Field("spec"), Step::Field("ports"), Step::Item, Step::Field("tags")]);
    assert_eq!(tags.merge(), Some(Merge::Granular));
    assert!(schema.root().field("spec").field("whole").is_embedded() && !tags.is_embedded());
    assert!(schema.root().field("spec").field("free").is_known() && !schema.root().field("nothing").is_known());
}

#[test]
fn the_schema_is_published_with_what_every_object_has() {
    let published = schema().openapi();
    let fields = &published["properties"];
    assert_eq!(
        fields["spec"]["properties"]["a"],
        json!({"type": "string", "title": "A"}),
        "only keywords are published"
    );
    assert_eq!(fields["spec"]["properties"]["ports"]["x-kubernetes-list-map-keys"], json!(["port", "protocol"]));
    for field in ["apiVersion", "kind"] {
        assert_eq!(fields[field]["type"], "string");
        assert_eq!(fields["spec"]["properties"]["whole"]["properties"][field]["type"], "string");
    }
    let reference = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    assert_eq!(fields["metadata"]["allOf"][0]["$ref"], reference);
}
