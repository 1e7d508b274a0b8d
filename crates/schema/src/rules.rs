//! The rules of `x-kubernetes-validations`.

pub(crate) mod syntax;
