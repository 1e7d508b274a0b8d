//! Compression of long answers, for clients that offer it.
//!
//! An answer is compressed from [`BYTES_MIN`] on, as in Kubernetes: below, it costs more than the network does. That much of it
//! is gathered to decide; the rest is compressed while it is sent. What lives on (watches, logs) is left alone: its events must
//! not wait in a compressor.

use std::io::Write as _;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue};
use http_body::Body as _;
use http_body_util::BodyExt;

const BYTES_MIN: usize = 128 << 10;
/// Compressed bytes that are gathered for one frame, unless the answer ends before.
const FRAME_BYTES_MIN: usize = 16 << 10;

/// In the extensions of an answer that has no end of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live;

pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        coding.eq_ignore_ascii_case("gzip") && !refused
    })
}

/// The answer, compressed when it is long. Only for clients that accept it.
pub(super) async fn compress(response: Response) -> Response {
    let short = response.body().size_hint().exact().is_some_and(|bytes| bytes < BYTES_MIN as u64);
    if short || response.extensions().get::<Live>().is_some() || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, mut body) = response.into_parts();
    let mut gathered = Vec::new();
    let mut bytes = 0;
    while bytes < BYTES_MIN {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    bytes += data.len();
                    gathered.push(data);
                }
            }
            Some(Err(error)) => {
                let frames = gathered.into_iter().map(Ok).chain([Err(error)]);
                return Response::from_parts(parts, Body::from_stream(stream::iter(frames)));
            }
            // One piece, whose length is told.
            None => return Response::from_parts(parts, Body::from(gathered.concat())),
        }
    }
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    let state =
        Compressing { gathered: gathered.into_iter(), body, encoder: GzEncoder::new(Vec::new(), Compression::fast()) };
    let frames = stream::unfold(Some(state), |state| async move { state?.step().await });
    Response::from_parts(parts, Body::from_stream(frames))
}

struct Compressing {
    gathered: std::vec::IntoIter<Bytes>,
    body: Body,
    encoder: GzEncoder<Vec<u8>>,
}

type Frame = Result<Bytes, axum::Error>;

impl Compressing {
    async fn step(mut self) -> Option<(Frame, Option<Self>)> {
        loop {
            let data = match self.gathered.next() {
                Some(data) => data,
                None => match self.body.frame().await {
                    Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                    Some(Err(error)) => return Some((Err(error), None)),
                    None => return Some((self.encoder.finish().map(Bytes::from).map_err(axum::Error::new), None)),
                },
            };
            if let Err(error) = self.encoder.write_all(&data) {
                return Some((Err(axum::Error::new(error)), None));
            }
            if self.encoder.get_ref().len() >= FRAME_BYTES_MIN {
                let compressed = std::mem::take(self.encoder.get_mut());
                return Some((Ok(compressed.into()), Some(self)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_for_those_who_offer_it() {
        for (offer, accepted) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("br, deflate", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(offer))]);
            assert_eq!(is_accepted(&headers), accepted, "{offer}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn short_and_endless_answers_are_sent_as_they_are() {
        let short = compress(Response::new(Body::from(vec![b'x'; BYTES_MIN - 1]))).await;
        assert!(!short.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(short.into_body().collect().await.expect("is complete").to_bytes().len(), BYTES_MIN - 1);
        let mut live = Response::new(Body::from(vec![b'x'; BYTES_MIN]));
        live.extensions_mut().insert(Live);
        assert!(!compress(live).await.headers().contains_key(CONTENT_ENCODING));
        let long = compress(Response::new(Body::from(vec![b'x'; BYTES_MIN]))).await;
        assert_eq!(long.headers()[CONTENT_ENCODING], "gzip");
        assert!(long.into_body().collect().await.expect("is complete").to_bytes().len() < BYTES_MIN / 10);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_breaks_off_compressed_too() {
        let frames = || {
            let long = Bytes::from(vec![b'x'; BYTES_MIN]);
            stream::iter([Ok(long), Err(std::io::Error::other("broken"))])
        };
        let response = compress(Response::new(Body::from_stream(frames()))).await;
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        response.into_body().collect().await.expect_err("it breaks off");
    }
}
