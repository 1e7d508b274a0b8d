//! Whether an owner that no cache has is really gone.

use keelson_client::{Error, ObjectName};
use keelson_types::status::Status;

use crate::custom::{self, Custom, Reader};

/// Whether the object with this name and UID exists. For an object of a kind that users define, `custom` is what the kind was
/// taken for.
///
/// # Errors
/// The API's; also when it cannot tell. Something is deleted for a "no".
pub(super) async fn exists(
    reader: &impl Reader,
    custom: Option<&Custom>,
    name: &ObjectName,
    uid: &str,
) -> Result<bool, Error> {
    match reader.get(name).await {
        Ok(found) if found["metadata"]["uid"].as_str() == Some(uid) => return Ok(true),
        Ok(_) => {}
        Err(error) if custom::is_absent(&error, name) => {}
        Err(error) => return Err(error),
    }
    // The kind may have been defined anew since, with the same plural for something else.
    match custom {
        Some(custom) if !custom::is_still(reader, custom).await? => {
            let why = format!("the definition of {} has changed; look again", custom.resource.qualified());
            Err(Error::Api(Status::unavailable(why)))
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use keelson_client::Resource;
    use serde_json::json;

    use super::*;
    use crate::custom::tests::{Fake, definition};

    fn kind() -> Custom {
        Custom::of(&definition("Namespaced", "CronTab", true)).expect("is served")
    }

    fn served() -> Fake {
        let mut api = Fake { served: vec!["crontabs", "pods"], ..Fake::default() };
        api.put("customresourcedefinitions", "crontabs.example.com", definition("Namespaced", "CronTab", true));
        api.put("crontabs", "a", json!({"metadata": {"name": "a", "uid": "1"}}));
        api
    }

    async fn answer(api: &Fake, name: &str, uid: &str) -> Option<bool> {
        exists(api, Some(&kind()), &kind().resource.object("blue", name), uid).await.ok()
    }

    #[tokio::test]
    async fn an_owner_is_gone_when_its_name_is_free_or_anothers() {
        let api = served();
        assert_eq!(answer(&api, "a", "1").await, Some(true));
        assert_eq!(answer(&api, "a", "2").await, Some(false));
        assert_eq!(answer(&api, "b", "1").await, Some(false));
        let pod = Resource::new("", "v1", "pods").object("blue", "a");
        assert_eq!(exists(&api, None, &pod, "1").await.ok(), Some(false));
    }

    #[tokio::test]
    async fn an_owner_of_a_kind_that_is_not_served_is_not_gone() {
        let mut api = served();
        api.served.clear();
        assert_eq!(answer(&api, "a", "1").await, None, "no version is served, or this member does not know it yet");
    }

    #[tokio::test]
    async fn an_owner_is_not_gone_because_its_kind_became_another() {
        for now in [definition("Cluster", "CronTab", true), definition("Namespaced", "Other", true)] {
            let mut api = served();
            api.objects.clear();
            api.put("customresourcedefinitions", "crontabs.example.com", now);
            assert_eq!(answer(&api, "a", "1").await, None);
        }
    }
}
