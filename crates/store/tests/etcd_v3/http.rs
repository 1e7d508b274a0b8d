//! The pages of the etcd port for people and probes.

use http::StatusCode;
use keelson_store::etcd_v3::ETCD_VERSION;
use serde_json::json;

use crate::cluster::Cluster;
use crate::eventually;
use crate::web::Web;

#[tokio::test]
async fn a_healthy_member_says_so_on_every_page() {
    let cluster = Cluster::shared();
    let web = Web::new(cluster.members[0].address);
    let (status, health) = web.get("/health?exclude=NOSPACE&serializable=false").await;
    assert_eq!((status, health.as_str()), (StatusCode::OK, r#"{"health":"true","reason":""}"#));
    for (path, text) in [
        ("/livez", "ok\n"),
        ("/readyz", "ok\n"),
        ("/livez?verbose", "[+]serializable_read ok\nok\n"),
        (
            "/readyz?verbose=1",
            "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n",
        ),
        (
            "/readyz?verbose&exclude=linearizable_read&exclude=data_corruption",
            "[+]serializable_read ok\n[+]non_learner ok\nok\n",
        ),
        ("/readyz/linearizable_read?verbose", "[+]linearizable_read ok\nok\n"),
        ("/readyz/data_corruption", "ok\n"),
        ("/readyz/non_learner", "ok\n"),
        ("/livez/serializable_read", "ok\n"),
    ] {
        assert_eq!(web.get(path).await, (StatusCode::OK, text.to_owned()), "{path}");
    }
    let (status, version) = web.get("/version").await;
    let version: serde_json::Value = serde_json::from_str(&version).expect("JSON");
    assert_eq!(status, StatusCode::OK);
    assert_eq!(version["etcdserver"], ETCD_VERSION);
    let (_, vars) = web.get("/debug/vars").await;
    let vars: serde_json::Value = serde_json::from_str(&vars).expect("JSON");
    assert!(vars["cmdline"].is_array() && vars["raft.status"]["term"].as_u64() > Some(0), "{vars}");
}

#[tokio::test]
async fn pages_are_read_only_and_others_are_not_there() {
    let cluster = Cluster::shared();
    let web = Web::new(cluster.members[0].address);
    assert_eq!(web.send("POST", "/metrics", "").await.status, StatusCode::OK);
    let health = web.send("GET", "/health", "").await;
    assert_eq!(health.content_type, "text/plain; charset=utf-8");
    for path in ["/health", "/version", "/livez", "/readyz/non_learner", "/debug/vars"] {
        assert_eq!(web.send("POST", path, "").await.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    for path in ["/nothing", "/livez/non_learner", "/readyz/", "/v2/keys"] {
        assert_eq!(web.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_member_without_a_leader_is_alive_and_not_ready() {
    let mut cluster = Cluster::start(false);
    cluster.keep_a_follower().await;
    let web = Web::new(cluster.members[0].address);
    eventually("the loss of the leader", || async {
        let (status, text) = web.get("/health").await;
        (status == StatusCode::SERVICE_UNAVAILABLE && text.contains("RAFT NO LEADER")).then_some(())
    })
    .await;
    assert_eq!(web.get("/health?serializable=true").await.0, StatusCode::OK);
    assert_eq!(web.get("/livez").await.0, StatusCode::OK);
    assert_eq!(web.get("/readyz?exclude=linearizable_read").await.0, StatusCode::OK);
    let (status, text) = web.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("\n[-]linearizable_read failed: etcdserver: "), "{text}");
    assert!(text.contains("[+]serializable_read ok\n"), "{text}");
    let (status, refused) = web.post("/v3/kv/put", &json!({"key": "YQ==", "value": "YQ=="}).to_string()).await;
    assert_eq!((status, &refused["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(14)), "{refused}");
    let (_, metrics) = web.get("/metrics").await;
    for line in ["etcd_server_has_leader 0", "etcd_server_is_leader 0", "etcd_server_proposals_failed_total 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in {metrics}");
    }
}
