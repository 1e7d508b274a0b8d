//! A CustomResourceDefinition without its schemas.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson_client::Resource;
use serde::Deserialize;
use serde_json::Value;

use crate::partial::{self, Part, Partial};

/// A kind that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Custom {
    /// In whichever version is served: each shows all the objects.
    pub resource: Resource,
    pub kind: String,
    pub namespaced: bool,
}

impl Custom {
    /// `None` for a definition that is not served: its names are not accepted, or none of its versions may be asked for.
    pub fn of(definition: &Value) -> Option<Custom> {
        Read::deserialize(definition).ok().and_then(|read| read.custom())
    }
}

pub type Definition = Partial<CustomResourceDefinition, Described>;

/// What loops must know of a definition.
#[derive(Clone)]
pub struct Described {
    group: String,
    kind: String,
    custom: Option<Custom>,
}

impl Described {
    /// Whether it is about this kind, served or not.
    pub(crate) fn names(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    pub(crate) fn custom(&self) -> Option<&Custom> {
        self.custom.as_ref()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Read {
    #[serde(deserialize_with = "partial::ownership")]
    metadata: ObjectMeta,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    group: String,
    scope: String,
    names: Names,
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names {
    plural: String,
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Version {
    served: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
}

impl Read {
    fn says(&self, condition: &str, status: &str) -> bool {
        self.status.conditions.iter().any(|found| found.r#type == condition && found.status == status)
    }

    fn custom(&self) -> Option<Custom> {
        if !self.says("Established", "True") {
            return None;
        }
        let spec = &self.spec;
        spec.versions.iter().find(|version| version.served)?;
        Some(Custom {
            resource: Resource::new(spec.group.clone(), "", spec.names.plural.clone()),
            kind: spec.names.kind.clone(),
            namespaced: spec.scope == "Namespaced",
        })
    }
}

impl Part for Described {
    type Read = Read;

    fn of(read: Read) -> (ObjectMeta, Self) {
        let custom = read.custom();
        (read.metadata, Self { group: read.spec.group, kind: read.spec.names.kind, custom })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custom::tests::definition;

    #[test]
    fn a_kind_is_known_while_it_is_served() {
        let mut unaccepted = definition("Namespaced", "CronTab", true);
        unaccepted["status"]["conditions"][0]["status"] = "False".into();
        assert_eq!(Custom::of(&unaccepted), None);
        assert_eq!(Custom::of(&definition("Namespaced", "CronTab", false)), None);
        let resource = Resource::new("example.com", "", "crontabs");
        let read: Definition = serde_json::from_value(definition("Namespaced", "CronTab", true)).expect("is read");
        assert_eq!(read.part.custom(), Some(&Custom { resource, kind: "CronTab".to_owned(), namespaced: true }));
        assert_eq!(read.metadata.name.as_deref(), Some("crontabs.example.com"));
        assert!(read.part.names("example.com", "CronTab") && !read.part.names("example.org", "CronTab"));
    }
}
