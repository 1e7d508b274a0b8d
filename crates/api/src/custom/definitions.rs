//! From CustomResourceDefinitions to kinds.

use std::collections::HashMap;
use std::sync::Arc;

use keelson_types::Kind;
use keelson_types::custom::{Described, DescribedColumn, Scale};
use keelson_types::kinds::custom_resource_definition::is_true;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::error;

use super::version;
use crate::cache::Objects;

/// What a member may leak for kinds in its life. A definition that is written again with the same content costs nothing; one of
/// usual size (20 KiB) may change some 4,000 times. After that a change is served when the member has started again.
pub const LEAKED_BYTES_MAX: usize = 512 << 20;
/// What a version in memory costs for each byte of its text: the schema as given, and as it was read.
const COST_OF_A_BYTE: usize = 6;

/// The versions of one kind.
#[derive(Debug)]
pub struct Defined {
    /// As which objects are stored and cached; perhaps not served.
    pub stored: &'static Kind,
    /// The versions that clients may use.
    pub served: Vec<&'static Kind>,
}

type Digested = [u8; 32];

/// Makes kinds, each content once.
#[derive(Debug, Default)]
pub struct Definitions {
    made: HashMap<Digested, Option<Arc<Defined>>>,
    leaked_bytes: usize,
    /// What the definitions of the moment came to, by path, with their revisions.
    current: HashMap<Arc<str>, One>,
}

/// No more kinds may be leaked.
struct TooMuch;

/// One definition.
#[derive(Clone, Debug)]
pub struct One {
    pub revision: i64,
    /// `None` when it is not served: its names are not accepted, or its schema cannot be read.
    pub defined: Option<Arc<Defined>>,
    pub terminating: bool,
}

impl Definitions {
    /// What the definitions come to. Those that did not change are not looked at again.
    pub fn update(&mut self, objects: &Objects) -> Vec<One> {
        let mut before = std::mem::take(&mut self.current);
        for (path, object) in objects {
            let one = match before.remove(path) {
                Some(one) if one.revision == object.revision() => one,
                last => {
                    let Ok(value) = object.value() else { continue };
                    let defined = match self.define(&value) {
                        Ok(defined) => defined,
                        Err(TooMuch) => last.and_then(|one| one.defined),
                    };
                    One { revision: object.revision(), defined, terminating: crate::value::is_deleting(&value) }
                }
            };
            self.current.insert(path.clone(), one);
        }
        self.current.values().cloned().collect()
    }

    fn define(&mut self, definition: &Value) -> Result<Option<Arc<Defined>>, TooMuch> {
        if !is_true(definition, "Established") {
            return Ok(None);
        }
        let text =
            serde_json::to_vec(&[&definition["spec"], &definition["status"]["acceptedNames"]]).unwrap_or_default();
        let digest = Digested::from(Sha256::digest(&text));
        if let Some(made) = self.made.get(&digest) {
            return Ok(made.clone());
        }
        let name = crate::value::metadata_text(definition, "name");
        let bytes = text.len() * COST_OF_A_BYTE;
        if self.leaked_bytes + bytes > LEAKED_BYTES_MAX {
            error!(name, "definitions of kinds have changed too often; this change is served after a restart");
            return Err(TooMuch);
        }
        self.leaked_bytes += bytes;
        let made = make(definition).map(Arc::new);
        if made.is_none() {
            error!(name, "a stored definition of a kind cannot be served");
        }
        self.made.insert(digest, made.clone());
        Ok(made)
    }
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
    Some(Defined { stored: found?, served })
}

fn describe(definition: &Value, version: &Value) -> Option<Described> {
    let spec = &definition["spec"];
    let names = &definition["status"]["acceptedNames"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
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
        kind: names["kind"].as_str()?.to_owned(),
        list_kind: text(&names["listKind"]),
        plural: names["plural"].as_str()?.to_owned(),
        singular: text(&names["singular"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        status: version["subresources"]["status"].is_object(),
        scale: version["subresources"]["scale"].is_object(),
        columns,
        selectable_fields: list("selectableFields").iter().map(|field| plain(&field["jsonPath"])).collect(),
    })
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
