//! Tests of schemas from the outside, as the API uses them.

mod change;
mod costs;
mod facts;
mod fuzz;
mod properties;
mod rules;
mod structure;
mod validate;
