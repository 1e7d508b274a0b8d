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
pub use rule::{PERMISSIONS_MAX, Rule, TooMany, missing};

use crate::pipeline::User;

/// The group of the roles' kinds.
pub const GROUP: &str = "rbac.authorization.k8s.io";
/// Whoever is in this group may do everything, whatever roles say.
pub const ADMINISTRATORS: &str = "system:masters";
/// Everyone who has proved who they are is in this group.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Everyone else is in this one, and goes by the name [`ANONYMOUS`].
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
pub const ANONYMOUS: &str = "system:anonymous";

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

/// The groups of a user.
pub fn groups(user: &User) -> impl Iterator<Item = &str> {
    user.groups.iter().map(String::as_str)
}
