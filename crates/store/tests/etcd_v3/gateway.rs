//! The API as JSON: the same requests to etcd itself and to a member here, and what is this store's own.

mod auth;
mod websocket;

use std::net::SocketAddr;
use std::process::Stdio;

use base64::Engine as _;
use http::{StatusCode, Version};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::ports::free_addresses;
use crate::web::Web;
use crate::{PATIENCE, eventually};

/// How two answers must compare, the values of headers apart.
#[derive(Clone, Copy, PartialEq)]
enum Like {
    /// The same.
    Same,
    /// The same fields with values of the same kinds.
    Shape,
    /// At least the same fields: a later version of etcd has added some.
    More,
}

use Like::{More, Same, Shape};

/// In this order, on a store that is empty before the first.
const REQUESTS: &[(Like, &str, &str)] = &[
    (Same, "kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#),
    (Same, "kv/put", r#"{"key":"Zm9v","value":"YmF6","prev_kv":true}"#),
    (Same, "kv/put", r#"{"key":"Zm9vMg==","value":"YmF6","lease":"12345"}"#),
    (Same, "kv/put", r#"{"key":"bm9uZQ==","ignore_value":true}"#),
    (Same, "kv/range", r#"{"key":"Zm9v"}"#),
    (Same, "kv/range", r#"{"key":"Zm9v","bogus":1}"#),
    (Same, "kv/range", r#"{"key":"Zm9v","revision":"2"}"#),
    (Same, "kv/range", r#"{"key":"Zm9v","revision":2,"serializable":true}"#),
    (Same, "kv/range", r#"{"key":"AA==","range_end":"AA==","count_only":true}"#),
    (Same, "kv/range", r#"{"key":"AA==","rangeEnd":"AA==","keysOnly":true,"limit":"1"}"#),
    (Same, "kv/range", r#"{"key":"Zm9v","sortOrder":"ASCEND","sort_target":4,"limit":"1"}"#),
    (Same, "kv/range", r#"{"key":"bm9uZQ=="}"#),
    (Same, "kv/range", r#"{"key":""}"#),
    (Same, "kv/range", ""),
    (Same, "kv/range", r#"{"key":"Zm9v"} and more"#),
    (Same, "kv/range", r#"{"key":"Zm9v","revision":"999"}"#),
    (Shape, "kv/range", r#"{"key":"Zm9v""#),
    (Shape, "kv/range", r#"{"key":"!!"}"#),
    (Shape, "kv/range", r#"{"key":5}"#),
    (Shape, "kv/range", r#"{"key":"Zm9v","limit":"many"}"#),
    (Shape, "kv/range", r#"{"key":"Zm9v","sort_order":"BOGUS"}"#),
    (Shape, "kv/range", "[]"),
    (Shape, "kv/range", "nonsense"),
    (
        Same,
        "kv/txn",
        r#"{"compare":[{"key":"Zm9v","target":"VERSION","result":"GREATER","version":"0"}],
            "success":[{"requestRange":{"key":"Zm9v"}},{"request_put":{"key":"YQ==","value":"Yg=="}}],
            "failure":[{"request_delete_range":{"key":"YQ=="}}]}"#,
    ),
    (
        Same,
        "kv/txn",
        r#"{"compare":[{"key":"Zm9v","target":"VALUE","value":"bm8="}],
            "failure":[{"request_txn":{"success":[{"request_delete_range":{"key":"YQ==","prev_kv":true}}]}}]}"#,
    ),
    (Same, "kv/txn", r#"{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}"#),
    (Same, "kv/deleterange", r#"{"key":"Zm9v","prev_kv":true}"#),
    (Same, "kv/deleterange", r#"{"key":"Zm9v"}"#),
    (Same, "kv/compaction", r#"{"revision":"3"}"#),
    (Same, "kv/compaction", r#"{"revision":"3"}"#),
    (Same, "kv/compaction", r#"{"revision":"999"}"#),
    (Same, "kv/range", r#"{"key":"Zm9v","revision":"2"}"#),
    (Same, "lease/grant", r#"{"TTL":100,"ID":"7"}"#),
    (Same, "lease/grant", r#"{"TTL":"100","ID":7}"#),
    (Same, "lease/grant", r#"{"TTL":"9000000001"}"#),
    (Same, "kv/put", r#"{"key":"bGVhc2Vk","lease":7}"#),
    (Shape, "lease/timetolive", r#"{"ID":"7","keys":true}"#),
    (Same, "kv/lease/timetolive", r#"{"ID":77}"#),
    (Same, "lease/keepalive", r#"{"ID":"7"}"#),
    (Same, "lease/keepalive", r#"{"ID":"77"}"#),
    (Same, "lease/leases", "{}"),
    (Same, "kv/lease/leases", "{}"),
    (Same, "lease/revoke", r#"{"ID":"77"}"#),
    (Same, "kv/lease/revoke", r#"{"ID":"7"}"#),
    (Same, "lease/leases", "{}"),
    (More, "maintenance/status", "{}"),
    (Same, "maintenance/alarm", "{}"),
    (Same, "maintenance/transfer-leadership", r#"{"targetID":"1"}"#),
    (Same, "election/leader", r#"{"name":"ZQ=="}"#),
    (Same, "lease/grant", r#"{"TTL":"100","ID":"8"}"#),
    (Same, "lock/lock", r#"{"name":"bA==","lease":"8"}"#),
    (Same, "lock/unlock", r#"{"key":"bC84"}"#),
    (Same, "election/campaign", r#"{"name":"ZQ==","lease":"8","value":"bWU="}"#),
    (Same, "election/leader", r#"{"name":"ZQ=="}"#),
    (Shape, "watch", r#"{"bad":"#),
    (Same, "nothing", "{}"),
];

/// etcd 3.5 itself, one member.
struct Etcd {
    address: SocketAddr,
    _child: tokio::process::Child,
    _folder: tempfile::TempDir,
}

impl Etcd {
    async fn start() -> Self {
        let variable = "KEELSON_TEST_ETCD_35";
        let program = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} must be the path of that etcd"));
        let folder = tempfile::tempdir().expect("a folder");
        let [client, peer] = free_addresses();
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let child = tokio::process::Command::new(program)
            .arg("--data-dir")
            .arg(folder.path())
            .args(["--name", "e1", "--log-level", "error", "--initial-cluster", &format!("e1={peer_url}")])
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("etcd starts");
        let etcd = Self { address: client, _child: child, _folder: folder };
        eventually("etcd", || async {
            let answer = Web::new(client).try_send("GET", "/health", "").await.ok()?;
            (answer.status == StatusCode::OK).then_some(())
        })
        .await;
        etcd
    }
}

/// Without what differs between any two clusters.
fn comparable(value: &Value, like: Like) -> Value {
    match value {
        Value::Object(fields) => {
            let of = |(name, value): (&String, &Value)| {
                let inner = if name == "header" { Shape } else { like };
                (name.clone(), comparable(value, inner))
            };
            Value::Object(fields.iter().map(of).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| comparable(item, like)).collect()),
        Value::String(_) if like != Same => json!("text"),
        Value::Number(_) if like != Same => json!(0),
        other => other.clone(),
    }
}

fn lacks(theirs: &Value, ours: &Value) -> Vec<String> {
    let (Value::Object(theirs), Value::Object(ours)) = (theirs, ours) else { return vec![] };
    theirs.iter().filter(|(name, value)| ours.get(*name) != Some(value)).map(|(name, _)| name.clone()).collect()
}

#[tokio::test]
async fn requests_are_answered_as_etcd_answers_them() {
    let (etcd, cluster) = tokio::join!(Etcd::start(), async { Cluster::start(false) });
    // Some requests are for the leader.
    let (leader, _) = cluster.leader_and_follower().await;
    let (theirs, ours) = (Web::new(etcd.address), Web::new(cluster.members[leader].address));
    let mut differences = Vec::new();
    for (like, path, body) in REQUESTS {
        let path = format!("/v3/{path}");
        let (their, our) = (theirs.post(&path, body).await, ours.post(&path, body).await);
        let (their_value, our_value) = (comparable(&their.1, *like), comparable(&our.1, *like));
        let alike = match like {
            Same | Shape => their_value == our_value,
            More => lacks(&their_value, &our_value).is_empty(),
        };
        if their.0 != our.0 || !alike {
            differences.push(format!("{path} {body}\n  etcd: {} {}\n  here: {} {}", their.0, their.1, our.0, our.1));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn other_methods_are_refused_as_etcd_refuses_them() {
    let (etcd, cluster) = (Etcd::start().await, Cluster::shared());
    for method in ["GET", "PUT", "DELETE"] {
        let theirs = Web::new(etcd.address).send(method, "/v3/kv/range", "{}").await;
        let ours = Web::new(cluster.members[0].address).send(method, "/v3/kv/range", "{}").await;
        assert_eq!((ours.status, &ours.content_type), (theirs.status, &theirs.content_type), "{method}");
        assert_eq!(ours.text().await.trim(), theirs.text().await.trim());
    }
}

#[tokio::test]
async fn a_watch_is_a_line_for_each_answer_and_outlives_its_request() {
    let (etcd, cluster) = tokio::join!(Etcd::start(), async { Cluster::start(false) });
    let mut answers = Vec::new();
    for address in [etcd.address, cluster.members[1].address] {
        let web = Web::new(address);
        web.post("/v3/kv/put", r#"{"key":"d2F0Y2g=","value":"MQ=="}"#).await;
        let create = r#"{"create_request":{"key":"d2F0Y2g=","start_revision":"2"}}"#;
        let mut page = web.send("POST", "/v3/watch", create).await;
        assert_eq!((page.status, page.content_type.as_str()), (StatusCode::OK, "application/json"));
        let mut lines = Vec::new();
        for _ in 0..2 {
            lines.push(comparable(&page.line().await.expect("a line"), Same));
        }
        assert!(page.is_open().await);
        web.post("/v3/kv/deleterange", r#"{"key":"d2F0Y2g="}"#).await;
        lines.push(comparable(&page.line().await.expect("a line"), Same));
        answers.push(lines);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1][2]["result"]["events"][0]["type"], "DELETE");
}

#[tokio::test]
async fn many_requests_of_one_stream_are_answered_one_by_one() {
    let cluster = Cluster::shared();
    let web = Web::new(cluster.members[0].address);
    let requests = r#"{"create_request":{"key":"YQ=="}} {"create_request":{"key":"Yg==","watch_id":"5"}}
        {"cancel_request":{"watch_id":5}}{"create_request":{"key":"YQ==","start_revision":"-1"}}"#;
    let mut page = web.send("POST", "/v3/watch", requests).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let line = page.line().await.expect("a line");
        seen.push((
            line["result"]["created"].clone(),
            line["result"]["canceled"].clone(),
            line["result"]["watch_id"].clone(),
        ));
    }
    let (yes, no) = (json!(true), Value::Null);
    assert_eq!(
        seen,
        [
            (yes.clone(), no.clone(), no.clone()),
            (yes.clone(), no.clone(), json!("5")),
            (no, yes.clone(), json!("5")),
            (yes.clone(), yes, json!("-1")),
        ]
    );
}

#[tokio::test]
async fn json_goes_over_tls_by_both_versions_of_http() {
    let cluster = Cluster::shared_with_tls();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let tls = cluster.client_tls.clone();
        let web = Web { version, tls, ..Web::new(cluster.members[0].address) };
        let (status, answer) = web.post("/v3/kv/put", r#"{"key":"Z2F0ZXdheS90bHM=","value":"MQ=="}"#).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(answer["header"]["revision"].is_string(), "{answer}");
        assert_eq!(web.send("GET", "/health", "").await.version, version);
    }
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_is_refused() {
    let cluster = Cluster::shared();
    let web = Web::new(cluster.members[0].address);
    let value = |bytes: usize| base64::engine::general_purpose::STANDARD.encode(vec![7; bytes]);
    let put = |bytes: usize| json!({"key": "bGFyZ2U=", "value": value(bytes)}).to_string();
    assert_eq!(web.post("/v3/kv/put", &put(1 << 20)).await.0, StatusCode::OK);
    let (status, refused) = web.post("/v3/kv/put", &put(1700 << 10)).await;
    assert_eq!((status, &refused["error"]), (StatusCode::BAD_REQUEST, &json!("etcdserver: request is too large")));
    let (status, refused) = web.post("/v3/kv/put", &put(4 << 20)).await;
    assert_eq!((status, &refused["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!(8)), "{refused}");
    let depth = 5000;
    let nested = r#"{"success":[{"request_txn":"#.repeat(depth) + "{}" + &"}]}".repeat(depth);
    let (status, refused) = web.post("/v3/kv/txn", &nested).await;
    assert_eq!((status, &refused["code"]), (StatusCode::BAD_REQUEST, &json!(3)), "{refused}");
}

#[tokio::test]
async fn metadata_goes_along_in_marked_headers() {
    let mut cluster = Cluster::start(false);
    cluster.keep_a_follower().await;
    let mut web = Web::new(cluster.members[0].address);
    let mut leadership = cluster.members[0].handle.leadership();
    let lost = leadership.wait_for(|now| now.leader_id.is_none());
    tokio::time::timeout(PATIENCE, lost).await.expect("the loss in time").expect("the member runs");
    let read = r#"{"key":"YQ==","serializable":true}"#;
    assert_eq!(web.post("/v3/kv/range", read).await.0, StatusCode::OK);
    web.headers.push(("grpc-metadata-hasleader", "true".to_owned()));
    // The port asks now and then whether a leader answers, and may not have noticed yet.
    let noticed = tokio::time::timeout(PATIENCE, async {
        loop {
            let answer = web.post("/v3/kv/range", read).await;
            if answer.0 != StatusCode::OK {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    });
    let (status, refused) = noticed.await.expect("the loss is noticed in time");
    assert_eq!((status, &refused["message"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("etcdserver: no leader")));
}
