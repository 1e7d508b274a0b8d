//! Tests of schemas from the outside, as the API uses them.

mod change;
mod facts;
mod properties;
mod rules;
mod structure;
mod validate;
