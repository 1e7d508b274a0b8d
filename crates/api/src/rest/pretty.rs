//! `?pretty=true`: an answer's JSON with line breaks and indentation, for people.
//!
//! It is written anew while it is sent, piece by piece: what it is made of is JSON already, so that only strings, brackets, commas and
//! colons need to be known. A watch stays as it is, since each of its events is a line.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;

use super::gzip::Live;
use super::media::JSON;

/// What is written anew at once. A byte that stands deep becomes a line of some two hundred.
const PIECE_BYTES: usize = 16 << 10;
const INDENT: &[u8] = b"  ";

/// Whether a query asks for it.
pub(super) fn is_wanted(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| matches!(pair, "pretty=true" | "pretty=1" | "pretty")))
}

/// The answer for people, when it is JSON that ends.
pub(super) fn print(response: Response) -> Response {
    let is_json = |value: &HeaderValue| {
        let media = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        media == JSON
    };
    let is_live = response.extensions().get::<Live>().is_some();
    if is_live || !response.headers().get(CONTENT_TYPE).is_some_and(is_json) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let state = Printing { body, left: Bytes::new(), printer: Printer::default() };
    let frames = stream::unfold(Some(state), |state| async move { state?.step().await });
    Response::from_parts(parts, Body::from_stream(frames))
}

struct Printing {
    body: Body,
    /// Of the last frame.
    left: Bytes,
    printer: Printer,
}

impl Printing {
    async fn step(mut self) -> Option<(Result<Bytes, axum::Error>, Option<Self>)> {
        while self.left.is_empty() {
            match self.body.frame().await? {
                Ok(frame) => self.left = frame.into_data().unwrap_or_default(),
                Err(error) => return Some((Err(error), None)),
            }
        }
        let piece = self.left.split_to(self.left.len().min(PIECE_BYTES));
        let printed = self.printer.print(&piece);
        Some((Ok(printed.into()), Some(self)))
    }
}

/// Where in a JSON text the next byte stands.
#[derive(Default)]
struct Printer {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Behind an opening bracket: whether something is inside is not known yet.
    opened: bool,
}

impl Printer {
    fn print(&mut self, text: &[u8]) -> Vec<u8> {
        let mut printed = Vec::with_capacity(text.len() * 2);
        for &byte in text {
            self.byte(byte, &mut printed);
        }
        printed
    }

    fn byte(&mut self, byte: u8, printed: &mut Vec<u8>) {
        if self.in_string {
            printed.push(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.opened) {
                    self.line(printed);
                }
                printed.push(byte);
            }
            other => {
                if std::mem::take(&mut self.opened) {
                    self.line(printed);
                }
                printed.push(other);
                match other {
                    b'{' | b'[' => {
                        self.depth += 1;
                        self.opened = true;
                    }
                    b',' => self.line(printed),
                    b':' => printed.push(b' '),
                    b'"' => self.in_string = true,
                    _ => {}
                }
            }
        }
    }

    fn line(&self, printed: &mut Vec<u8>) {
        printed.push(b'\n');
        for _ in 0..self.depth {
            printed.extend_from_slice(INDENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn whatever_it_is_cut_into_it_is_printed_as_serde_does() {
        let value = json!({
            "empty": {}, "list": [], "text": "a\\\"b{[,:]}\n", "nested": [{"a": [1, -2.5e3, null, true]}, [[]], "é"], "b": {"c": {}},
        });
        let (text, wanted) = (value.to_string(), serde_json::to_string_pretty(&value).expect("is JSON"));
        for size in 1..=text.len() {
            let mut printer = Printer::default();
            let printed: Vec<u8> = text.as_bytes().chunks(size).flat_map(|piece| printer.print(piece)).collect();
            assert_eq!(String::from_utf8(printed).expect("is text"), wanted, "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn only_json_that_ends_is_printed() {
        let answer = |media: &'static str, live: bool| {
            let mut response = Response::new(Body::from(r#"{"a":1}"#));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
            if live {
                response.extensions_mut().insert(Live);
            }
            response
        };
        for (media, live, printed) in [
            ("application/json", false, true),
            ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", false, true),
            ("application/json", true, false),
            ("application/yaml", false, false),
        ] {
            let body = print(answer(media, live)).into_body().collect().await.expect("is complete").to_bytes();
            let value: Value = serde_json::from_slice(&body).expect("is JSON");
            assert_eq!(value, json!({"a": 1}));
            assert_eq!(body.contains(&b'\n'), printed, "{media}");
        }
    }

    #[test]
    fn it_is_asked_for_by_the_query() {
        for (query, wanted) in
            [(None, false), (Some("pretty=true"), true), (Some("limit=1&pretty"), true), (Some("pretty=false"), false)]
        {
            assert_eq!(is_wanted(query), wanted, "{query:?}");
        }
    }
}
