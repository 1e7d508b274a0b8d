//! From CustomResourceDefinitions to kinds.

use std::collections::HashMap;
use std::sync::Arc;

use keelson_types::Kind;
use keelson_types::custom::{Described, DescribedColumn, Scale};
use keelson_types::kinds::custom_resource_definition::is_true;
use keelson_types::names;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::error;

use super::{cost, reading, version};
use crate::cache::Objects;

/// What a member may leak for kinds in its life, as [`cost`] counts it. A definition that is written again with the same content
/// costs nothing; one of usual size (300 places and 20 expressions in its schemas) may change some 300 times, one of the largest
/// (20,000 places) six times. After that a change is served when the member has started again.
pub const LEAKED_BYTES_MAX: usize = 512 << 20;

/// The versions of one kind.
#[derive(Debug)]
pub struct Defined {
    /// As which objects are stored and cached; perhaps not served.
    pub stored: &'static Kind,
    /// The versions that clients may use.
    pub served: Vec<&'static Kind>,
    /// Two definitions of a kind with the same one read its stored objects alike.
    pub reading: [u8; 32],
}

type Digested = [u8; 32];

/// Makes kinds, each content once.
#[derive(Debug)]
pub struct Definitions {
    made: HashMap<Digested, Option<Arc<Defined>>>,
    /// What may still be leaked.
    left_bytes: usize,
    /// What the definitions of the moment came to, by path, with their revisions.
    current: HashMap<Arc<str>, One>,
}

/// No more kinds may be leaked.
struct TooMuch;

/// One definition.
#[derive(Clone, Debug)]
pub struct One {
    revision: i64,
    /// The revision that `defined` was made of: an earlier one when there was no room for what came after. Nothing may be
    /// written by it then.
    pub read_by: i64,
    /// `None` when it is not served: its names are not accepted, or its schema cannot be read.
    pub defined: Option<Arc<Defined>>,
    pub terminating: bool,
}

impl Default for Definitions {
    fn default() -> Definitions {
        Definitions::new(LEAKED_BYTES_MAX)
    }
}

impl Definitions {
    fn new(leaked_bytes_max: usize) -> Definitions {
        Definitions { made: HashMap::new(), left_bytes: leaked_bytes_max, current: HashMap::new() }
    }

    /// What the definitions come to. Those that did not change are not looked at again.
    pub fn update(&mut self, objects: &Objects) -> Vec<One> {
        let mut before = std::mem::take(&mut self.current);
        for (path, object) in objects {
            let one = match before.remove(path) {
                Some(one) if one.revision == object.revision() => one,
                last => {
                    let Ok(value) = object.value() else { continue };
                    let revision = object.revision();
                    let (defined, read_by) = match self.define(&value) {
                        Ok(defined) => (defined, revision),
                        Err(TooMuch) => last.map_or((None, revision), |one| (one.defined, one.read_by)),
                    };
                    One { revision, read_by, defined, terminating: crate::value::is_deleting(&value) }
                }
            };
            self.current.insert(path.clone(), one);
        }
        self.current.values().cloned().collect()
    }

    /// Whether a definition that is new here could be served.
    pub fn has_room(&self, definition: &Value) -> bool {
        // As it is counted when its names are accepted.
        let text = serde_json::to_vec(&[&definition["spec"], &definition["spec"]["names"]]).unwrap_or_default();
        cost::definition(definition, text.len()) <= self.left_bytes
    }

    fn define(&mut self, definition: &Value) -> Result<Option<Arc<Defined>>, TooMuch> {
        if !is_served(definition) {
            return Ok(None);
        }
        let text =
            serde_json::to_vec(&[&definition["spec"], &definition["status"]["acceptedNames"]]).unwrap_or_default();
        let digest = Digested::from(Sha256::digest(&text));
        if let Some(made) = self.made.get(&digest) {
            return Ok(made.clone());
        }
        let name = crate::value::metadata_text(definition, "name");
        let Some(left) = self.left_bytes.checked_sub(cost::definition(definition, text.len())) else {
            error!(name, "definitions of kinds have changed too often; this change is served after a restart");
            return Err(TooMuch);
        };
        self.left_bytes = left;
        let made = make(definition).map(Arc::new);
        if made.is_none() {
            error!(name, "a stored definition of a kind cannot be served");
        }
        self.made.insert(digest, made.clone());
        Ok(made)
    }
}

/// Whether a definition makes a kind. Its status may be written by its users, too, so that not everything it says counts.
fn is_served(definition: &Value) -> bool {
    if super::is_own(definition["spec"]["group"].as_str().unwrap_or_default()) {
        // It would be served instead of what the program has there.
        return false;
    }
    // While objects are left of a kind that goes, they can be reached, even when somebody took the condition away.
    let goes = crate::value::is_deleting(definition) && !is_false(definition, "NamesAccepted");
    goes || is_true(definition, "Established")
}

fn is_false(definition: &Value, condition: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|found| found["type"] == condition && found["status"] == "False")
}

fn make(definition: &Value) -> Option<Defined> {
    let spec = &definition["spec"];
    let versions = spec["versions"].as_array()?;
    let stored = versions.iter().find(|version| version["storage"] == true)?;
    let stored_name = stored["name"].as_str()?;
    let stored_api_version = format!("{}/{stored_name}", spec["group"].as_str()?);
    let mut found = None;
    let mut served = Vec::new();
    for one in versions {
        let described = describe(definition, one)?;
        let kind = version::leak(described, one, &stored_api_version)?;
        if kind.version == stored_name {
            found = Some(kind);
        }
        if one["served"] == true {
            served.push(kind);
        }
    }
    let reading = Sha256::digest(reading::of(definition).to_string()).into();
    Some(Defined { stored: found?, served, reading })
}

fn describe(definition: &Value, version: &Value) -> Option<Described> {
    let spec = &definition["spec"];
    // Who may write the status could take the paths of another kind by them; so the two that paths and types are made of
    // come from the specification, which was checked.
    let (own, accepted) = (&spec["names"], &definition["status"]["acceptedNames"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |field: &str| text(if is_name(&accepted[field]) { &accepted[field] } else { &own[field] });
    let names = |field: &str| -> Vec<String> {
        let names = accepted[field].as_array().into_iter().flatten().filter(|name| is_name(name));
        names.take(super::NAMES_MAX).map(text).collect()
    };
    let plain = |path: &Value| text(path).trim_start_matches('.').to_owned();
    let list = |field: &str| version[field].as_array().cloned().unwrap_or_default();
    let mut columns: Vec<DescribedColumn> = list("additionalPrinterColumns")
        .iter()
        .map(|column| DescribedColumn {
            name: text(&column["name"]),
            kind: text(&column["type"]),
            format: text(&column["format"]),
            description: text(&column["description"]),
            priority: column["priority"].as_i64().unwrap_or(0) as i32,
            path: text(&column["jsonPath"]),
        })
        .collect();
    if columns.is_empty() {
        columns.push(DescribedColumn::age());
    }
    Some(Described {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        kind: own["kind"].as_str()?.to_owned(),
        list_kind: name("listKind"),
        plural: own["plural"].as_str()?.to_owned(),
        singular: name("singular"),
        short_names: names("shortNames"),
        categories: names("categories"),
        namespaced: spec["scope"] == "Namespaced",
        status: version["subresources"]["status"].is_object(),
        scale: version["subresources"]["scale"].is_object(),
        columns,
        selectable_fields: list("selectableFields").iter().map(|field| plain(&field["jsonPath"])).collect(),
    })
}

/// Whether a definition could have it as one of its names; kinds are written in mixed case.
fn is_name(name: &Value) -> bool {
    name.as_str().is_some_and(|name| names::dns1035_label(&name.to_ascii_lowercase()).is_empty())
}

/// Where replicas are.
pub(super) fn scale(version: &Value) -> Option<Scale> {
    let scale = version["subresources"]["scale"].as_object()?;
    let plain = |field: &str| {
        let path = scale.get(field).and_then(Value::as_str).unwrap_or_default();
        path.trim_start_matches('.').to_owned()
    };
    Some(Scale {
        spec_replicas: plain("specReplicasPath"),
        status_replicas: plain("statusReplicasPath"),
        label_selector: plain("labelSelectorPath"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::Object;

    fn things(group: &str, properties: &Value) -> Value {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}});
        let names = json!({"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"});
        json!({
            "metadata": {"name": format!("things.{group}")},
            "spec": {
                "group": group, "scope": "Cluster", "names": names,
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
            },
            "status": {"acceptedNames": names, "conditions": [{"type": "Established", "status": "True"}]},
        })
    }

    fn defined(definitions: &mut Definitions, definition: &Value) -> Option<&'static Kind> {
        let made = definitions.define(definition).ok().expect("there is room");
        made.map(|made| made.stored)
    }

    #[test]
    fn no_status_makes_a_kind_of_a_group_of_the_program() {
        let mut definitions = Definitions::default();
        assert!(defined(&mut definitions, &things("example.com", &json!({}))).is_some());
        assert!(defined(&mut definitions, &things("coordination.k8s.io", &json!({}))).is_none());
    }

    #[test]
    fn what_is_stored_is_served_beyond_the_bounds_of_what_is_new() {
        let rules: Vec<Value> =
            (0..20).map(|_| json!({"rule": format!("self != ''{}", " ".repeat(15_000)), "message": "m"})).collect();
        let patterns = (0..200).map(|index| {
            (format!("p{index}"), json!({"type": "string", "pattern": format!("^{index}(a{{100}}){{20}}$")}))
        });
        let long = json!({"ruled": {"type": "string", "maxLength": 10, "x-kubernetes-validations": rules}});
        let large = json!({"large": {"type": "string", "default": "x".repeat(300 << 10)}});
        for properties in [long, patterns.collect(), large] {
            let stored = things("example.com", &properties);
            let mut errors = Vec::new();
            super::super::check(&stored, None, &mut errors);
            assert!(!errors.is_empty(), "it would be refused today");
            assert!(defined(&mut Definitions::default(), &stored).is_some());

            let mut changed = stored.clone();
            changed["spec"]["versions"][0]["additionalPrinterColumns"] = json!([]);
            let mut errors = Vec::new();
            super::super::check(&changed, Some(&stored), &mut errors);
            assert!(errors.is_empty(), "its schema is as it was: {errors:?}");
            changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "another".into();
            super::super::check(&changed, Some(&stored), &mut errors);
            assert!(!errors.is_empty(), "it is not as it was");
        }
    }

    #[test]
    fn a_status_gives_a_kind_no_other_paths_and_no_odd_names() {
        let mut claimed = things("example.com", &json!({}));
        claimed["status"]["acceptedNames"] = json!({
            "plural": "others", "kind": "Other", "singular": "thingy", "listKind": "two words",
            "shortNames": ["good", "no/good"], "categories": vec!["all"; 1000],
        });
        let kind = defined(&mut Definitions::default(), &claimed).expect("is served");
        assert_eq!((kind.plural, kind.kind, kind.singular, kind.list_kind), ("things", "Thing", "thingy", "ThingList"));
        assert_eq!((kind.short_names, kind.categories.len()), (["good"].as_slice(), super::super::NAMES_MAX));
    }

    #[test]
    fn a_kind_that_goes_is_served_unless_its_names_were_never_accepted() {
        let mut definitions = Definitions::default();
        let mut gone = things("example.com", &json!({}));
        gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        gone["status"]["conditions"] = json!([]);
        assert!(defined(&mut definitions, &gone).is_some());
        gone["status"]["conditions"] = json!([{"type": "NamesAccepted", "status": "False"}]);
        assert!(defined(&mut definitions, &gone).is_none());
        gone["metadata"] = json!({"name": "things.example.com"});
        gone["status"]["conditions"] = json!([]);
        assert!(defined(&mut definitions, &gone).is_none(), "it was never established");
    }

    #[test]
    fn what_is_leaked_is_bounded_and_the_same_costs_once() {
        let place = json!({"type": "string"});
        let properties: Value = (0..100).map(|index| (format!("p{index}"), place.clone())).collect();
        let (small, large) = (things("example.com", &json!({})), things("example.com", &properties));
        let cost = |definition: &Value| cost::definition(definition, definition.to_string().len());
        let mut definitions = Definitions::new(2 * cost(&small) + cost(&large) / 2);
        for _ in 0..10 {
            assert!(defined(&mut definitions, &small).is_some());
        }
        let written = |definition: &Value, revision| {
            let kind = keelson_types::registry::by_kind("apiextensions.k8s.io", "CustomResourceDefinition");
            let text = serde_json::to_vec(definition).expect("a text");
            let object =
                Object::decode(kind.expect("is there"), "things.example.com", &text, revision).expect("is read");
            let objects: Objects = [(Arc::from("things.example.com"), Arc::new(object))].into_iter().collect();
            objects
        };
        let seen = |definitions: &mut Definitions, definition: &Value, revision| {
            let one = definitions.update(&written(definition, revision)).pop().expect("one");
            (one.revision, one.read_by)
        };
        assert_eq!(seen(&mut definitions, &small, 5), (5, 5));
        assert_eq!(seen(&mut definitions, &large, 6), (6, 5), "what is written by the last one is refused");
        assert_eq!(seen(&mut definitions, &small, 7), (7, 7));
        let left = definitions.left_bytes;
        assert!(!definitions.has_room(&large));
        assert!(Definitions::default().has_room(&large));
        assert!(definitions.define(&large).is_err(), "places are counted, not their few bytes");
        assert_eq!(definitions.left_bytes, left);
        assert!(defined(&mut definitions, &small).is_some(), "what is there goes on");
    }
}
