//! Subresources that are more than a part of their object: approvals and evictions.

use serde_json::json;

use crate::examples::examples;
use crate::member::Member;

#[tokio::test]
async fn a_certificate_is_approved_by_a_subresource_of_its_own() {
    let member = Member::start().await;
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let all = examples();
    let mut object = all["certificates.k8s.io/v1 CertificateSigningRequest"]["object"].clone();
    object["metadata"] = json!({"name": "c"});
    object["spec"]["username"] = "somebody else".into();
    let created = member.post(path, &object).await.expect(201);
    assert_eq!(created["spec"]["username"], "admin", "who asks is who asks");
    let condition = json!({"type": "Approved", "status": "True", "reason": "Looks good"});
    let mut approved = created.clone();
    approved["status"] = json!({"conditions": [condition]});
    let by_status = member.put(&format!("{path}/c/status"), &approved).await.expect(200);
    assert!(by_status["status"]["conditions"].is_null(), "{by_status}");
    approved["metadata"] = by_status["metadata"].clone();
    approved["spec"]["usages"] = json!(["any"]);
    let answer = member.put(&format!("{path}/c/approval"), &approved).await.expect(200);
    assert_eq!(answer["status"]["conditions"][0]["type"], "Approved", "{answer}");
    assert_eq!(answer["spec"]["usages"], created["spec"]["usages"]);
    let mut unsaid = answer.clone();
    unsaid["status"]["conditions"] = json!([]);
    member.put(&format!("{path}/c/approval"), &unsaid).await.expect(422);
}

#[tokio::test]
async fn an_eviction_spends_what_a_budget_allows() {
    let member = Member::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    for name in ["a", "b", "c"] {
        let pod = json!({"metadata": {"name": name, "labels": {"app": "x"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        member.post(pods, &pod).await.expect(201);
        let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        member.patch(&format!("{pods}/{name}/status"), "merge", &running).await.expect(200);
    }
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "x"}}}});
    member.post(budgets, &budget).await.expect(201);
    let evict = |name: &str| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        let path = format!("{pods}/{name}/eviction");
        let member = &member;
        async move { member.post(&path, &eviction).await }
    };
    let early = evict("a").await.expect(429);
    assert!(
        early["details"]["causes"][0]["message"].as_str().is_some_and(|why| why.contains("still being processed")),
        "{early}"
    );
    let known =
        json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2}});
    member.patch(&format!("{budgets}/b/status"), "merge", &known).await.expect(200);
    assert_eq!(evict("a").await.expect(201)["status"], "Success");
    member.get(&format!("{pods}/a")).await.expect(404);
    let spent = member.get(&format!("{budgets}/b")).await.expect(200);
    assert_eq!(spent["status"]["disruptionsAllowed"], 0);
    assert!(spent["status"]["disruptedPods"]["a"].is_string(), "{spent}");
    let refused = evict("b").await;
    // As of Kubernetes: kubectl tries again by a pace of its own, and client-go would wait in silence for the server's.
    assert!(!refused.headers.contains_key("retry-after"));
    let refused = refused.expect(429);
    assert_eq!(refused["details"]["causes"][0]["reason"], "DisruptionBudget", "{refused}");
    assert_eq!(evict("nobody").await.code.as_u16(), 404);
    member.delete(&format!("{budgets}/b")).await.expect(200);
    evict("b").await.expect(201);
}

#[tokio::test]
async fn a_pod_is_bound_by_either_path() {
    let member = Member::start().await;
    let namespace = "/api/v1/namespaces/default";
    let binding = |pod: &str| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": {"kind": "Node", "name": "n1"}});
    for (pod, path) in [("a", "pods/a/binding"), ("b", "bindings")] {
        let object = json!({"metadata": {"name": pod}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        member.post(&format!("{namespace}/pods"), &object).await.expect(201);
        assert_eq!(member.post(&format!("{namespace}/{path}"), &binding(pod)).await.expect(201)["status"], "Success");
        let bound = member.get(&format!("{namespace}/pods/{pod}")).await.expect(200);
        assert_eq!(bound["spec"]["nodeName"], "n1", "{path}");
    }
    let bindings = format!("{namespace}/bindings");
    assert_eq!(member.post(&bindings, &binding("b")).await.expect(409)["reason"], "Conflict", "it is bound");
    assert_eq!(member.post(&bindings, &binding("")).await.expect(400)["reason"], "BadRequest");
    assert_eq!(member.post(&bindings, &binding("none")).await.expect(404)["reason"], "NotFound");
    member.get(&bindings).await.expect(405);
}
