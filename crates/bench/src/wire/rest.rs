//! Kubernetes' REST: one request, one answer, in the forms that client-go uses; and watches.

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::client::SendRequest;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Uri};

use super::{Endpoint, Failure, Lines, connection};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// Of a refusal, so much is read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// What is asked, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A GET of JSON.
    Get,
    /// A POST of JSON.
    Post,
    /// A PUT of Kubernetes' protobuf, answered as such: kubelets speak it.
    PutProtobuf,
    /// A strategic merge patch, as kubectl sends it.
    StrategicPatch,
    /// A JSON merge patch.
    MergePatch,
}

impl Verb {
    /// The method, what the body is, and what the answer is to be.
    fn forms(self) -> (Method, Option<&'static str>, &'static str) {
        match self {
            Self::Get => (Method::GET, None, JSON),
            Self::Post => (Method::POST, Some(JSON), JSON),
            Self::PutProtobuf => (Method::PUT, Some(PROTOBUF), PROTOBUF),
            Self::StrategicPatch => (Method::PATCH, Some("application/strategic-merge-patch+json"), JSON),
            Self::MergePatch => (Method::PATCH, Some("application/merge-patch+json"), JSON),
        }
    }
}

/// A client's share of a connection to the API. Clones share it; it is closed when the last of them is gone.
#[derive(Clone)]
pub struct Rest {
    requests: SendRequest<Bytes>,
    scheme: Scheme,
    authority: Authority,
}

impl Rest {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let requests = connection::connect(endpoint).await?;
        let scheme = if endpoint.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        Ok(Self { requests, scheme, authority: endpoint.address.to_string().parse()? })
    }

    /// One request and its answer, as far as it has room in memory.
    ///
    /// # Errors
    /// When the server refuses or the connection is gone.
    pub async fn call(&mut self, verb: Verb, path: PathAndQuery, body: Bytes) -> Result<Bytes, Failure> {
        let mut answer = self.open_answer(verb, path, body).await?;
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(chunk) = next_chunk(&mut answer).await? {
            if first.is_empty() {
                first = chunk;
            } else {
                rest.extend_from_slice(&chunk);
            }
        }
        Ok(if rest.is_empty() { first } else { [first, rest.freeze()].concat().into() })
    }

    /// As [`Self::call`], of an answer of which only the length matters, in bytes.
    ///
    /// # Errors
    /// When the server refuses or the connection is gone.
    pub async fn get_length(&mut self, path: PathAndQuery) -> Result<u64, Failure> {
        let mut answer = self.open_answer(Verb::Get, path, Bytes::new()).await?;
        let mut length = 0;
        while let Some(chunk) = next_chunk(&mut answer).await? {
            length += chunk.len() as u64;
        }
        Ok(length)
    }

    /// Opens a watch; when this returns, the server watches.
    ///
    /// # Errors
    /// When the server refuses or the connection is gone.
    pub async fn watch(&mut self, path: PathAndQuery) -> Result<Lines, Failure> {
        Ok(Lines::new(self.open_answer(Verb::Get, path, Bytes::new()).await?))
    }

    async fn open_answer(&mut self, verb: Verb, path: PathAndQuery, body: Bytes) -> Result<RecvStream, Failure> {
        let gone = |error: http::Error| Failure::Connection(error.to_string());
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(path);
        let (method, sent, wanted) = verb.forms();
        let mut request = Request::builder().method(method).uri(uri.build().map_err(gone)?);
        request = request.header(ACCEPT, wanted).header(USER_AGENT, HeaderValue::from_static("keelson-bench"));
        if let Some(sent) = sent {
            request = request.header(CONTENT_TYPE, sent);
        }
        let request = request.body(()).map_err(gone)?;
        // A server that refuses more streams for a moment is waited for.
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut sender) = requests.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            sender.send_data(body, true)?;
        }
        let (head, mut answer) = response.await?.into_parts();
        if head.status.is_success() {
            return Ok(answer);
        }
        let mut text = Vec::new();
        while let Some(chunk) = next_chunk(&mut answer).await?
            && text.len() < REFUSAL_BYTES_MAX
        {
            text.extend_from_slice(&chunk);
        }
        Err(Failure::Status { code: head.status.as_u16().into(), message: message(&text) })
    }
}

/// The next piece of an answer, for which the server then gets room.
pub(super) async fn next_chunk(answer: &mut RecvStream) -> Result<Option<Bytes>, Failure> {
    let Some(chunk) = answer.data().await else { return Ok(None) };
    let chunk = chunk?;
    answer.flow_control().release_capacity(chunk.len())?;
    Ok(Some(chunk))
}

/// The message of a Kubernetes `Status`, or the text itself.
fn message(text: &[u8]) -> String {
    let status: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    match status.as_ref().and_then(|status| status["message"].as_str()) {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_its_status() {
        assert_eq!(message(br#"{"kind":"Status","message":"no such thing","code":404}"#), "no such thing");
        assert_eq!(message(b"gateway"), "gateway");
    }

    #[test]
    fn only_what_reads_has_no_body() {
        for verb in [Verb::Post, Verb::PutProtobuf, Verb::StrategicPatch, Verb::MergePatch] {
            assert!(verb.forms().1.is_some() && verb.forms().0 != Method::GET, "{verb:?}");
        }
        assert_eq!(Verb::Get.forms(), (Method::GET, None, JSON));
    }
}
