//! Certificate signing requests: who is told to have asked, and who may approve and sign for which signer.

use http::Method;
use serde_json::{Value, json};

use crate::access::{JSON, RBAC, binding, jane, post};
use crate::member::{Answer, Member};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const GROUP: &str = "certificates.k8s.io";

fn request(name: &str) -> Value {
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {
            "request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K", "signerName": "example.com/signer",
            "usages": ["client auth"],
        },
    })
}

async fn allow(member: &Member, name: &str, rules: Value) {
    let role = json!({"metadata": {"name": name}, "rules": rules});
    member.post(&format!("{RBAC}/clusterroles"), &role).await.expect(201);
    let binding = binding(name, "ClusterRole", name, "developers");
    member.post(&format!("{RBAC}/clusterrolebindings"), &binding).await.expect(201);
}

fn speaks_for(verb: &str, signer: &str) -> Value {
    json!([{"verbs": [verb], "apiGroups": [GROUP], "resources": ["signers"], "resourceNames": [signer]}])
}

async fn send(member: &Member, method: Method, path: &str, content_type: &str, body: &Value) -> Answer {
    member.send_as(jane(), method, path, &[("content-type", content_type)], body.to_string()).await
}

#[tokio::test]
async fn who_applies_a_request_is_who_asks() {
    let member = Member::start().await;
    let rules =
        json!([{"verbs": ["create", "patch"], "apiGroups": [GROUP], "resources": ["certificatesigningrequests"]}]);
    allow(&member, "asks", rules).await;
    let mut forged = request("c");
    forged["spec"]["username"] = "system:node:n1".into();
    forged["spec"]["groups"] = json!(["system:nodes"]);
    forged["spec"]["uid"] = "1".into();
    forged["spec"]["extra"] = json!({"a": ["b"]});
    let path = format!("{REQUESTS}/c?fieldManager=jane");
    let made = send(&member, Method::PATCH, &path, "application/apply-patch+yaml", &forged).await.expect(201);
    assert_eq!(made["spec"]["username"], "jane", "{made}");
    assert_eq!(made["spec"]["groups"], json!(["developers", "system:authenticated"]));
    assert!(made["spec"]["uid"].is_null() && made["spec"]["extra"].is_null(), "{made}");
}

#[tokio::test]
async fn to_approve_takes_the_right_to_speak_for_the_signer() {
    let member = Member::start().await;
    member.post(REQUESTS, &request("c")).await.expect(201);
    let rules = json!([{"verbs": ["update", "patch"], "apiGroups": [GROUP],
        "resources": ["certificatesigningrequests/approval"]}]);
    allow(&member, "approves", rules).await;
    allow(&member, "others", speaks_for("approve", "example.com/other")).await;
    allow(&member, "signs", speaks_for("sign", "example.com/signer")).await;
    let status = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Fine"}]}});
    let mut whole = request("c");
    whole["status"] = status["status"].clone();
    let path = format!("{REQUESTS}/c/approval");
    let merge = "application/merge-patch+json";
    let applied = format!("{path}?fieldManager=jane");
    for answer in [
        send(&member, Method::PATCH, &path, merge, &status).await,
        send(&member, Method::PUT, &path, JSON.1, &whole).await,
        send(&member, Method::PATCH, &applied, "application/apply-patch+yaml", &whole).await,
    ] {
        let refused = answer.expect(403);
        let why = "cannot approve resource \"signers\" in API group \"certificates.k8s.io\"";
        assert!(refused["message"].as_str().is_some_and(|message| message.contains(why)), "{refused}");
    }
    allow(&member, "speaks", speaks_for("approve", "example.com/signer")).await;
    let approved = send(&member, Method::PATCH, &path, merge, &status).await.expect(200);
    assert_eq!(approved["status"]["conditions"][0]["type"], "Approved", "{approved}");
}

#[tokio::test]
async fn to_sign_takes_the_right_to_speak_for_the_signer() {
    let member = Member::start().await;
    member.post(REQUESTS, &request("c")).await.expect(201);
    let rules = json!([{"verbs": ["update", "patch"], "apiGroups": [GROUP],
        "resources": ["certificatesigningrequests/status"]}]);
    allow(&member, "writes", rules).await;
    allow(&member, "approves", speaks_for("approve", "*")).await;
    let signed = json!({"status": {"certificate": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="}});
    let path = format!("{REQUESTS}/c/status");
    let merge = "application/merge-patch+json";
    let refused = send(&member, Method::PATCH, &path, merge, &signed).await.expect(403);
    let why = "cannot sign resource \"signers\"";
    assert!(refused["message"].as_str().is_some_and(|message| message.contains(why)), "{refused}");
    let mut whole = request("c");
    whole["status"] = signed["status"].clone();
    send(&member, Method::PUT, &path, JSON.1, &whole).await.expect(403);
    // What neither answers nor signs needs nothing more.
    send(&member, Method::PUT, &path, JSON.1, &request("c")).await.expect(200);
    // A right over a whole domain reaches all of its signers.
    allow(&member, "speaks", speaks_for("sign", "example.com/*")).await;
    let signed = send(&member, Method::PATCH, &path, merge, &signed).await.expect(200);
    assert!(signed["status"]["certificate"].is_string(), "{signed}");
    post(&member, jane(), REQUESTS, &request("d")).await.expect(403);
}
