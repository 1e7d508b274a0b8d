//! What a controller decided to do about one key, as a plain value.
//!
//! A plan prints itself: what it writes and why, or why it does nothing. Its writes go into one log entry, all or none,
//! unless it is [independent](Plan::independent).

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Node, ObjectReference, Pod, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use keelson_client::events::{self, Type};
use keelson_client::{DeleteOptions, Error, ObjectName, Operation, Patch, Resource};
use keelson_types::Object;
use keelson_types::meta::Key;
use serde_json::{Value, json};

/// How many writes one plan has at most: as many pods as Kubernetes' ReplicaSet controller creates in one go, with room
/// for the owner's own update. The API's limit is 4,096.
pub const WRITES_MAX: usize = 512;

/// An object that controllers write.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Pod(Box<Pod>),
    ReplicaSet(Box<ReplicaSet>),
    Deployment(Box<Deployment>),
    EndpointSlice(Box<EndpointSlice>),
    Node(Box<Node>),
    ServiceAccount(Box<ServiceAccount>),
    ConfigMap(Box<ConfigMap>),
}

macro_rules! each_item {
    ($item:expr, $object:ident => $body:expr) => {
        match $item {
            Item::Pod($object) => $body,
            Item::ReplicaSet($object) => $body,
            Item::Deployment($object) => $body,
            Item::EndpointSlice($object) => $body,
            Item::Node($object) => $body,
            Item::ServiceAccount($object) => $body,
            Item::ConfigMap($object) => $body,
        }
    };
}

macro_rules! item_from {
    ($($kind:ident),*) => {
        $(impl From<$kind> for Item {
            fn from(object: $kind) -> Self {
                Item::$kind(Box::new(object))
            }
        })*
    };
}
item_from!(Pod, ReplicaSet, Deployment, EndpointSlice, Node, ServiceAccount, ConfigMap);

impl Item {
    /// Where the object is.
    pub fn name(&self) -> ObjectName {
        fn name<K: Object>(object: &K) -> ObjectName {
            let key = Key::of(object);
            Resource::of::<K>().object(key.namespace, key.name)
        }
        each_item!(self, object => name(object.as_ref()))
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Create(Item),
    /// Guarded by the resourceVersion in the object.
    Update(Item),
    UpdateStatus(Item),
    /// The patch names the resourceVersion it was made from, or is harmless on any.
    Patch(ObjectName, Patch),
    /// Replaces one subresource of an object that is not among [`Item`].
    Replace(ObjectName, Value),
    /// Guarded by the UID in the options.
    Delete(ObjectName, DeleteOptions),
    /// Everything of one resource in one namespace; only in independent plans.
    DeleteCollection(ObjectName),
}

impl Write {
    /// A deletion of exactly this object.
    pub fn delete<K: Object>(object: &K, grace_period_seconds: Option<i64>) -> Self {
        let key = Key::of(object);
        let mut options = DeleteOptions::uid(keelson_types::meta::uid(object));
        options.grace_period_seconds = grace_period_seconds;
        Self::Delete(Resource::of::<K>().object(key.namespace, key.name), options)
    }

    /// Gives this very state of an object other owners.
    pub fn owners<K: Object>(object: &K, owners: &[OwnerReference]) -> Self {
        let (key, ObjectMeta { uid, resource_version, .. }) = (Key::of(object), object.metadata());
        let metadata = json!({ "uid": uid, "resourceVersion": resource_version, "ownerReferences": owners });
        Self::Patch(Resource::of::<K>().object(key.namespace, key.name), Patch::Merge(json!({ "metadata": metadata })))
    }

    /// What is written.
    pub fn name(&self) -> ObjectName {
        match self {
            Self::Create(item) | Self::Update(item) => item.name(),
            Self::UpdateStatus(item) => item.name().subresource("status"),
            Self::Patch(name, _) | Self::Replace(name, _) | Self::Delete(name, _) | Self::DeleteCollection(name) => {
                name.clone()
            }
        }
    }

    /// The client's form; absent for what cannot be part of a batch.
    pub(crate) fn operation(&self) -> Result<Option<Operation>, Error> {
        Ok(Some(match self {
            Self::Create(item) => each_item!(item, object => Operation::create(object.as_ref())?),
            Self::Update(item) => each_item!(item, object => Operation::update(object.as_ref())?),
            Self::UpdateStatus(item) => each_item!(item, object => Operation::update_status(object.as_ref())?),
            Self::Patch(name, patch) => Operation::patch_named(name, patch)?,
            Self::Replace(name, value) => Operation::update_named(name, value)?,
            Self::Delete(name, options) => Operation::delete_named(name, options),
            Self::DeleteCollection(_) => return Ok(None),
        }))
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Self::Create(_) => "create",
            Self::Update(_) | Self::UpdateStatus(_) | Self::Replace(..) => "update",
            Self::Patch(..) => "patch",
            Self::Delete(..) => "delete",
            Self::DeleteCollection(_) => "delete all",
        };
        let name = self.name();
        write!(f, "{verb} {}", name.resource.resource)?;
        if !name.subresource.is_empty() {
            write!(f, "/{}", name.subresource)?;
        }
        write!(f, " {}", Key::new(name.namespace, name.name))
    }
}

/// Something to tell people about an object, once the plan is executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub object: ObjectReference,
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
}

impl Note {
    pub fn normal<K: Object>(object: &K, reason: &'static str, message: String) -> Self {
        Self { object: events::reference(object), warning: false, reason, message }
    }

    pub fn warning<K: Object>(object: &K, reason: &'static str, message: String) -> Self {
        Self { object: events::reference(object), warning: true, reason, message }
    }

    pub(crate) fn r#type(&self) -> Type {
        if self.warning { Type::Warning } else { Type::Normal }
    }
}

/// What to do about one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub writes: Vec<Write>,
    /// Recorded after the writes succeeded.
    pub notes: Vec<Note>,
    /// Recorded when the API refuses the writes for another reason than a conflict; the error's text is appended.
    pub on_refusal: Option<Note>,
    /// Look again after this long even if nothing changes.
    pub requeue_after: Option<Duration>,
    /// The writes do not depend on each other: those that can be done are done, and deletions of what is gone are fine.
    pub independent: bool,
    /// Why, in a few words each; in particular why nothing is written.
    pub reasons: Vec<String>,
}

impl Plan {
    /// A plan that does nothing, and says why.
    pub fn nothing(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()], ..Self::default() }
    }

    pub fn because(&mut self, reason: impl Into<String>) {
        self.reasons.push(reason.into());
    }

    pub fn is_nothing(&self) -> bool {
        self.writes.is_empty()
    }

    /// Look again after `delay`, or sooner if that was asked for already.
    pub fn requeue(&mut self, delay: Duration) {
        self.requeue_after = Some(self.requeue_after.map_or(delay, |earlier| earlier.min(delay)));
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.writes.is_empty() {
            f.write_str("nothing")?;
        }
        for (index, write) in self.writes.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{write}")?;
        }
        if !self.reasons.is_empty() {
            write!(f, ": {}", self.reasons.join("; "))?;
        }
        if let Some(delay) = self.requeue_after {
            write!(f, " (again in {:.1} s)", delay.as_secs_f64())?;
        }
        Ok(())
    }
}
