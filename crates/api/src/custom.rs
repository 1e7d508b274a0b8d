//! Kinds that users define, as this member serves them.
//!
//! The feed of the caches follows the CustomResourceDefinitions as it follows everything else. When one has changed, it makes
//! a new [`Served`] before it goes on: a value that everything reads which looks a kind up (paths, discovery, OpenAPI, gRPC).
//! So kinds, like objects, are what the store says at a revision, the same on every member; nothing is told from one to another.
//!
//! A kind is leaked ([`Definitions`]), once for each content that was ever served: everything that holds a `&'static Kind` then
//! works for users' kinds as for the program's own. What that may cost is bounded; see [`definitions::LEAKED_BYTES_MAX`].
//!
//! ```text
//! custom/definitions.rs   from CustomResourceDefinitions to kinds
//! custom/reading.rs       what of a definition decides how stored objects are read
//! custom/cost.rs          what it costs to keep a kind for good
//! custom/version.rs       one version of a kind: its schema and its columns
//! custom/status.rs        names and conditions: what the leader says of a definition
//! ```

mod cost;
mod definitions;
mod reading;
pub mod status;
mod version;

use std::collections::HashMap;
use std::sync::Arc;

use keelson_types::Kind;
use keelson_types::registry::{self, Registry};

use crate::cache::Cache;

pub use definitions::{Defined, Definitions};
pub use version::check;

/// CustomResourceDefinitions in a cluster: each costs every member a cache and a share of each discovery document.
pub const DEFINITIONS_MAX: usize = 1000;

/// Short names of a kind that are served, and categories that it is in.
pub const NAMES_MAX: usize = 32;

/// Whether the program itself serves a group: users do not add to it, lest they take what is there.
pub fn is_own(group: &str) -> bool {
    registry::all().iter().any(|kind| kind.group == group)
}

/// The kinds that are served now.
#[derive(Debug)]
pub struct Served {
    pub registry: Registry,
    /// By group and plural.
    resources: HashMap<(&'static str, &'static str), Resource>,
    /// The same, by the prefix of their keys.
    prefixes: HashMap<Arc<str>, (&'static str, &'static str)>,
}

/// All versions of a kind that a user defines.
#[derive(Clone, Debug)]
pub struct Resource {
    pub defined: Arc<Defined>,
    pub cache: Arc<Cache>,
    /// When the definition was written last; what creates an object is guarded by it.
    pub revision: i64,
    /// The definition is being deleted: nothing new is created.
    pub terminating: bool,
}

impl Served {
    pub fn new(resources: Vec<Resource>) -> Served {
        let kinds = resources.iter().flat_map(|resource| resource.defined.served.iter().copied());
        let registry = Registry::with(kinds);
        let key = |resource: &Resource| (resource.defined.stored.group, resource.defined.stored.plural);
        let prefixes = resources.iter().map(|resource| (Arc::from(resource.cache.prefix()), key(resource))).collect();
        let resources = resources.into_iter().map(|resource| (key(&resource), resource)).collect();
        Served { registry, resources, prefixes }
    }

    /// The resource of a kind that a user defines; `None` when it is defined no more, or a kind of the program.
    pub fn resource(&self, kind: &Kind) -> Option<&Resource> {
        if kind.is_custom() { self.resources.get(&(kind.group, kind.plural)) } else { None }
    }

    /// The resource that a key of the store belongs to.
    pub fn resource_of_key(&self, key: &[u8]) -> Option<&Resource> {
        // `/registry/<group>/<plural>/`
        let end = key.iter().enumerate().filter(|(_, byte)| **byte == b'/').nth(3)?.0;
        let prefix = std::str::from_utf8(key.get(..=end)?).ok()?;
        self.resources.get(self.prefixes.get(prefix)?)
    }

    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    /// Whether requests for this very version of a kind are answered, with this very schema.
    pub fn serves(&self, kind: &'static Kind) -> bool {
        match self.resource(kind) {
            Some(Resource { defined, .. }) => {
                // The version that is stored is always there for the server itself.
                defined.served.iter().chain([&defined.stored]).any(|served| std::ptr::eq(*served, kind))
            }
            None => !kind.is_custom(),
        }
    }
}

impl Default for Served {
    fn default() -> Served {
        Served::new(Vec::new())
    }
}
