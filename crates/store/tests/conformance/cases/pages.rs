//! What is served beside gRPC: pages, and the API as JSON.

use serde_json::Value;

use crate::run::{Run, refusal};
use crate::web::Web;

/// What an answer is, without what is every server's own.
async fn seen(run: &Run, method: &str, path: &str, body: &str) -> String {
    let web = Web::new(run.address);
    let asked = async {
        let page = web.send(method, path, body).await;
        let (status, kind) = (page.status.as_u16(), page.content_type.clone());
        format!("{status} {kind} {}", shown(&page.text().await))
    };
    run.patience.wait(asked).await.unwrap_or_else(|late| refusal(&late))
}

fn shown(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        // A refusal in a library's own words is told by its code alone.
        Ok(Value::Object(mut fields)) if fields.contains_key("code") => {
            let message = fields.remove("message").unwrap_or_default();
            let own = message.as_str().filter(|message| message.starts_with("etcdserver: "));
            format!("code {} {}", fields["code"], own.unwrap_or("some words"))
        }
        Ok(Value::Object(mut fields)) => {
            fields.remove("header");
            for own in ["etcdserver", "etcdcluster", "storage"] {
                if let Some(version) = fields.get_mut(own) {
                    *version = "a version".into();
                }
            }
            Value::Object(fields).to_string()
        }
        _ if text.len() > 100 => "long".to_owned(),
        _ => format!("{text:?}"),
    }
}

pub async fn http(run: &mut Run) {
    run.group("pages").await;
    for (method, path) in [
        ("GET", "/health"),
        ("GET", "/health?serializable=true"),
        ("GET", "/health?exclude=NOSPACE"),
        ("POST", "/health"),
        ("GET", "/version"),
        ("POST", "/version"),
        ("GET", "/metrics"),
        ("POST", "/metrics"),
        ("GET", "/nothing"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/v3/kv/range"),
        ("PUT", "/v3/kv/range"),
        ("POST", "/v3/nothing"),
        ("GET", "/"),
        ("OPTIONS", "/v3/kv/range"),
    ] {
        let answer = seen(run, method, path, "").await;
        run.note(format!("{method} {path}"), answer);
    }
    let web = Web::new(run.address);
    let page = run.patience.wait(async { web.get("/metrics").await.1 }).await.expect("a page");
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    run.metrics = kinds.filter_map(|kind| kind.split(' ').next()).map(str::to_owned).collect();
}

pub async fn json(run: &mut Run) {
    run.group("JSON").await;
    for (path, body) in [
        ("/v3/kv/put", r#"{"key":"anNvbg==","value":"MQ=="}"#),
        ("/v3/kv/put", r#"{"key":"anNvbg==","value":"Mg==","prev_kv":true,"lease":"999999"}"#),
        ("/v3/kv/range", r#"{"key":"anNvbg==","count_only":true}"#),
        ("/v3beta/kv/range", r#"{"key":"anNvbg==","count_only":true}"#),
        ("/v3/kv/range", "null"),
        ("/v3/kv/range", "{}"),
        ("/v3/kv/range", ""),
        ("/v3/kv/range", r#"{"key":"anNvbg==","limit":1e3,"count_only":true}"#),
        ("/v3/kv/range", r#"{"key":"anNvbg==","limit":1.5}"#),
        ("/v3/kv/range", r#"{"key":"anNvbg==","limit":"1e3"}"#),
        ("/v3/kv/range", r#"{"key":"anNvbg==","limit":99999999999999999999}"#),
        ("/v3/kv/range", r#"{"key":"anNvbg==","limit":-1,"count_only":true}"#),
        ("/v3/kv/range", r#"{"key":"anNvbg==","serializable":"true"}"#),
        ("/v3/kv/range", r#"{"key":"anNvbg==","revision":"999999"}"#),
        ("/v3/kv/range", r#"{"key":null}"#),
        ("/v3/kv/range", r#"{"key":["anNvbg=="]}"#),
        ("/v3/lease/revoke", r#"{"ID":-1}"#),
        ("/v3/lease/timetolive", r#"{"ID":4711}"#),
        ("/v3/auth/user/get", r#"{"name":"nobody"}"#),
        ("/v3/cluster/member/remove", r#"{"ID":"1"}"#),
        ("/v3/maintenance/alarm", r#"{"action":"GET"}"#),
        ("/v3/maintenance/alarm", r#"{"action":"NOTHING"}"#),
        ("/v3/kv/deleterange", r#"{"key":"anNvbg=="}"#),
    ] {
        let answer = seen(run, "POST", path, body).await;
        run.note(format!("{path} {body}"), answer);
    }
}
