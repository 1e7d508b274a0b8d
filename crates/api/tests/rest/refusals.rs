//! Bad input: each gets one Status that says what is wrong and where.

use http::Method;
use keelson_api::pipeline::Identity;
use serde_json::json;

use crate::member::Member;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const STRICT_MAPS: &str = "/api/v1/namespaces/default/configmaps?fieldValidation=Strict";
const JSON: (&str, &str) = ("content-type", "application/json");
const YAML: (&str, &str) = ("content-type", "application/yaml");

#[tokio::test]
async fn nobody_gets_in_without_a_certificate_of_ours() {
    let member = Member::start().await;
    for identity in [Identity::Missing, Identity::Unverified("another CA".to_owned())] {
        for path in ["/api", "/version", "/openapi/v3", "/api/v1/pods", "/no/such/path"] {
            let answer = member.send_as(identity.clone(), Method::GET, path, &[], "").await;
            let status = answer.expect(401);
            assert_eq!(
                (status["kind"].as_str(), status["reason"].as_str()),
                (Some("Status"), Some("Unauthorized")),
                "{path}"
            );
        }
        // Probes have none.
        assert_eq!(member.send_as(identity, Method::GET, "/readyz", &[], "").await.text, "ok");
    }
}

/// A request that must be refused.
struct Case {
    what: &'static str,
    method: Method,
    path: &'static str,
    header: (&'static str, &'static str),
    body: String,
    code: u16,
    /// What the message must contain.
    words: &'static str,
}

impl Case {
    fn get(what: &'static str, path: &'static str, code: u16, words: &'static str) -> Case {
        Case {
            what,
            method: Method::GET,
            path,
            header: ("accept", "application/json"),
            body: String::new(),
            code,
            words,
        }
    }

    fn post(what: &'static str, body: impl ToString, code: u16, words: &'static str) -> Case {
        Case { what, method: Method::POST, path: MAPS, header: JSON, body: body.to_string(), code, words }
    }
}

fn cases() -> Vec<Case> {
    let named = |name: &str| json!({"metadata": {"name": name}});
    let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}});
    let misspelt = json!({"metadata": {"name": "x"}, "dta": {}});
    let misplaced = json!({"metadata": {"name": "x", "namespace": "other"}});
    let huge = json!({"metadata": {"name": "x"}, "data": {"a": "x".repeat(2 << 20)}});
    let command = json!([{"name": "c", "image": "i", "args": ["x".repeat(2 << 20)]}]);
    let huge_pod = json!({"metadata": {"name": "x"}, "spec": {"containers": command}});
    vec![
        Case::get("an unknown path", "/apis/nobody/v1/things", 404, "could not find the requested resource"),
        Case { method: Method::POST, ..Case::get("a method that is not there", "/version", 405, "does not allow") },
        Case::post("malformed JSON", "{\"kind\": ", 400, "line 1"),
        Case { header: YAML, ..Case::post("malformed YAML", "a: 1\n  b: 2", 400, "line 2") },
        Case::post("another kind", secret, 400, "Secret"),
        Case { path: STRICT_MAPS, ..Case::post("an unknown field", misspelt, 400, "unknown field \"dta\"") },
        Case::post("a wrong type", json!({"metadata": {"name": "x"}, "data": {"a": 1}}), 400, "data"),
        Case::post("a bad name", named("Not_A_Name"), 422, "metadata.name"),
        Case::post("another namespace", misplaced, 400, "namespace"),
        Case {
            path: "/api/v1/namespaces/nowhere/configmaps",
            ..Case::post("a namespace that is not there", named("x"), 404, "nowhere")
        },
        Case::get("a bad selector", "/api/v1/pods?labelSelector=a%20in%20b", 400, ""),
        Case::get(
            "a field that nobody selects",
            "/api/v1/pods?fieldSelector=spec.x%3D1",
            400,
            "field label not supported",
        ),
        Case::get("a forged token", "/api/v1/pods?limit=1&continue=nonsense", 400, "continue"),
        Case {
            header: ("content-type", "text/plain"),
            ..Case::post("a type of body that is not read", "x", 415, "accepted media types")
        },
        Case {
            method: Method::PATCH,
            path: "/api/v1/namespaces/default/configmaps/x",
            header: ("content-type", "application/apply-patch+yaml"),
            ..Case::post("an apply by nobody", "{}", 422, "fieldManager: Required value")
        },
        Case {
            header: ("accept", "text/html"),
            ..Case::get("an answer that is not written", MAPS, 406, "application/json")
        },
        Case::post("a body that is too large", " ".repeat(4 << 20), 413, "too large"),
        Case {
            path: "/api/v1/namespaces/default/pods",
            ..Case::post("an object that is too large", huge_pod, 413, "too large")
        },
        // A ConfigMap's data has a bound of its own.
        Case::post("a ConfigMap that is too large", huge, 422, "Too long: may not be more than 1048576 bytes"),
    ]
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() {
    let member = Member::start().await;
    for Case { what, method, path, header, body, code, words } in cases() {
        let answer = member.send(method, path, &[header], body).await;
        let status = answer.json();
        assert_eq!(answer.code.as_u16(), code, "{what}: {status}");
        assert_eq!((status["kind"].as_str(), status["code"].as_u64()), (Some("Status"), Some(code.into())), "{what}");
        assert!(status["message"].as_str().is_some_and(|message| message.contains(words)), "{what}: {status}");
        assert!(answer.headers.contains_key("audit-id"), "{what}");
    }
}

#[tokio::test]
async fn an_unknown_field_is_a_warning_by_default() {
    let member = Member::start().await;
    let answer = member.post(MAPS, &json!({"metadata": {"name": "w"}, "dta": {}})).await;
    answer.expect(201);
    assert_eq!(answer.headers["warning"], r#"299 - "unknown field \"dta\"""#);
    let answer =
        member.post(&format!("{MAPS}?fieldValidation=Ignore"), &json!({"metadata": {"name": "i"}, "dta": {}})).await;
    answer.expect(201);
    assert!(!answer.headers.contains_key("warning"));
}

#[tokio::test]
async fn what_had_better_not_be_said_is_a_warning() {
    let member = Member::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let twice = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", "env": twice}]}});
    let answer = member.post(pods, &pod).await;
    answer.expect(201);
    assert_eq!(
        answer.headers["warning"],
        r#"299 - "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply""#
    );
    let labelled = member.patch(&format!("{pods}/p"), "merge", &json!({"metadata": {"labels": {"a": "b"}}})).await;
    labelled.expect(200);
    assert!(!labelled.headers.contains_key("warning"));
    // A kind that is out of date is, whatever is done with it.
    let old = member.get("/api/v1/namespaces/default/endpoints").await;
    old.expect(200);
    assert_eq!(
        old.headers["warning"],
        r#"299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice""#
    );
}
