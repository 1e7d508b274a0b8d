//! The object model: kinds and their registry, metadata, selectors, quantities. No I/O, no clock, no async.
//!
//! Objects exist in two shapes. Loops and agents use the typed structs of `k8s-openapi` ([`Object`]). The API works on
//! JSON values and asks the object's [`Kind`] for everything that depends on what it is: decoding, defaults, validation,
//! table cells. [`registry`] finds the kind; [`kinds`] has one file for each and says how to add one.

pub mod binding;
pub mod custom;
pub mod decode;
mod duration;
pub mod field;
pub mod int_or_string;
mod json;
pub mod jsonpath;
mod kind;
pub mod kinds;
mod leadership;
pub mod merge;
pub mod meta;
pub mod names;
mod object;
pub mod pods;
pub mod quantity;
pub mod registry;
mod resources;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;

pub use custom::Definition;
pub use decode::Decoded;
pub use duration::{duration_go, duration_human};
pub use k8s_openapi;
pub use kind::{Kind, Served, Target, View};
pub use leadership::Leadership;
pub use object::Object;
pub use resources::Resources;
