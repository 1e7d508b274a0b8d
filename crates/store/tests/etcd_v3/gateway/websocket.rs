//! The API as JSON over WebSockets: the same messages to etcd itself and to a member here, and what is this store's own.

use std::net::SocketAddr;

use futures::{SinkExt as _, StreamExt as _};
use http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Etcd, Like, comparable};
use crate::cluster::Cluster;
use crate::web::Web;
use crate::{PATIENCE, eventually};

struct Socket {
    stream: WebSocketStream<TcpStream>,
    name: String,
    protocol: Option<String>,
}

impl Socket {
    async fn open(address: SocketAddr, path: &str) -> Self {
        Self::try_open(address, path, &[]).await.expect("a WebSocket")
    }

    /// # Errors
    /// The status with which it is refused.
    async fn try_open(address: SocketAddr, path: &str, headers: &[(HeaderName, String)]) -> Result<Self, StatusCode> {
        let mut request = format!("ws://{address}/v3/{path}").into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(name, HeaderValue::try_from(value).expect("a header"));
        }
        let tcp = TcpStream::connect(address).await.expect("a connection");
        let opened = tokio::time::timeout(PATIENCE, tokio_tungstenite::client_async(request, tcp));
        match opened.await.expect("an answer in time") {
            Ok((stream, response)) => {
                let protocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
                let protocol = protocol.map(|name| name.to_str().expect("text").to_owned());
                Ok(Self { stream, name: format!("{path} of {address}"), protocol })
            }
            Err(Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("no WebSocket: {error}"),
        }
    }

    async fn say(&mut self, message: impl Into<String>) {
        self.stream.send(Message::text(message.into())).await.expect("the message is sent");
    }

    async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        let next = next.unwrap_or_else(|_| panic!("{} says nothing in time", self.name));
        next.expect("a message").expect("a message that arrives")
    }

    async fn hear(&mut self) -> Value {
        match self.message().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("{other:?} is no text"),
        }
    }

    /// How it ends, when nothing else is said before.
    async fn end(&mut self) -> CloseCode {
        match self.message().await {
            Message::Close(Some(end)) => end.code,
            other => panic!("{} says {other:?} instead of its end", self.name),
        }
    }

    async fn ask(&mut self, message: &str) -> Value {
        self.say(message).await;
        self.hear().await
    }
}

#[tokio::test]
async fn watches_and_leases_are_kept_by_messages_as_with_etcd() {
    let (etcd, cluster) = tokio::join!(Etcd::start(), async { Cluster::start(false) });
    let mut heard = Vec::new();
    for address in [etcd.address, cluster.members[1].address] {
        let web = Web::new(address);
        let mut answers = Vec::new();

        let mut watch = Socket::open(address, "watch").await;
        answers.push(watch.ask(r#"{"create_request":{"key":"d3Mx"}}"#).await);
        answers.push(watch.ask(r#"{"create_request":{"key":"d3My","watch_id":"7"}}"#).await);
        for key in ["d3Mx", "d3My"] {
            web.post("/v3/kv/put", &json!({"key": key, "value": "MQ=="}).to_string()).await;
            answers.push(watch.hear().await);
        }
        answers.push(watch.ask(r#"{"cancel_request":{"watch_id":"7"}}"#).await);
        web.post("/v3/kv/deleterange", r#"{"key":"d3Mx"}"#).await;
        answers.push(watch.hear().await);

        web.post("/v3/lease/grant", r#"{"TTL":"100","ID":"7"}"#).await;
        let mut lease = Socket::open(address, "lease/keepalive").await;
        for id in ["7", "77", "7"] {
            answers.push(lease.ask(&json!({"ID": id}).to_string()).await);
        }
        heard.push(answers.iter().map(|answer| comparable(answer, Like::Same)).collect::<Vec<_>>());
    }
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[1][3]["result"]["watch_id"], "7");
    assert_eq!(heard[1][6]["result"]["TTL"], "100");
}

#[tokio::test]
async fn what_is_no_stream_is_a_message_each_way_and_ends_its_websocket() {
    let cluster = Cluster::shared();
    // etcd waits for the end of the messages first, which is the end of the WebSocket, too.
    let mut range = Socket::open(cluster.members[0].address, "kv/range").await;
    assert!(range.ask(r#"{"key":"YQ=="}"#).await["header"].is_object());
    let mut refused = Socket::open(cluster.members[0].address, "kv/range").await;
    assert_eq!(refused.ask(r#"{"key":""}"#).await["error"], "etcdserver: key is not provided");
    let Message::Close(Some(end)) = range.message().await else { panic!("it should end") };
    assert_eq!(end.code, CloseCode::Normal);

    let mut watch = Socket::open(cluster.members[0].address, "watch").await;
    assert_eq!(watch.ask("[]").await["code"], 2);
    assert!(matches!(watch.message().await, Message::Close(Some(_))));
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_its_websocket() {
    let cluster = Cluster::shared();
    let mut watch = Socket::open(cluster.members[0].address, "watch").await;
    assert_eq!(watch.ask(r#"{"create_request":{"key":"YQ=="}}"#).await["result"]["created"], true);
    // More than a gRPC message, but less than its JSON may be.
    let large = |bytes: usize| json!({"progress_request": {}, "filler": "x".repeat(bytes)}).to_string();
    assert!(watch.ask(&large(3 << 20)).await["result"].is_object());
    // The other side may end it before all is sent.
    drop(watch.stream.send(Message::text(large(5 << 20))).await);
    match tokio::time::timeout(PATIENCE, watch.stream.next()).await.expect("an end in time") {
        Some(Ok(Message::Close(Some(end)))) => assert_eq!(end.code, CloseCode::Size),
        // What it says may be lost with what it did not read.
        Some(Err(_)) | None => {}
        Some(Ok(other)) => panic!("{other:?} is an answer"),
    }
}

#[tokio::test]
async fn the_token_comes_with_the_protocols() {
    let cluster = Cluster::start_with(false, |options| options.auth.bcrypt_cost = 4);
    let address = cluster.members[0].address;
    let (_, alice) = super::auth::set_up(&Web::new(address)).await;
    let range = async |protocols: Option<String>, body: &str| {
        let headers: Vec<_> = protocols.into_iter().map(|text| (SEC_WEBSOCKET_PROTOCOL, text)).collect();
        let mut socket = Socket::try_open(address, "kv/range", &headers).await.expect("a WebSocket");
        (socket.protocol.clone(), socket.ask(body).await["error"].clone())
    };
    let (own, other) = (r#"{"key":"YTE="}"#, r#"{"key":"YjE="}"#);
    let bearer = Some("Bearer".to_owned());
    let alices = Some(format!("Bearer, {alice}"));
    assert_eq!(range(alices.clone(), own).await, (bearer.clone(), Value::Null));
    assert_eq!(range(alices, other).await, (bearer.clone(), json!("etcdserver: permission denied")));
    let wrong = Some("Bearer, wrong.17".to_owned());
    assert_eq!(range(wrong, own).await, (bearer, json!("etcdserver: invalid auth token")));
    assert_eq!(range(None, own).await, (None, json!("etcdserver: user name is empty")));
}

#[tokio::test]
async fn what_cannot_be_a_websocket_is_refused() {
    let cluster = Cluster::shared();
    let address = cluster.members[0].address;
    let open = async |path: &str, headers: &[(HeaderName, String)]| {
        Socket::try_open(address, path, headers).await.map(drop).err()
    };
    assert_eq!(open("nothing", &[]).await, Some(StatusCode::NOT_FOUND));
    let version = HeaderName::from_static("sec-websocket-version");
    assert_eq!(open("watch", &[(version, "8".to_owned())]).await, Some(StatusCode::BAD_REQUEST));
    let elsewhere = [(ORIGIN, "http://example.com".to_owned())];
    assert_eq!(open("watch", &elsewhere).await, Some(StatusCode::FORBIDDEN));
    let here = [(ORIGIN, format!("http://{address}")), (HOST, address.to_string())];
    assert_eq!(open("watch", &here).await, None);
}

#[tokio::test]
async fn more_websockets_than_allowed_are_refused_and_nothing_else_is() {
    // A WebSocket has left its connection, whose place another one takes.
    let cluster = Cluster::start_with(false, |options| options.etcd.connections_max = 1);
    let address = cluster.members[0].address;
    let mut first = Socket::open(address, "watch").await;
    let create = r#"{"create_request":{"key":"YQ=="}}"#;
    assert_eq!(first.ask(create).await["result"]["created"], true);

    let upgrade = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let headers = upgrade.map(|(name, value)| (name, value.to_owned())).to_vec();
    let refused = Web { headers, ..Web::new(address) }.get("/v3/watch").await;
    assert_eq!(refused, (StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets\n".to_owned()));
    assert_eq!(Web::new(address).post("/v3/kv/range", r#"{"key":"YQ=="}"#).await.0, StatusCode::OK);
    assert_eq!(first.ask(create).await["result"]["watch_id"], "1", "the one inside goes on");

    drop(first);
    eventually("the place of the one that has gone", || async {
        Socket::try_open(address, "watch", &[]).await.ok().map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_member_that_stops_ends_its_websockets_in_good_order() {
    let mut cluster = Cluster::start(false);
    let address = cluster.members[0].address;
    let mut watch = Socket::open(address, "watch").await;
    assert_eq!(watch.ask(r#"{"create_request":{"key":"YQ=="}}"#).await["result"]["created"], true);
    let mut lease = Socket::open(address, "lease/keepalive").await;
    assert_eq!(lease.ask(r#"{"ID":"77"}"#).await["result"]["ID"], "77");
    // Nothing was asked for here yet, so no call can say that it ends.
    let mut silent = Socket::open(address, "kv/range").await;

    cluster.members[0].stop.cancel();
    for called in [&mut watch, &mut lease] {
        assert_eq!(called.hear().await["error"]["message"], "etcdserver: server stopped", "{}", called.name);
        assert_eq!(called.end().await, CloseCode::Normal, "{}", called.name);
    }
    assert_eq!(silent.end().await, CloseCode::Away);
    cluster.stopped(0).await;
}
