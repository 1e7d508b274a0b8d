//! Which object an owner reference means, and whether one that no cache has is really gone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use keelson_client::{Error, ObjectName, Resource};
use keelson_types::meta::Key;
use keelson_types::status::Status;
use parking_lot::Mutex;

use super::Target;
use super::absent::Absent;
use crate::custom::{self, Custom, Reader};

/// A kind, as a reference to an owner names it.
#[derive(Clone)]
pub(super) struct Kind {
    pub resource: Resource,
    pub namespaced: bool,
    pub custom: Option<Custom>,
}

impl Kind {
    /// The owner that a dependent in `namespace` means; `None` when nobody can say, since the dependent is in none and its owner
    /// would be in one.
    pub fn meant(&self, namespace: &str, reference: &OwnerReference) -> Option<Target> {
        let namespace = match namespace {
            _ if !self.namespaced => "",
            "" => return None,
            namespace => namespace,
        };
        Some(Target { resource: self.resource.clone(), key: Key::new(namespace, reference.name.clone()) })
    }
}

/// Whether the owner is gone, as was read before or is read now.
///
/// # Errors
/// The API's. They say nothing of the owner.
pub(super) async fn is_gone(
    reader: &impl Reader,
    absent: &Mutex<Absent>,
    custom: Option<&Custom>,
    owner: Target,
    uid: &str,
) -> Result<bool, Error> {
    if absent.lock().was_read(owner.clone(), uid) {
        return Ok(true);
    }
    let Key { namespace, name } = owner.key.clone();
    if exists(reader, custom, &owner.resource.object(namespace, name), uid).await? {
        return Ok(false);
    }
    absent.lock().read(owner, uid.to_owned());
    Ok(true)
}

/// Whether the object with this name and UID exists. For an object of a kind that users define, `custom` is what the kind was
/// taken for.
///
/// # Errors
/// The API's; also when it cannot tell. Something is deleted for a "no".
async fn exists(reader: &impl Reader, custom: Option<&Custom>, name: &ObjectName, uid: &str) -> Result<bool, Error> {
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
mod tests;
