//! Kinds that users define, as far as loops must know them: names, scope, and who owns whom among their objects.
//!
//! Everything here comes from a cache, but for [`is_still`] and [`Reader::count`], which read: something is deleted for what they say.

mod caches;
mod definition;

use keelson_client::{Error, ListOptions, ObjectName, Raw, RawList, Resource};
use serde_json::Value;

pub(crate) use caches::{Customs, Unseen, follow};
pub(crate) use definition::{Custom, Definition};

/// Linearizable reads.
pub(crate) trait Reader: Sync {
    fn get(&self, name: &ObjectName) -> impl Future<Output = Result<Value, Error>> + Send;
    fn list(
        &self,
        name: &ObjectName,
        options: &ListOptions,
    ) -> impl Future<Output = Result<RawList<Value>, Error>> + Send;
    /// How many objects the store has of each of these definitions, or of all when none is named; only of those that have some.
    fn count(
        &self,
        definitions: &[String],
        namespace: &str,
    ) -> impl Future<Output = Result<Vec<(String, i64)>, Error>> + Send;
}

impl Reader for Raw {
    async fn get(&self, name: &ObjectName) -> Result<Value, Error> {
        Raw::get(self, name).await
    }

    async fn list(&self, name: &ObjectName, options: &ListOptions) -> Result<RawList<Value>, Error> {
        Raw::list(self, name, options).await
    }

    async fn count(&self, definitions: &[String], namespace: &str) -> Result<Vec<(String, i64)>, Error> {
        self.kinds().count(definitions, namespace).await
    }
}

fn definitions() -> Resource {
    Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions")
}

/// Whether a kind is defined and served as `custom` says.
///
/// # Errors
/// The API's.
pub(crate) async fn is_still(reader: &impl Reader, custom: &Custom) -> Result<bool, Error> {
    let name = definitions().object("", custom.resource.qualified());
    match reader.get(&name).await {
        Ok(definition) => Ok(Custom::of(&definition).as_ref() == Some(custom)),
        Err(error) if is_absent(&error, &name) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the API says that this very object does not exist, rather than that it knows no such path: the kind may be one that
/// is not served now, or not known to the member that was asked.
pub(crate) fn is_absent(error: &Error, name: &ObjectName) -> bool {
    error.is_not_found()
        && error.status().and_then(|status| status.details.as_deref()).is_some_and(|details| {
            details.name == name.name && details.kind == name.resource.resource && details.group == name.resource.group
        })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use keelson_types::status::Status;
    use serde_json::json;

    use super::*;

    /// Objects by resource and name.
    #[derive(Default)]
    pub(crate) struct Fake {
        /// The resources that are served.
        pub served: Vec<&'static str>,
        pub objects: BTreeMap<(String, String), Value>,
    }

    impl Fake {
        pub fn put(&mut self, resource: &str, name: &str, object: Value) {
            self.objects.insert((resource.to_owned(), name.to_owned()), object);
        }

        fn serves(&self, resource: &Resource) -> Result<(), Error> {
            let known = self.served.contains(&resource.resource.as_str()) || resource.group == "apiextensions.k8s.io";
            if known { Ok(()) } else { Err(Error::Api(Status::no_such_path())) }
        }
    }

    impl Reader for Fake {
        async fn get(&self, name: &ObjectName) -> Result<Value, Error> {
            self.serves(&name.resource)?;
            let object = self.objects.get(&(name.resource.resource.clone(), name.name.clone()));
            let absent = || Status::not_found(&name.resource.group, &name.resource.resource, &name.name);
            object.cloned().ok_or_else(|| Error::Api(absent()))
        }

        async fn list(&self, name: &ObjectName, _: &ListOptions) -> Result<RawList<Value>, Error> {
            self.serves(&name.resource)?;
            let all = self.objects.iter().filter(|((resource, _), _)| *resource == name.resource.resource);
            let items = all.map(|(_, object)| object.clone()).collect();
            Ok(RawList { items, resource_version: "1".to_owned(), continue_token: String::new() })
        }

        async fn count(&self, definitions: &[String], namespace: &str) -> Result<Vec<(String, i64)>, Error> {
            let all = self.objects.iter().filter(|((resource, _), _)| resource == "customresourcedefinitions");
            let wanted = all.filter(|((_, name), _)| definitions.is_empty() || definitions.contains(name));
            let counts = wanted.map(|((_, name), _)| {
                let plural = name.split_once('.').map_or("", |(plural, _)| plural);
                let within = |object: &Value| namespace.is_empty() || object["metadata"]["namespace"] == namespace;
                let objects =
                    self.objects.iter().filter(|((resource, _), object)| resource == plural && within(object));
                (name.clone(), i64::try_from(objects.count()).unwrap_or(i64::MAX))
            });
            Ok(counts.filter(|(_, objects)| *objects > 0).collect())
        }
    }

    pub(crate) fn definition(scope: &str, kind: &str, served: bool) -> Value {
        json!({
            "metadata": {"name": "crontabs.example.com"},
            "spec": {
                "group": "example.com", "scope": scope, "names": {"plural": "crontabs", "kind": kind},
                "versions": [{"name": "v1alpha1", "served": false, "storage": true}, {"name": "v1", "served": served}],
            },
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        })
    }

    #[tokio::test]
    async fn a_kind_is_what_its_definition_says_now() {
        let mut api = Fake::default();
        let crontab = Custom::of(&definition("Namespaced", "CronTab", true)).expect("is served");
        assert_eq!(is_still(&api, &crontab).await.ok(), Some(false), "the definition is gone");
        for (now, expected) in [
            (definition("Namespaced", "CronTab", true), true),
            (definition("Cluster", "CronTab", true), false),
            (definition("Namespaced", "Other", true), false),
            (definition("Namespaced", "CronTab", false), false),
        ] {
            api.put("customresourcedefinitions", "crontabs.example.com", now.clone());
            assert_eq!(is_still(&api, &crontab).await.ok(), Some(expected), "{now}");
        }
    }

    #[test]
    fn a_path_that_is_not_known_says_nothing_about_an_object() {
        let name = Resource::new("example.com", "", "crontabs").object("blue", "a");
        assert!(is_absent(&Error::Api(Status::not_found("example.com", "crontabs", "a")), &name));
        for status in [
            Status::no_such_path(),
            Status::not_found("example.com", "crontabs", "b"),
            Status::not_found("", "namespaces", "blue"),
            Status::bad_request("crontabs have no namespace"),
        ] {
            assert!(!is_absent(&Error::Api(status.clone()), &name), "{status}");
        }
    }
}
