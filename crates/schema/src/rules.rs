//! The rules of `x-kubernetes-validations`: how they are written, what they mean in the schema, and what they say of an object.

pub(crate) mod check;
pub(crate) mod evaluate;
mod field_path;
pub(crate) mod syntax;
