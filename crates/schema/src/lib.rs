//! Schemas of custom resources: what `spec.versions[].schema.openAPIV3Schema` of a CustomResourceDefinition promises.
//!
//! [`Structural::parse`] reads a schema and refuses one that Kubernetes refuses, in Kubernetes' words. What it returns prunes,
//! defaults and validates objects, and says what server-side apply and OpenAPI need to know.
//!
//! Pure: no I/O, no clock. What is not supported is refused when a schema is read, never ignored when an object is checked.

mod cel;
mod default;
mod defaults;
pub mod expression;
mod facts;
mod json;
mod node;
mod openapi;
mod pattern;
mod prune;
mod read;
mod rules;
mod shape;
mod standard;
mod structural;
mod url;
mod validate;

pub use facts::{Key, Merge, Place, Step};
use keelson_types::field::{Error, Path};
use serde_json::Value;
pub use shape::{MAX_DEPTH, MAX_ERRORS, MAX_PLACES};

use crate::node::Node;
use crate::pattern::Patterns;
use crate::validate::{embedded, lists};

/// Where a schema comes from. What bounds schemas came over time, and counts for new ones alone: a kind that is served does not go,
/// with its objects, because a later version of the program would not let it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    New,
    Stored,
}

/// A schema that was read, checked and compiled. Cheap to use, not to make: keep one for each version of a definition.
#[derive(Debug)]
pub struct Structural {
    root: Node,
    published: Value,
}

impl Structural {
    /// Reads a schema, which stands at `path` of its definition: `spec.versions[0].schema.openAPIV3Schema`.
    ///
    /// # Errors
    /// Every reason why the schema is refused, but at most [`MAX_ERRORS`] of them.
    pub fn parse(schema: &Value, path: &str) -> Result<Self, Vec<Error>> {
        Self::read(schema, path, Origin::New)
    }

    /// Reads a schema that was let through once: how long and large its expressions, rules and defaults are together is not looked
    /// at.
    ///
    /// # Errors
    /// As [`Structural::parse`].
    pub fn parse_stored(schema: &Value, path: &str) -> Result<Self, Vec<Error>> {
        Self::read(schema, path, Origin::Stored)
    }

    fn read(schema: &Value, path: &str, origin: Origin) -> Result<Self, Vec<Error>> {
        let path = Path::new(path);
        let fail = |mut errors: Vec<Error>| {
            errors.truncate(MAX_ERRORS);
            if errors.is_empty() { Ok(()) } else { Err(errors) }
        };
        fail(shape::check(schema, &path))?;
        let mut patterns = Patterns::new(origin);
        let mut errors = structural::check(schema, &path, &mut patterns);
        errors.extend(standard::check(schema, &path));
        if origin == Origin::New {
            errors.extend(rules::syntax::check_size(schema, &path));
        }
        fail(errors)?;
        let root = read::node(schema, &mut patterns, origin);
        fail(rules::check::check(&root, &path))?;
        if origin == Origin::New {
            fail(defaults::check_sizes(&root, &path))?;
        }
        let mut errors = Vec::new();
        defaults::check(&root, &path, &mut errors);
        fail(errors)?;
        Ok(Structural { root, published: openapi::publish(schema) })
    }

    /// Removes the fields that the schema does not name, and returns their paths, sorted: `spec.containers[0].imge`. The
    /// object's own apiVersion, kind and metadata always stay.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::object(object, &self.root)
    }

    /// Sets what is absent to the schema's defaults. A null where none may be counts as absent.
    pub fn default(&self, object: &mut Value) {
        default::object(object, &self.root);
    }

    /// What is wrong with an object. With `old`, the object that `new` replaces, what was wrong and did not change is let
    /// through, and rules that compare the two are checked.
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<Error> {
        let mut errors = validate::value(new, old, &self.root, "");
        embedded::within(new, &self.root, &Path::ROOT, &mut errors);
        errors.extend(self.doubles(new, old));
        errors.truncate(MAX_ERRORS);
        rules::evaluate::object(new, old, &self.root, &mut errors);
        errors.truncate(MAX_ERRORS);
        errors
    }

    /// What stands twice in lists that are sets or have keys, unless something did in the old object already.
    fn doubles(&self, new: &Value, old: Option<&Value>) -> Vec<Error> {
        let of = |object: &Value| {
            let mut errors = Vec::new();
            lists::check(object, &self.root, &Path::ROOT, &mut errors);
            errors
        };
        let errors = of(new);
        let had_some = || old.is_some_and(|old| !of(old).is_empty());
        if errors.is_empty() || had_some() { Vec::new() } else { errors }
    }

    /// The place of the whole object, from which one can walk.
    pub fn root(&self) -> Place<'_> {
        Place::new(&self.root)
    }

    /// The place that `path` leads to.
    pub fn facts(&self, path: &[Step<'_>]) -> Place<'_> {
        path.iter().fold(self.root(), |place, step| match step {
            Step::Field(name) => place.field(name),
            Step::Item => place.item(),
        })
    }

    /// The schema as it is published, with apiVersion, kind and metadata. The caller adds `x-kubernetes-group-version-kind`.
    pub fn openapi(&self) -> Value {
        self.published.clone()
    }
}
