//! From JSON to the messages of a call.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor};
use serde_json::Value;
use serde_json::value::RawValue;
use tonic::Status;
use tonic::body::Body;

use crate::etcd_v3::measure::Received;

/// How long a client may take to send one request.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A body is read up to so many times its bound before the connection is given up.
const DROPPED_FACTOR: usize = 8;
/// gRPC's words before a message: whether it is compressed, and its length.
pub(super) const FRAME_HEAD_BYTES: usize = 5;

/// The body of a call with one request. As etcd does, it takes the first JSON value, and an empty body for an empty request.
pub(super) async fn one(body: Received, message: MessageDescriptor, bytes_max: usize) -> Result<Body, Status> {
    let read = tokio::time::timeout(READ_TIMEOUT, read(body, bytes_max));
    let json = read.await.unwrap_or_else(|_| Err(Status::deadline_exceeded("the request did not arrive in time")))?;
    let framed = match first(&json) {
        First::Value(value, _) => frame(&message, value),
        First::Nothing => frame(&message, "{}"),
        First::Incomplete => Err("unexpected end of the JSON".to_owned()),
        First::Wrong(why) => Err(why),
    };
    Ok(Body::new(Full::new(framed.map_err(Status::invalid_argument)?)))
}

/// All of a body. Of one that is too large some more is read and dropped: most clients listen only when they have sent all.
async fn read(mut body: Received, bytes_max: usize) -> Result<BytesMut, Status> {
    let (mut json, mut length) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::cancelled(format!("the request did not arrive: {error}")))?;
        let Some(data) = frame.data_ref() else { continue };
        length = length.saturating_add(data.len());
        if length <= bytes_max {
            json.extend_from_slice(data);
        } else if length > bytes_max.saturating_mul(DROPPED_FACTOR) {
            break;
        }
    }
    if length > bytes_max { Err(too_large(bytes_max)) } else { Ok(json) }
}

/// The body of a call with a stream of requests: JSON values one after the other. When it `outlives` them, its end is not
/// passed on.
pub(super) fn stream(body: Received, message: MessageDescriptor, bytes_max: usize, outlives: bool) -> Body {
    let requests = Requests { body, message, bytes_max, outlives, unread: BytesMut::new(), ended: false };
    Body::new(StreamBody::new(futures::stream::unfold(requests, Requests::next)))
}

struct Requests {
    body: Received,
    message: MessageDescriptor,
    bytes_max: usize,
    outlives: bool,
    unread: BytesMut,
    ended: bool,
}

impl Requests {
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Status>, Self)> {
        if self.ended {
            return None;
        }
        let next = self.read().await?;
        self.ended = next.is_err();
        Some((next.map(Frame::data), self))
    }

    async fn read(&mut self) -> Option<Result<Bytes, Status>> {
        loop {
            match first(&self.unread) {
                First::Value(value, length) => {
                    let framed = frame(&self.message, value).map_err(Status::unknown);
                    self.unread.advance(length);
                    return Some(framed);
                }
                First::Wrong(why) => return Some(Err(Status::unknown(why))),
                First::Nothing | First::Incomplete if self.unread.len() > self.bytes_max => {
                    return Some(Err(too_large(self.bytes_max)));
                }
                First::Nothing | First::Incomplete => {}
            }
            match self.body.frame().await {
                Some(Ok(more)) => self.unread.extend_from_slice(more.data_ref().map_or(&[], |data| data)),
                Some(Err(error)) => {
                    return Some(Err(Status::cancelled(format!("the request did not arrive: {error}"))));
                }
                None if !self.unread.trim_ascii().is_empty() => {
                    return Some(Err(Status::unknown("unexpected end of the JSON")));
                }
                // The client's going away drops this.
                None if self.outlives => std::future::pending().await,
                None => return None,
            }
        }
    }
}

/// The first JSON value of some bytes.
enum First<'a> {
    /// With what it takes up, white space before it included.
    Value(&'a str, usize),
    Nothing,
    Incomplete,
    Wrong(String),
}

fn first(json: &[u8]) -> First<'_> {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(value)) => First::Value(value.get(), values.byte_offset()),
        Some(Err(error)) if error.is_eof() => First::Incomplete,
        Some(Err(error)) => First::Wrong(error.to_string()),
        None => First::Nothing,
    }
}

/// A message as gRPC frames it. serde_json bounds the depth.
fn frame(message: &MessageDescriptor, json: &str) -> Result<Bytes, String> {
    let mut json: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    if json.is_null() {
        // As etcd reads it: nothing was said.
        json = Value::Object(serde_json::Map::new());
    }
    drop_unknown(message, &mut json);
    refuse_fractions(message, &json)?;
    let message = DynamicMessage::deserialize(message.clone(), json).map_err(|error| error.to_string())?;
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(FRAME_HEAD_BYTES + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).map_err(|error| error.to_string())?);
    message.encode(&mut framed).map_err(|error| error.to_string())?;
    Ok(framed.freeze())
}

/// Removes fields that the message does not have, as etcd passes them over. The library could do so itself, but then it would
/// pass over names of enums that do not exist, too.
fn drop_unknown(message: &MessageDescriptor, json: &mut Value) {
    let Value::Object(fields) = json else { return };
    fields.retain(|name, value| {
        let Some(field) = message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name)) else {
            return false;
        };
        if let Kind::Message(inner) = field.kind() {
            match value {
                Value::Array(items) => items.iter_mut().for_each(|item| drop_unknown(&inner, item)),
                other => drop_unknown(&inner, other),
            }
        }
        true
    });
}

/// Refuses `1e3` where a whole number belongs, as etcd does, whatever its value. The library would take it.
fn refuse_fractions(message: &MessageDescriptor, json: &Value) -> Result<(), String> {
    let Value::Object(fields) = json else { return Ok(()) };
    for (name, value) in fields {
        let Some(field) = message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name)) else {
            continue;
        };
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        match field.kind() {
            Kind::Message(inner) => items.iter().try_for_each(|item| refuse_fractions(&inner, item))?,
            _ => {
                if let Some(Value::Number(number)) = items.iter().find(|item| item.is_f64()) {
                    return Err(format!("{name} is a whole number, not {number}"));
                }
            }
        }
    }
    Ok(())
}

fn too_large(bytes_max: usize) -> Status {
    Status::resource_exhausted(format!("keelson: the request is larger than {bytes_max} bytes"))
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Documents, fuzz};
    use prost_reflect::{DescriptorPool, SerializeOptions};

    use super::*;

    fn message(name: &str) -> MessageDescriptor {
        let pool = DescriptorPool::decode(keelson_proto::ETCD_DESCRIPTORS).expect("descriptors");
        pool.get_message_by_name(&format!("etcdserverpb.{name}")).expect("there is such a message")
    }

    fn range(json: &str) -> Result<keelson_proto::etcdserverpb::RangeRequest, String> {
        let framed = frame(&message("RangeRequest"), json)?;
        Ok(prost::Message::decode(framed.slice(FRAME_HEAD_BYTES..)).expect("the message just encoded"))
    }

    #[test]
    fn fields_go_by_both_names_numbers_may_be_strings_and_enums_numbers() {
        let found =
            range(r#"{"key":"Zm9v","rangeEnd":"AA==","limit":"5","revision":7,"sort_order":1,"sortTarget":"MOD"}"#);
        let found = found.expect("a request");
        assert_eq!((found.key.as_ref(), found.range_end.as_ref()), (&b"foo"[..], &b"\0"[..]));
        assert_eq!((found.limit, found.revision, found.sort_order, found.sort_target), (5, 7, 1, 3));
        assert_eq!(range(r#"{"key":"Zm9v","what":{"is":["this"]}}"#).expect("a request").key.as_ref(), b"foo");
    }

    #[test]
    fn what_is_wrong_is_refused() {
        assert_eq!(range("null").expect("an empty request"), range("{}").expect("an empty request"));
        for json in [
            r#"{"limit":1e3}"#,
            r#"{"limit":1.0}"#,
            r#"{"key":"!!"}"#,
            r#"{"key":5}"#,
            "[]",
            r#"{"limit":"x"}"#,
            r#"{"sort_order":"BOGUS"}"#,
        ] {
            assert!(range(json).is_err(), "{json}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let depth = 10_000;
        let json = r#"{"success":[{"request_txn":"#.repeat(depth) + "{}" + &"}]}".repeat(depth);
        let refused = frame(&message("TxnRequest"), &json).expect_err("too deep");
        assert!(refused.contains("recursion limit"), "{refused}");
    }

    #[test]
    fn values_are_taken_one_by_one_and_an_incomplete_one_waits() {
        assert!(matches!(first(b" {\"a\":1} {\"b\""), First::Value("{\"a\":1}", 8)));
        assert!(matches!(first(b" {\"b\""), First::Incomplete));
        assert!(matches!(first(b" \n"), First::Nothing));
        assert!(matches!(first(b"}"), First::Wrong(_)));
    }

    #[test]
    fn a_request_of_any_text_is_refused_or_is_a_message_that_says_the_same() {
        let put = serde_json::json!({"key": "Zm9v", "value": "YmFy", "lease": "7", "prevKv": true});
        let seeds = vec![
            serde_json::json!({
                "compare": [{"key": "Zm9v", "target": "MOD", "result": "GREATER", "mod_revision": "9"}],
                "success": [{"request_put": put}, {"requestRange": {"key": "AA==", "range_end": "AA==", "limit": 5}}],
                "failure": [{"request_txn": {"success": [{"request_delete_range": {"key": "eA=="}}]}}],
            }),
            serde_json::json!({"success": [{"request_range": {"key": "eA==", "sort_order": 1, "sortTarget": "VALUE"}}]}),
        ];
        let words =
            ["compare", "success", "request_txn", "requestTxn", "key", "target", "VERSION", "-1", "AAA", "lease"];
        let message = message("TxnRequest");
        fuzz!(Documents::new(seeds, &words), |text| {
            let First::Value(value, length) = first(text) else { return false };
            assert!(length <= text.len() && value.len() <= length);
            let Ok(framed) = frame(&message, value) else { return false };
            let (head, body) = framed.split_at(FRAME_HEAD_BYTES);
            assert_eq!(head[1..], u32::try_from(body.len()).expect("is short").to_be_bytes());
            let read = DynamicMessage::decode(message.clone(), body).expect("the message just encoded");
            let mut json = Vec::new();
            let options = SerializeOptions::new().use_proto_field_name(true);
            read.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options).expect("is JSON");
            let again = frame(&message, std::str::from_utf8(&json).expect("is UTF-8")).expect("is taken again");
            assert_eq!(again, framed);
            true
        });
    }
}
