//! What a cluster does not work without is made again by whoever leads.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use crate::https::Https;
use crate::member::{Member, PATIENCE};

/// The object at `path` once it is another one than `before`.
async fn made_again(client: &mut Https, path: &str, before: &Value) -> Value {
    let again = async {
        loop {
            let answer = client.get(path).await;
            if answer.code == 200 && answer.json()["metadata"]["uid"] != before["metadata"]["uid"] {
                return answer.json();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap_or_else(|_| panic!("{path} is not made again"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_namespace_that_goes_comes_back() {
    let member = Member::start().await;
    let mut client = Https::administrator(&member).await;
    let path = "/api/v1/namespaces/kube-node-lease";
    let before = client.get(path).await.json();
    assert_eq!(client.send(Method::DELETE, path, Body::empty()).await.code, 200);
    // As the controller of namespaces does when nothing is left in it; no controllers run here.
    let empty = json!({"metadata": {"name": "kube-node-lease"}, "spec": {"finalizers": []}});
    let finalized = client.send(Method::PUT, &format!("{path}/finalize"), empty.to_string()).await;
    assert_eq!(finalized.code, 200, "{finalized:?}");

    let after = made_again(&mut client, path, &before).await;
    assert_eq!(after["status"]["phase"], "Active");
    let lease = json!({"metadata": {"name": "node-1"}, "spec": {"holderIdentity": "node-1"}});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let renewed = client.send(Method::POST, leases, lease.to_string()).await;
    assert_eq!(renewed.code, 201, "{renewed:?}");
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_of_the_api_leads_to_the_members_and_comes_back() {
    let addresses = [("m1", "10.0.0.1:6443"), ("m2", "10.0.0.2:6443")];
    let addresses = addresses.map(|(name, address)| (name.to_owned(), address.to_owned()));
    let member = Member::start_with(|options| options.api_addresses = addresses.into()).await;
    let mut client = Https::administrator(&member).await;
    let service = "/api/v1/namespaces/default/services/kubernetes";
    let endpoints = "/api/v1/namespaces/default/endpoints/kubernetes";
    let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    let subsets = json!([{"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}]);
    for path in [service, endpoints, slice] {
        let before = made_again(&mut client, path, &Value::Null).await;
        assert_eq!(client.send(Method::DELETE, path, Body::empty()).await.code, 200);
        let after = made_again(&mut client, path, &before).await;
        match path {
            _ if path == service => assert_eq!(after["spec"]["clusterIP"], before["spec"]["clusterIP"]),
            _ if path == endpoints => assert_eq!(after["subsets"], subsets),
            _ => assert_eq!(after["endpoints"][1]["addresses"], json!(["10.0.0.2"])),
        }
    }
    // What somebody makes of them is put right.
    let wrong = json!({"subsets": []}).to_string();
    assert_eq!(client.send(Method::PATCH, endpoints, wrong).await.code, 200);
    let right = async {
        while client.get(endpoints).await.json()["subsets"] != subsets {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, right).await.expect("they are put right");
    member.stop().await;
}
