//! The API as JSON with authentication on: the same requests, by the same users, to etcd itself and to a member here.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Etcd, Like, comparable};
use crate::cluster::Cluster;
use crate::web::Web;

/// What is in a request's `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq)]
enum As {
    Nobody,
    Token(&'static str),
    /// The token of a user, and a user who may read and write `a`, …, `b`, and read `x`.
    Root,
    Alice,
}

use As::{Alice, Nobody, Root, Token};

/// Keys are `a1`, `b1`, `x`.
const REQUESTS: &[(As, &str, &str)] = &[
    (Nobody, "kv/put", r#"{"key":"YTE=","value":"MQ=="}"#),
    (Nobody, "kv/range", r#"{"key":"YTE="}"#),
    (Nobody, "kv/range", r#"{"key":"YTE=","serializable":true}"#),
    (Nobody, "kv/txn", r#"{"success":[{"request_put":{"key":"YTE="}}]}"#),
    (Nobody, "lease/grant", r#"{"TTL":100,"ID":"7"}"#),
    (Nobody, "auth/user/list", "{}"),
    (Nobody, "auth/status", "{}"),
    (Nobody, "cluster/member/list", "{}"),
    (Nobody, "auth/authenticate", r#"{"name":"alice","password":"wrong"}"#),
    (Nobody, "auth/authenticate", r#"{"name":"nobody","password":"wrong"}"#),
    (Token("wrong"), "kv/put", r#"{"key":"YTE=","value":"MQ=="}"#),
    (Token("wrong.17"), "kv/range", r#"{"key":"YTE="}"#),
    (Token(""), "kv/range", r#"{"key":"YTE="}"#),
    (Token("wrong"), "auth/user/list", "{}"),
    (Alice, "kv/put", r#"{"key":"YTE=","value":"MQ=="}"#),
    (Alice, "kv/range", r#"{"key":"YTE="}"#),
    (Alice, "kv/range", r#"{"key":"YQ==","range_end":"Yg=="}"#),
    (Alice, "kv/range", r#"{"key":"YQ==","range_end":"Yw=="}"#),
    (Alice, "kv/range", r#"{"key":"eA=="}"#),
    (Alice, "kv/put", r#"{"key":"eA==","value":"MQ=="}"#),
    (Alice, "kv/put", r#"{"key":"YjE=","value":"MQ=="}"#),
    (Alice, "kv/deleterange", r#"{"key":"YQ==","range_end":"Yg==","prev_kv":true}"#),
    (Alice, "kv/deleterange", r#"{"key":"AA==","range_end":"AA=="}"#),
    (Alice, "kv/txn", r#"{"success":[{"request_put":{"key":"YTE="}}]}"#),
    (Alice, "kv/txn", r#"{"success":[{"request_put":{"key":"YTE="}},{"request_put":{"key":"YjE="}}]}"#),
    (Alice, "kv/compaction", r#"{"revision":"2"}"#),
    (Alice, "lease/grant", r#"{"TTL":100,"ID":"8"}"#),
    (Alice, "auth/user/list", "{}"),
    (Alice, "auth/user/get", r#"{"name":"alice"}"#),
    (Alice, "auth/disable", "{}"),
    (Root, "kv/put", r#"{"key":"YjE=","value":"Mg=="}"#),
    (Root, "kv/range", r#"{"key":"AA==","range_end":"AA=="}"#),
    (Root, "auth/user/list", "{}"),
    (Root, "auth/role/get", r#"{"role":"alice"}"#),
    (Root, "auth/user/revoke", r#"{"name":"alice","role":"alice"}"#),
    (Alice, "kv/range", r#"{"key":"YTE="}"#),
    (Root, "auth/user/changepw", r#"{"name":"alice","password":"other"}"#),
    (Alice, "kv/range", r#"{"key":"YTE="}"#),
    (Root, "auth/disable", "{}"),
    (Nobody, "kv/range", r#"{"key":"YTE="}"#),
    (Token("wrong"), "kv/range", r#"{"key":"YTE="}"#),
];

/// What etcd 3.5 answers otherwise than its later versions, which this store follows: there, whoever grants a lease or lists
/// members says who it is, compaction is root's, anybody may ask whether authentication is on, and a token means nothing
/// while it is off.
const OTHERWISE: &[(As, &str)] = &[
    (Nobody, "lease/grant"),
    (Nobody, "auth/status"),
    (Nobody, "cluster/member/list"),
    (Alice, "kv/compaction"),
    (Token("wrong"), "kv/range"),
];

async fn token(web: &Web, user: &str) -> String {
    let login = json!({"name": user, "password": "pw"}).to_string();
    let (status, answer) = web.post("/v3/auth/authenticate", &login).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["token"].as_str().expect("a token").to_owned()
}

/// Switches authentication on by JSON; gives the tokens of root and alice.
pub(super) async fn set_up(web: &Web) -> (String, String) {
    for (path, body) in [
        ("auth/user/add", r#"{"name":"root","password":"pw"}"#),
        ("auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("auth/user/add", r#"{"name":"alice","password":"pw"}"#),
        ("auth/role/add", r#"{"name":"alice"}"#),
        ("auth/role/grant", r#"{"name":"alice","perm":{"permType":"READWRITE","key":"YQ==","range_end":"Yg=="}}"#),
        ("auth/role/grant", r#"{"name":"alice","perm":{"permType":"READ","key":"eA=="}}"#),
        ("auth/user/grant", r#"{"user":"alice","role":"alice"}"#),
        ("auth/enable", "{}"),
    ] {
        // etcd has the role root only after it was added.
        if path == "auth/user/grant" && body.contains("root") {
            web.post("/v3/auth/role/add", r#"{"name":"root"}"#).await;
        }
        let (status, answer) = web.post(&format!("/v3/{path}"), body).await;
        assert_eq!(status, StatusCode::OK, "{path} {body}: {answer}");
    }
    (token(web, "root").await, token(web, "alice").await)
}

#[tokio::test]
async fn users_are_let_in_and_refused_as_by_etcd() {
    let start = async { Cluster::start_with(false, |options| options.auth.bcrypt_cost = 4) };
    let (etcd, cluster) = tokio::join!(Etcd::start(), start);
    let (theirs, ours) = (Web::new(etcd.address), Web::new(cluster.members[1].address));
    let (their_tokens, our_tokens) = (set_up(&theirs).await, set_up(&ours).await);
    let mut differences = Vec::new();
    for (user, path, body) in REQUESTS {
        let ask = async |web: &Web, (root, alice): &(String, String)| {
            let token = match user {
                Nobody => None,
                Token(token) => Some((*token).to_owned()),
                Root => Some(root.clone()),
                Alice => Some(alice.clone()),
            };
            let headers = token.map(|token| ("authorization", token)).into_iter().collect();
            let web = Web { headers, ..web.clone() };
            web.post(&format!("/v3/{path}"), body).await
        };
        let (their, our) = (ask(&theirs, &their_tokens).await, ask(&ours, &our_tokens).await);
        let alike = their.0 == our.0 && comparable(&their.1, Like::Same) == comparable(&our.1, Like::Same);
        if alike == OTHERWISE.contains(&(*user, *path)) {
            let seen = format!("etcd: {} {}\n  here: {} {}", their.0, their.1, our.0, our.1);
            differences.push(format!("{user:?} {path} {body}\n  {seen}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn refusals_have_their_codes_and_a_bearer_is_known() {
    let cluster = Cluster::start_with(false, |options| options.auth.bcrypt_cost = 4);
    let web = Web::new(cluster.members[0].address);
    let (_, alice) = set_up(&web).await;
    let range = async |token: Option<String>, body: &str| {
        let headers = token.map(|token| ("authorization", token)).into_iter().collect();
        let (status, answer) = Web { headers, ..web.clone() }.post("/v3/kv/range", body).await;
        (status, answer["code"].clone(), answer["error"].clone())
    };
    let (own, other) = (r#"{"key":"YTE="}"#, r#"{"key":"YjE="}"#);
    let expected = (StatusCode::BAD_REQUEST, json!(3), json!("etcdserver: user name is empty"));
    assert_eq!(range(None, own).await, expected);
    let expected = (StatusCode::UNAUTHORIZED, json!(16), json!("etcdserver: invalid auth token"));
    assert_eq!(range(Some(format!("{alice}x")), own).await, expected);
    let expected = (StatusCode::FORBIDDEN, json!(7), json!("etcdserver: permission denied"));
    assert_eq!(range(Some(alice.clone()), other).await, expected);
    for known in [alice.clone(), format!("Bearer {alice}")] {
        assert_eq!(range(Some(known), own).await, (StatusCode::OK, Value::Null, Value::Null));
    }

    // A watch is refused in its stream, and its token is looked at as that of any call.
    let watch = async |token: &str| {
        let headers = vec![("authorization", token.to_owned())];
        let create = r#"{"create_request":{"key":"YjE="}}"#;
        Web { headers, ..web.clone() }.send("POST", "/v3/watch", create).await.line().await.expect("a line")
    };
    let refused = watch(&alice).await;
    let reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
    assert_eq!((&refused["result"]["canceled"], &refused["result"]["cancel_reason"]), (&json!(true), &json!(reason)));
}
