//! Roles and their bindings: who may do what.
//!
//! [`Policy`] is made of the four kinds' objects and answers without I/O. It is made anew when one of them changes; a request
//! costs a few look-ups. **Invariant**: permissions only add up. Nothing here can forbid what another role allows.

pub mod defaults;
pub mod escalation;
mod live;
mod policy;
mod rule;

pub use live::Live;
pub use policy::{Decision, Policy};
pub use rule::{Rule, missing};

use crate::pipeline::User;

/// The group of the roles' kinds.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// Whoever is in this group may do everything, whatever roles say.
pub const ADMINISTRATORS: &str = "system:masters";
/// Everyone whom the API knows is in this group.
pub const AUTHENTICATED: &str = "system:authenticated";

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    Resource {
        verb: &'a str,
        group: &'a str,
        resource: &'a str,
        /// Empty for the object itself.
        subresource: &'a str,
        /// Empty for a collection, and for one that has no name yet.
        name: &'a str,
        /// Empty for objects without one, and for all namespaces.
        namespace: &'a str,
    },
    /// What is no object, such as `/version`.
    Path { verb: &'a str, path: &'a str },
}

/// The groups of a user, the one of everybody among them.
pub fn groups(user: &User) -> impl Iterator<Item = &str> {
    let everybody = (!user.groups.iter().any(|group| group == AUTHENTICATED)).then_some(AUTHENTICATED);
    user.groups.iter().map(String::as_str).chain(everybody)
}
