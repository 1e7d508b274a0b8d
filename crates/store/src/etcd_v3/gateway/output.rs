//! From the messages of an answer to JSON.

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use tonic::body::Body;
use tonic::{Code, Status};

use super::input::FRAME_HEAD_BYTES;
use super::status;
use crate::etcd_v3::measure::CountedBody;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The messages of an answer, one by one.
pub(super) struct Messages {
    body: CountedBody,
    message: MessageDescriptor,
    unread: BytesMut,
    ended: bool,
}

impl Messages {
    pub(super) fn new(body: CountedBody, message: MessageDescriptor) -> Self {
        Self { body, message, unread: BytesMut::new(), ended: false }
    }

    /// The next one; None at the end.
    async fn next(&mut self) -> Result<Option<DynamicMessage>, Status> {
        loop {
            if let Some(framed) = self.framed() {
                let message = DynamicMessage::decode(self.message.clone(), framed);
                return message.map(Some).map_err(|error| Status::internal(error.to_string()));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(Err(status)) => return Err(status),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.unread.extend_from_slice(&data),
                    Err(frame) => {
                        self.ended = true;
                        let status = frame.trailers_ref().and_then(Status::from_header_map);
                        if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
                            return Err(status);
                        }
                    }
                },
            }
        }
    }

    /// A whole message that has arrived. The services of this process never compress what they were not asked to.
    fn framed(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        length.copy_from_slice(self.unread.get(1..FRAME_HEAD_BYTES)?);
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        if self.unread.len() < FRAME_HEAD_BYTES + length {
            return None;
        }
        self.unread.advance(FRAME_HEAD_BYTES);
        Some(self.unread.split_to(length).freeze())
    }
}

/// The answer of a call with one.
pub(super) async fn one(mut messages: Messages) -> Result<Response<Body>, Status> {
    let Some(message) = messages.next().await? else {
        return Err(Status::internal("the call ended without an answer"));
    };
    let json = json(&message)?;
    // What fails after the answer is still the call's outcome.
    messages.next().await?;
    Ok(response(Body::new(Full::from(json))))
}

/// The answers of a call with many, a line each. A failure before the first is the response's own.
pub(super) async fn stream(mut messages: Messages) -> Result<Response<Body>, Status> {
    let Some(first) = messages.next().await? else { return Ok(response(Body::empty())) };
    let first = line(&first)?;
    let rest = futures::stream::unfold(Some(messages), |messages| async {
        let mut messages = messages?;
        match messages.next().await.and_then(|message| message.as_ref().map(line).transpose()) {
            Ok(Some(line)) => Some((line, Some(messages))),
            Ok(None) => None,
            Err(status) => Some((status::line(&status), None)),
        }
    });
    let lines = futures::StreamExt::chain(futures::stream::iter([first]), rest);
    let frames = futures::StreamExt::map(lines, |line| Ok::<_, Status>(Frame::data(Bytes::from(line))));
    Ok(response(Body::new(StreamBody::new(frames))))
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn line(message: &DynamicMessage) -> Result<Vec<u8>, Status> {
    let mut line = b"{\"result\":".to_vec();
    write(message, &mut line)?;
    line.extend_from_slice(b"}\n");
    Ok(line)
}

fn json(message: &DynamicMessage) -> Result<Vec<u8>, Status> {
    let mut json = Vec::new();
    write(message, &mut json)?;
    Ok(json)
}

/// Fields go by the names of the protocol, and those with the value that absent ones have are left out, as etcd does.
fn write(message: &DynamicMessage, to: &mut Vec<u8>) -> Result<(), Status> {
    let options = SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(&mut serde_json::Serializer::new(to), &options)
        .map_err(|error| Status::internal(error.to_string()))
}
