//! The gateway over WebSockets, for clients that cannot send a request while its answer is under way: browsers, above all.
//!
//! A WebSocket at a path of the gateway is one call of that path. Each message is a request of it, or several, and each
//! answer is a message: what would be a line of the answer's page. As in etcd, the token is the second of the protocols
//! that the client asks for, `Bearer, TOKEN`, since a browser lets nobody set another header.
//!
//! **Invariants**: messages, the requests that wait and the answers that were not taken are bounded; a page of another origin
//! opens nothing, as the gateway lets no such page read its answers either; a client that vanished is noticed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use http::header::{
    AUTHORIZATION, CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::de::IgnoredAny;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tonic::Status;
use tonic::body::Body;

use super::routes::Route;
use super::{bytes_max, call, status};
use crate::etcd_v3::dispatch::Dispatch;
use crate::etcd_v3::http::text;
use crate::etcd_v3::measure::{Received, Source};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Messages that may wait to be taken by the call.
const REQUESTS_MAX: usize = 1;
/// A client may ping so often in one [`PING_INTERVAL`]: each of its pings is answered, also when it takes no answer.
const CLIENT_PINGS_MAX: usize = 100;
const BUFFER_BYTES: usize = 16 << 10;
/// A client is pinged so often, and gone when it has said nothing, not even to that, for longer than the second.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// How long an answer may wait to be taken, and a call may go on when the member stops.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(5);
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

const VERSION: &str = "13";
const BEARER: &str = "Bearer";

/// Whether a client asks for a WebSocket.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    has_word(headers, &CONNECTION, "upgrade") && has_word(headers, &UPGRADE, "websocket")
}

/// Answers a request for a WebSocket at `route`, and serves it from then on.
pub(super) fn answer(dispatch: Dispatch, route: Route, mut request: Request<Received>) -> Response<Body> {
    let headers = request.headers();
    if request.method() != Method::GET || headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        let mut refused = text(StatusCode::BAD_REQUEST, "a WebSocket begins with GET, and in version 13\n");
        refused.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        return refused;
    }
    let accepted = headers.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let Some(Ok(accept)) = accepted.map(HeaderValue::try_from) else {
        return text(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing\n");
    };
    if !is_of_own_origin(headers) {
        return text(StatusCode::FORBIDDEN, "a page of another origin may not open a WebSocket here\n");
    }
    if request.extensions().get::<OnUpgrade>().is_none() {
        return text(StatusCode::BAD_REQUEST, "a WebSocket needs a connection of HTTP/1.1\n");
    }
    let Ok(room) = Arc::clone(dispatch.websockets()).try_acquire_owned() else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets\n");
    };
    let (headers, protocol) = authorize(headers.clone());
    let upgraded = hyper::upgrade::on(&mut request);
    let tasks = dispatch.tasks().clone();
    tasks.spawn(async move {
        let _room = room;
        match upgraded.await {
            Ok(upgraded) => serve(upgraded, dispatch, route, headers).await,
            Err(error) => tracing::debug!(%error, "a client went away before its WebSocket began"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// The headers of the call, and the protocol that is taken of those that the client can.
fn authorize(mut headers: HeaderMap) -> (HeaderMap, Option<HeaderValue>) {
    let words: Vec<&str> = words(&headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    let [BEARER, token, ..] = words[..] else { return (headers, None) };
    if let Ok(token) = HeaderValue::try_from(format!("{BEARER} {token}")) {
        headers.insert(AUTHORIZATION, token);
    }
    (headers, Some(HeaderValue::from_static(BEARER)))
}

/// Whether a request is not a page's, or is one of a page from this very address.
fn is_of_own_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let origin = Uri::try_from(origin.as_bytes()).ok();
    let authority = origin.as_ref().and_then(Uri::authority).map(http::uri::Authority::as_str);
    authority.is_some_and(|own| headers.get(HOST).is_some_and(|host| host == own))
}

fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

fn has_word(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted))
}

/// Serves one WebSocket until the call or the client has ended, or the member stops.
async fn serve(upgraded: Upgraded, dispatch: Dispatch, route: Route, headers: HeaderMap) {
    let message_bytes_max = bytes_max(&dispatch);
    let config = WebSocketConfig::default()
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES);
    let socket: Socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let (mut sink, stream) = socket.split();
    let (requests, body) = mpsc::channel(REQUESTS_MAX);
    let shutdown = dispatch.front().shutdown.clone();
    let many = route.method.is_client_streaming();
    let answers = answers(dispatch, route, headers, body);
    let end = tokio::select! {
        end = read(stream, requests, many) => end,
        end = write(&mut sink, answers) => end,
        () = async {
            shutdown.cancelled().await;
            // The call says why it ends.
            tokio::time::sleep(STOP_GRACE).await;
        } => Some((CloseCode::Away, "the member stops")),
    };
    if let Some((code, reason)) = end {
        let farewell = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        // It may have gone.
        drop(tokio::time::timeout(FAREWELL_TIMEOUT, sink.send(farewell)).await);
    }
}

/// How a WebSocket ends that its client has not ended.
type End = Option<(CloseCode, &'static str)>;

/// Hands on what the client sends, for as long as it is there.
async fn read(
    mut stream: impl Stream<Item = Result<Message, Error>> + Unpin,
    requests: mpsc::Sender<Bytes>,
    many: bool,
) -> End {
    let mut requests = Some(requests);
    let (mut pings, mut since) = (0, Instant::now());
    loop {
        let message = match tokio::time::timeout(SILENCE_MAX, stream.next()).await {
            Ok(Some(Ok(Message::Text(message)))) => Bytes::from(message),
            Ok(Some(Ok(Message::Binary(message)))) => message,
            Ok(Some(Ok(Message::Ping(_)))) => {
                if since.elapsed() >= PING_INTERVAL {
                    (pings, since) = (0, Instant::now());
                }
                pings += 1;
                if pings > CLIENT_PINGS_MAX {
                    return Some((CloseCode::Policy, "too many pings"));
                }
                continue;
            }
            Ok(Some(Ok(Message::Pong(_) | Message::Frame(_)))) => continue,
            Ok(Some(Err(Error::Capacity(_)))) => return Some((CloseCode::Size, "the message is too large")),
            // Is answered by the socket itself, when something is sent.
            Ok(Some(Ok(Message::Close(_)))) => return Some((CloseCode::Normal, "")),
            Ok(Some(Err(_)) | None) | Err(_) => return None,
        };
        match content(&message) {
            Content::Nothing => continue,
            Content::Incomplete => return Some((CloseCode::Invalid, "a message is a whole request")),
            Content::Requests => {}
        }
        // A call that has all its requests, or wants no more of them, may still have answers.
        if let Some(sender) = &requests
            && (sender.send(message).await.is_err() || !many)
        {
            requests = None;
        }
    }
}

/// What is in a message.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    /// Whole values, or what the call will refuse as being none.
    Requests,
    Nothing,
    /// To gather the parts of a value means to look at all of them again with each.
    Incomplete,
}

fn content(message: &[u8]) -> Content {
    let values = serde_json::Deserializer::from_slice(message).into_iter::<IgnoredAny>();
    let mut found = Content::Nothing;
    for value in values {
        match value {
            Ok(_) => found = Content::Requests,
            Err(error) if error.is_eof() => return Content::Incomplete,
            Err(_) => return Content::Requests,
        }
    }
    found
}

/// Sends the answers, and pings meanwhile.
async fn write(sink: &mut (impl Sink<Message> + Unpin), answers: impl Stream<Item = Utf8Bytes>) -> End {
    let mut answers = std::pin::pin!(answers);
    let mut pings = tokio::time::interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let message = tokio::select! {
            biased;
            // However many answers there are: a client that only listens is known to be there by what it says to these.
            _ = pings.tick() => Message::Ping(Bytes::new()),
            answer = answers.next() => match answer {
                Some(answer) => Message::Text(answer),
                None => return Some((CloseCode::Normal, "")),
            },
        };
        if !matches!(tokio::time::timeout(SEND_TIMEOUT, sink.send(message)).await, Ok(Ok(()))) {
            return None;
        }
    }
}

/// What the call answers, each as one message; a failure is the last.
fn answers(
    dispatch: Dispatch,
    route: Route,
    headers: HeaderMap,
    requests: mpsc::Receiver<Bytes>,
) -> impl Stream<Item = Utf8Bytes> {
    let frames = stream::unfold(requests, |mut requests| async {
        let message = requests.recv().await?;
        Some((Ok::<_, Status>(Frame::data(message)), requests))
    });
    let body = Received::new(Source::Gateway(Body::new(StreamBody::new(frames))), None);
    let response = async move {
        let outcome = call(&dispatch, &route, &headers, body).await;
        outcome.unwrap_or_else(|status| status::response(&status)).into_body()
    };
    let pages = stream::once(response).flat_map(BodyExt::into_data_stream);
    // A line of the page each.
    let line = |part: Result<Bytes, Status>| Utf8Bytes::try_from(Bytes::copy_from_slice(part.ok()?.trim_ascii())).ok();
    pages.filter_map(move |part| std::future::ready(line(part))).filter(|line| std::future::ready(!line.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_token_is_the_second_protocol_behind_bearer() {
        for pair in ["Bearer, token.7", "Bearer,token.7", "Bearer ,  token.7, more"] {
            let (found, protocol) = authorize(headers(&[(SEC_WEBSOCKET_PROTOCOL, pair), (AUTHORIZATION, "other")]));
            assert_eq!(found[AUTHORIZATION], "Bearer token.7", "{pair}");
            assert_eq!(protocol.expect("one is taken"), "Bearer");
        }
        for none in ["Bearer", "chat, Bearer, token.7", ""] {
            let (found, protocol) = authorize(headers(&[(SEC_WEBSOCKET_PROTOCOL, none), (AUTHORIZATION, "other")]));
            assert_eq!((found[AUTHORIZATION].as_bytes(), protocol), (&b"other"[..], None), "{none}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_told_from_one_of_the_same() {
        let own = |origin| is_of_own_origin(&headers(&[(HOST, "localhost:2379"), (ORIGIN, origin)]));
        assert!(own("http://localhost:2379") && own("https://localhost:2379"));
        for other in ["http://localhost:8080", "http://example.com", "http://localhost", "null", "file://", ""] {
            assert!(!own(other), "{other}");
        }
        assert!(is_of_own_origin(&headers(&[(HOST, "localhost:2379")])), "no browser");
    }

    #[test]
    fn only_an_upgrade_to_a_websocket_asks_for_one() {
        assert!(is_asked(&headers(&[(CONNECTION, "keep-alive, Upgrade"), (UPGRADE, "WebSocket")])));
        assert!(!is_asked(&headers(&[(CONNECTION, "keep-alive"), (UPGRADE, "websocket")])));
        assert!(!is_asked(&headers(&[(CONNECTION, "Upgrade"), (UPGRADE, "h2c")])));
    }

    fn text(text: &str) -> Result<Message, Error> {
        Ok(Message::text(text))
    }

    #[tokio::test]
    async fn a_client_that_only_pings_is_cut_off() {
        let (requests, mut taken) = mpsc::channel(REQUESTS_MAX);
        let ping = || Ok(Message::Ping(Bytes::new()));
        let few = stream::iter((0..CLIENT_PINGS_MAX).map(|_| ping())).chain(stream::iter([text("{}")]));
        assert_eq!(read(few, requests.clone(), true).await, None, "until the client has gone");
        assert_eq!(taken.recv().await.expect("a request"), "{}");
        let end = read(stream::repeat_with(ping), requests, true).await;
        assert_eq!(end.expect("an end").0, CloseCode::Policy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_gone() {
        let begun = Instant::now();
        let (requests, _taken) = mpsc::channel(REQUESTS_MAX);
        assert_eq!(read(stream::pending(), requests, true).await, None);
        assert_eq!(begun.elapsed(), SILENCE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_no_answer_is_given_up() {
        let begun = Instant::now();
        // Room for one.
        let (mut sink, _taken) = futures::channel::mpsc::channel::<Message>(0);
        let answers = stream::repeat_with(|| Utf8Bytes::from_static("{}"));
        assert_eq!(write(&mut sink, answers).await, None);
        assert_eq!(begun.elapsed(), SEND_TIMEOUT);
    }

    #[test]
    fn a_message_is_whole_requests() {
        for (message, expected) in [
            ("{} {}", Content::Requests),
            ("nonsense", Content::Requests),
            ("", Content::Nothing),
            (" \n", Content::Nothing),
            ("{} {", Content::Incomplete),
            ("{\"a\":\"", Content::Incomplete),
        ] {
            assert_eq!(content(message.as_bytes()), expected, "{message:?}");
        }
    }
}
