//! Kubernetes' protobuf: objects to and from JSON values, for every kind alike, by the table in [`keelson_types::schema`].
//!
//! ```text
//! k8s\0                      every document begins with it
//! 1: {1: "v1", 2: "Pod"}     apiVersion and kind, which the message itself does not have
//! 2: bytes                   the message
//! 3: "", 4: ""               encoding and type of the message; empty means protobuf as it is
//! ```
//!
//! Pure, and without a word about any kind. What a client sends may be anything: depth is bounded here and size before;
//! fields that the table does not have are skipped, as Kubernetes does; all else that is wrong is an [`Error`] with its place.
//!
//! **Invariant**: `decode(encode(x))` is x, for every x that a kind's JSON decoder accepts, but for zeros that mean absent.

mod decode;
mod encode;
mod time;
mod wire;

#[cfg(test)]
mod tests;

use keelson_types::schema::{Message, schema};
use serde_json::Value;

pub use encode::{DOCUMENT_TAIL, document, message, message_field, prefixed_document_head, watch_event};
use wire::Reader;

/// What every document begins with.
pub const MAGIC: &[u8] = b"k8s\0";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("the data does not begin with the four bytes of Kubernetes' protobuf")]
    NoMagic,
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    NoKind { api_version: String, kind: String },
    #[error("the message is encoded as {0:?}, which is not read")]
    Encoding(String),
    #[error("{path}: {what}")]
    Malformed { path: String, what: &'static str },
}

/// A document as a JSON object with its apiVersion and kind. Where it does not say what it is, it is `expected`: an apiVersion
/// and a kind.
///
/// # Errors
/// See [`Error`].
pub fn decode(document: &[u8], expected: (&str, &str)) -> Result<Value, Error> {
    let mut reader = Reader::new(document.strip_prefix(MAGIC).ok_or(Error::NoMagic)?);
    let (mut api_version, mut kind, mut raw): (&str, &str, &[u8]) = ("", "", &[]);
    let mut encoding = "";
    let at = |what| Error::Malformed { path: "envelope".to_owned(), what };
    while let Some((number, payload)) = reader.field().map_err(at)? {
        match number {
            1 => {
                let mut reader = Reader::new(payload.bytes().map_err(at)?);
                while let Some((number, payload)) = reader.field().map_err(at)? {
                    match number {
                        1 => api_version = payload.text().map_err(at)?,
                        2 => kind = payload.text().map_err(at)?,
                        _ => {}
                    }
                }
            }
            2 => raw = payload.bytes().map_err(at)?,
            3 => encoding = payload.text().map_err(at)?,
            4 if encoding.is_empty() => encoding = payload.text().map_err(at)?,
            _ => {}
        }
    }
    if !matches!(encoding, "" | "application/vnd.kubernetes.protobuf") {
        return Err(Error::Encoding(encoding.to_owned()));
    }
    if kind.is_empty() {
        (api_version, kind) = expected;
    }
    let of = kind_of(api_version, kind)?;
    let mut object = decode::message(raw, of)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(Value::Object(object))
}

/// The message of a kind.
///
/// # Errors
/// When the table does not have it.
pub fn kind_of(api_version: &str, kind: &str) -> Result<&'static Message, Error> {
    schema()
        .kind(api_version, kind)
        .ok_or_else(|| Error::NoKind { api_version: api_version.to_owned(), kind: kind.to_owned() })
}
