//! What the functions do. Their arguments were checked: each call is one of the table in `functions`.

mod format;
mod lists;
mod named_formats;
mod network;
pub(super) mod operate;
mod optional;
mod quantities;
mod scalars;
pub(super) mod texts;
pub(super) mod time;
mod urls;
mod versions;

use super::value::Value;

/// What a function gives, or why it gives nothing.
type Answer<'a> = Result<Value<'a>, String>;

/// Calls a function; with a receiver, it is the first argument.
///
/// # Errors
/// As CEL says it.
pub(super) fn call<'a>(name: &str, with_receiver: bool, arguments: &[Value<'a>]) -> Answer<'a> {
    scalars::call(name, with_receiver, arguments)
        .or_else(|| texts::call(name, with_receiver, arguments))
        .or_else(|| format::call(name, with_receiver, arguments))
        .or_else(|| named_formats::call(name, with_receiver, arguments))
        .or_else(|| lists::call(name, with_receiver, arguments))
        .or_else(|| time::call(name, with_receiver, arguments))
        .or_else(|| optional::call(name, with_receiver, arguments))
        .or_else(|| quantities::call(name, with_receiver, arguments))
        .or_else(|| versions::call(name, with_receiver, arguments))
        .or_else(|| network::call(name, with_receiver, arguments))
        .or_else(|| urls::call(name, with_receiver, arguments))
        .unwrap_or_else(|| Err("no such overload".to_owned()))
}
