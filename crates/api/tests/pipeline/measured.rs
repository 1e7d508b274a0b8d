//! `metrics.k8s.io`: what a node has measured, over both fronts, and what may be asked by whom.

use http::Method;
use keelson_api::pipeline::{PatchType, Subresource, Target, WriteOptions};
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use keelson_proto::keelson::node::v1::nodes_client::NodesClient;
use keelson_proto::keelson::node::v1::session_open::What;
use keelson_proto::keelson::node::v1::{
    Announce, ContainerUsage, Data, NodeUsage, SessionEnd, SessionFrame, TunnelRequest, Used, session_frame,
    tunnel_request, tunnel_response,
};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::https::Https;
use crate::member::{Member, admin, object_name, target};

const BASE: &str = "/apis/metrics.k8s.io/v1beta1";

/// An agent that hosts `node`, and says of it what `usage` says, whenever it is asked.
async fn host(member: &Member, node: &str, usage: NodeUsage) {
    let identity = member.authority.client(&format!("system:node:{node}"), &["system:nodes"]);
    let mut client = NodesClient::new(member.dial(Some(identity)).await);
    let (sender, requests) = mpsc::channel(16);
    let say = |message| TunnelRequest { message: Some(message) };
    let announce = Announce { nodes: vec![node.to_owned()] };
    sender.send(say(tunnel_request::Message::Announce(announce))).await.expect("is taken");
    let mut asked = client.tunnel(ReceiverStream::new(requests)).await.expect("opens").into_inner();
    tokio::spawn(async move {
        while let Ok(Some(message)) = asked.message().await {
            let Some(tunnel_response::Message::Open(open)) = message.message else { continue };
            assert!(matches!(open.what, Some(What::Usage(_))), "{open:?}");
            let data = Data { stream: 2, data: usage.encode_to_vec().into(), last: false };
            for frame in [session_frame::Frame::Data(data), session_frame::Frame::End(SessionEnd::default())] {
                let frame = SessionFrame { session_id: open.session_id, frame: Some(frame) };
                if sender.send(say(tunnel_request::Message::Frame(frame))).await.is_err() {
                    return;
                }
            }
        }
    });
}

async fn create_node(member: &Member, name: &str) {
    let body = json!({"metadata": {"name": name, "labels": {"zone": name}}}).to_string().into();
    let created = member.pipeline.create(&admin(), target("nodes", "", ""), body, &WriteOptions::default()).await;
    created.expect("creates");
}

/// A pod that runs on a node; its UID.
async fn run_pod(member: &Member, name: &str, node: &str) -> String {
    let pod = json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "i:1"}]},
    });
    let created = member.create("pods", pod).await.expect("creates");
    let status = Target { subresource: Subresource::Status, ..target("pods", "default", name) };
    let patch = json!({"status": {"phase": "Running"}}).to_string().into();
    let patched = member.pipeline.patch(&admin(), status, PatchType::Merge, patch, &WriteOptions::default()).await;
    patched.expect("patches");
    created["metadata"]["uid"].as_str().expect("has one").to_owned()
}

fn usage(pod_uid: String) -> NodeUsage {
    let used = Some(Used { cpu_nanocores: 250_000_000, memory_bytes: 64 << 20 });
    let container = ContainerUsage { pod_uid, name: "main".to_owned(), window_ms: 10_000, used };
    NodeUsage { measured_at_ms: 1_800_000_000_000, window_ms: 10_000, used, containers: vec![container] }
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list").iter();
    items.map(|item| item["metadata"]["name"].as_str().expect("has a name")).collect()
}

/// A member with a node that answers and one that does not, and a pod on each.
async fn measured() -> Member {
    let member = Member::start().await;
    for node in ["answers", "silent"] {
        create_node(&member, node).await;
    }
    let uid = run_pod(&member, "measured", "answers").await;
    run_pod(&member, "unmeasured", "silent").await;
    host(&member, "answers", usage(uid)).await;
    member
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nodes_have_measured_is_read_and_nothing_else_is_told() {
    let member = measured().await;
    let mut rest = Https::administrator(&member).await;
    let pods = rest.get(&format!("{BASE}/pods")).await.json();
    assert_eq!((pods["kind"].as_str(), names(&pods)), (Some("PodMetricsList"), vec!["measured"]));
    let usage = json!({"cpu": "250m", "memory": "64Mi"});
    assert_eq!(pods["items"][0]["containers"], json!([{"name": "main", "usage": usage}]));
    let nodes = rest.get(&format!("{BASE}/nodes")).await.json();
    assert_eq!((nodes["kind"].as_str(), names(&nodes)), (Some("NodeMetricsList"), vec!["answers"]));
    assert_eq!((&nodes["items"][0]["usage"], &nodes["items"][0]["window"]), (&usage, &json!("10s")));

    let of = |path: &str| format!("{BASE}/{path}");
    for (path, found) in [
        ("namespaces/default/pods?labelSelector=app%3Dmeasured", 1),
        ("namespaces/default/pods?labelSelector=app%3Dother", 0),
        ("namespaces/other/pods", 0),
        ("nodes?labelSelector=zone%3Danswers&limit=500", 1),
        ("nodes?fieldSelector=metadata.name%3Dsilent", 0),
    ] {
        assert_eq!(names(&rest.get(&of(path)).await.json()).len(), found, "{path}");
    }
    for (path, code) in [
        ("namespaces/default/pods/measured", 200),
        ("namespaces/default/pods/unmeasured", 404),
        ("namespaces/default/pods/missing", 404),
        ("nodes/answers", 200),
        ("nodes/silent", 404),
        ("nodes/answers/status", 404),
        ("nodes?continue=x", 400),
        ("nodes?resourceVersion=1&resourceVersionMatch=Exact", 400),
        ("nodes?watch=true", 405),
    ] {
        assert_eq!(rest.get(&of(path)).await.code.as_u16(), code, "{path}");
    }
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        assert_eq!(rest.send(method, &of("nodes/answers"), "{}").await.code.as_u16(), 405);
    }
    assert_eq!(rest.send(Method::POST, &of("nodes"), "{}").await.code.as_u16(), 405);

    let identity = member.authority.client("kubernetes-admin", &["system:masters"]);
    let mut grpc = ObjectsClient::new(member.dial(Some(identity)).await);
    let name =
        Some(proto::ObjectName { name: "measured".to_owned(), ..object_name("metrics.k8s.io", "pods", "default") });
    let got = grpc.get(proto::GetRequest { name, ..Default::default() }).await.expect("is measured").into_inner();
    let got: Value = serde_json::from_slice(&got.object.expect("has an object").json).expect("is JSON");
    assert_eq!(got, rest.get(&of("namespaces/default/pods/measured")).await.json());
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measurements_are_discovered_and_read_by_whom_roles_allow() {
    let member = measured().await;
    let mut rest = Https::administrator(&member).await;
    let group = rest.get("/apis/metrics.k8s.io").await.json();
    assert_eq!(group["preferredVersion"]["groupVersion"], "metrics.k8s.io/v1beta1");
    let resources = rest.get(BASE).await.json();
    let told = |at: usize| {
        let resource = &resources["resources"][at];
        (resource["name"].as_str(), resource["kind"].as_str(), resource["verbs"].clone())
    };
    assert_eq!(told(0), (Some("nodes"), Some("NodeMetrics"), json!(["get", "list"])));
    assert_eq!(told(1), (Some("pods"), Some("PodMetrics"), json!(["get", "list"])));
    let document = rest.get("/openapi/v3/apis/metrics.k8s.io/v1beta1").await.json();
    let path = &document["paths"][format!("{BASE}/namespaces/{{namespace}}/pods/{{name}}")];
    assert!(path["get"].is_object() && path["put"].is_null(), "{path}");
    let schema = &document["components"]["schemas"]["io.k8s.api.metrics.v1beta1.PodMetrics"]["properties"];
    assert!(schema["containers"]["items"].is_object() && schema["window"].is_object(), "{schema}");

    let mut jane = Https::dial(&member, &member.authority.client_pem("jane", &["developers"]), true).await;
    let pods = format!("{BASE}/namespaces/default/pods");
    let refused = jane.get(&pods).await;
    let words = "cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"default\"";
    assert!(refused.code.as_u16() == 403 && refused.text.replace('\\', "").contains(words), "{}", refused.text);
    let binding = json!({
        "metadata": {"name": "viewers"}, "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "name": "developers"}],
    });
    member.create("rolebindings", binding).await.expect("creates");
    assert_eq!(names(&jane.get(&pods).await.json()), ["measured"]);
    assert_eq!(jane.get(&format!("{BASE}/nodes")).await.code.as_u16(), 403);
    member.stop().await;
}
