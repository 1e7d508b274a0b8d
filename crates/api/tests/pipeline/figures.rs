//! What `/metrics` tells of requests and watches, under Kubernetes' names.

use axum::body::Body;
use http::Method;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;

use crate::https::Https;
use crate::member::{Member, PATIENCE, config_map, object_name};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The value of the line that begins with `name` and has all of `labels`.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = text.lines().find(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label)))
    });
    line?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_watches_are_told_under_the_names_of_kubernetes() {
    let member = Member::start().await;
    let mut client = Https::administrator(&member).await;
    let created = client.send(Method::POST, MAPS, config_map("a", "web").to_string()).await;
    assert_eq!(created.code, 201, "{created:?}");
    assert_eq!(client.get(MAPS).await.code, 200);
    assert_eq!(client.get(&format!("{MAPS}/nobody")).await.code, 404);
    let admin = member.authority.client("kubernetes-admin", &["system:masters"]);
    let mut grpc = ObjectsClient::new(member.dial(Some(admin)).await);
    let name = proto::ObjectName { name: "nobody".to_owned(), ..object_name("", "configmaps", "default") };
    grpc.get(proto::GetRequest { name: Some(name), ..Default::default() }).await.expect_err("is not there");
    let watching = client.open(Method::GET, &format!("{MAPS}?watch=true"), Body::empty()).await.expect("is answered");

    let maps = ["resource=\"configmaps\"", "group=\"\"", "version=\"v1\""];
    let about = |more: &[&'static str]| -> Vec<&'static str> { maps.iter().chain(more).copied().collect() };
    let post = about(&["verb=\"POST\"", "code=\"201\"", "scope=\"namespace\"", "component=\"apiserver\""]);
    let list = about(&["verb=\"LIST\""]);
    let missing = about(&["verb=\"GET\"", "code=\"404\"", "scope=\"resource\""]);
    let watch = about(&["verb=\"WATCH\"", "scope=\"namespace\""]);
    // A request is counted when its answer is gone, which its client may see a little earlier.
    let told = async {
        loop {
            let text = client.get("/metrics").await.text;
            let is_one = |name: &str, labels: &[&str]| value(&text, name, labels) == Some(1.0);
            let all = is_one("apiserver_request_total", &post)
                && is_one("apiserver_request_total", &missing)
                && is_one("apiserver_request_total", &["component=\"grpc\"", "verb=\"GET\"", "code=\"404\""])
                && is_one("apiserver_request_duration_seconds_count", &list)
                && is_one("apiserver_response_sizes_count", &list)
                && is_one("apiserver_longrunning_requests", &watch)
                && is_one("apiserver_watch_events_total", &maps)
                // The question itself is being answered, and nothing else.
                && is_one("apiserver_current_inflight_requests", &["request_kind=\"readOnly\""])
                && value(&text, "apiserver_current_inflight_requests", &["request_kind=\"mutating\""]) == Some(0.0);
            if all {
                return text;
            }
            tokio::task::yield_now().await;
        }
    };
    let text = tokio::time::timeout(PATIENCE, told).await.expect("all of it is told");
    let bytes = value(&text, "apiserver_response_sizes_sum", &list).expect("is told");
    assert!(bytes > 100.0, "a list has bytes: {bytes}");
    for name in ["apiserver_storage_objects", "apiserver_watch_cache_resource_version"] {
        assert!(value(&text, name, &["resource=\"configmaps\""]).is_some_and(|value| value >= 1.0), "{name}");
    }
    #[cfg(target_os = "linux")]
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
        assert!(value(&text, name, &[]).is_some(), "{name}");
    }

    drop(watching);
    let over = async {
        while value(&client.get("/metrics").await.text, "apiserver_longrunning_requests", &watch) != Some(0.0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, over).await.expect("a watch that ends is not told of");
    member.stop().await;
}
