//! Tests of schemas from the outside, as the API uses them.

mod validate;
