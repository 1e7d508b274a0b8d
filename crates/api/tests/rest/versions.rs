//! Kinds with two versions, which are one object.

use serde_json::json;

use crate::member::Member;

#[tokio::test]
async fn two_versions_of_an_autoscaler_are_one_object() {
    let member = Member::start().await;
    let path = |version: &str| format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers");
    let v1 = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "maxReplicas": 3, "targetCPUUtilizationPercentage": 70,
        },
    });
    let created = member.post(&path("v1"), &v1).await.expect(201);
    assert_eq!(created["spec"]["targetCPUUtilizationPercentage"], 70, "{created}");
    let seen = member.get(&format!("{}/h", path("v2"))).await.expect(200);
    assert_eq!(seen["apiVersion"], "autoscaling/v2");
    assert_eq!(seen["metadata"]["uid"], created["metadata"]["uid"]);
    assert_eq!(seen["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70);

    let patch = json!({"spec": {"targetCPUUtilizationPercentage": 50}});
    member.patch(&format!("{}/h", path("v1")), "merge", &patch).await.expect(200);
    let list = member.get(&path("v2")).await.expect(200);
    assert_eq!(list["items"][0]["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50, "{list}");
    let pods = json!({"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "5"}});
    let metrics = json!({"spec": {"metrics": [{"type": "Pods", "pods": pods}]}});
    member.patch(&format!("{}/h", path("v2")), "merge", &metrics).await.expect(200);
    let old = member.get(&format!("{}/h", path("v1"))).await.expect(200);
    assert!(old["spec"].get("targetCPUUtilizationPercentage").is_none(), "{old}");
    assert!(old["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"].is_string(), "{old}");
    // A program that knows only v1 must not lose what it does not know.
    member.put(&format!("{}/h", path("v1")), &old).await.expect(200);
    let seen = member.get(&format!("{}/h", path("v2"))).await.expect(200);
    assert_eq!(seen["spec"]["metrics"][0]["pods"]["target"]["averageValue"], "5", "{seen}");
}

#[tokio::test]
async fn an_event_is_selected_by_the_names_of_either_version() {
    let member = Member::start().await;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "Started", "type": "Normal",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "message": "m",
    });
    member.post("/api/v1/namespaces/default/events", &event).await.expect(201);
    let core = "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dp";
    assert_eq!(member.get(core).await.expect(200)["items"][0]["message"], "m");
    let own = "/apis/events.k8s.io/v1/namespaces/default/events";
    let list = member.get(&format!("{own}?fieldSelector=regarding.name%3Dp")).await.expect(200);
    assert_eq!((list["items"][0]["note"].as_str(), list["kind"].as_str()), (Some("m"), Some("EventList")));
    assert_eq!(list["items"][0]["apiVersion"], "events.k8s.io/v1");
    member.get(&format!("{own}?fieldSelector=involvedObject.name%3Dp")).await.expect(400);
}
