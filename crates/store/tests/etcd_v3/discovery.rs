//! What a client can find out about the port before it uses it: grpc.health.v1, reflection, and the certificate.

use std::time::Instant;

use futures::StreamExt as _;
use http::StatusCode;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::certificates::Authority;
use crate::cluster::Cluster;
use crate::web::Web;
use crate::{PATIENCE, eventually};

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_is_serving_until_the_leader_is_lost() {
    let mut cluster = Cluster::start(false);
    let (_, follower) = cluster.leader_and_follower().await;
    let mut health = HealthClient::new(cluster.channel(follower).await);
    for service in ["", "etcdserverpb.KV", "v3lockpb.Lock"] {
        let answer = health.check(about(service)).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    assert_eq!(health.check(about("nothing")).await.expect_err("no such service").code(), Code::NotFound);
    let mut watched = health.watch(about("")).await.expect("a stream").into_inner();
    let mut next = async || {
        let next = tokio::time::timeout(PATIENCE, watched.next()).await.expect("a status in time");
        next.expect("the stream goes on").expect("a status").status()
    };
    assert_eq!(next().await, ServingStatus::Serving);
    cluster.keep_a_follower().await;
    // The other leaders that there may be on the way are no news.
    while next().await != ServingStatus::NotServing {}
    let health = &health;
    eventually("the loss of the leader", || async move {
        let mut health = health.clone();
        let answer = health.check(about("etcdserverpb.KV")).await.expect("an answer").into_inner();
        (answer.status() == ServingStatus::NotServing).then_some(())
    })
    .await;
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_their_messages() {
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;

    let cluster = Cluster::shared();
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(cluster.channel(0).await);
    let request = |message_request| v1::ServerReflectionRequest { host: String::new(), message_request };
    let requests = [
        request(Some(MessageRequest::ListServices(String::new()))),
        request(Some(MessageRequest::FileContainingSymbol("etcdserverpb.RangeRequest".to_owned()))),
        request(Some(MessageRequest::FileContainingSymbol("keelson.raft.v1.Raft".to_owned()))),
    ];
    let mut answers = client.server_reflection_info(tokio_stream::iter(requests)).await.expect("a stream").into_inner();
    let mut next = async || answers.message().await.map(|answer| answer.and_then(|answer| answer.message_response));
    let Ok(Some(MessageResponse::ListServicesResponse(list))) = next().await else { panic!("a list") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["etcdserverpb.KV", "etcdserverpb.Watch", "v3electionpb.Election", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("keelson.")), "{names:?}");
    let Ok(Some(MessageResponse::FileDescriptorResponse(file))) = next().await else { panic!("a file") };
    assert!(!file.file_descriptor_proto.is_empty());
    // What members say to each other is not this port's.
    let unknown = next().await;
    assert!(matches!(unknown, Err(_) | Ok(Some(MessageResponse::ErrorResponse(_)))), "{unknown:?}");

    let mut former = v1alpha::server_reflection_client::ServerReflectionClient::new(cluster.channel(0).await);
    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut answers =
        former.server_reflection_info(tokio_stream::iter([request])).await.expect("a stream").into_inner();
    assert!(answers.message().await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_replaced_certificate_and_authority_are_taken_up_and_a_broken_one_is_not() {
    let cluster = Cluster::start(true);
    let member = &cluster.members[0];
    let served = member.store_tls.as_ref().expect("this cluster has TLS");
    let folder = tempfile::tempdir().expect("a folder");
    let next = Authority::new(folder.path(), "next");
    let (server, client) = (next.issue("server"), next.issue("client"));
    // The first authority's file is shared by all that are there.
    let before =
        cluster.client_tls.clone().map(|tls| keelson_store::Tls { ca: folder.path().join("before.crt"), ..tls });
    std::fs::copy(&served.ca, folder.path().join("before.crt")).expect("copies");
    let old = Web { tls: before, ..Web::new(member.address) };
    let new = Web { tls: Some(client), ..Web::new(member.address) };
    assert_eq!(old.send("GET", "/version", "").await.status, StatusCode::OK);
    assert!(new.try_send("GET", "/version", "").await.is_err(), "not yet");

    for (from, to) in [(&server.key, &served.key), (&server.certificate, &served.certificate), (&server.ca, &served.ca)]
    {
        std::fs::copy(from, to).expect("copies");
    }
    eventually("the new certificate", || async { new.try_send("GET", "/version", "").await.ok().map(drop) }).await;
    assert!(old.try_send("GET", "/version", "").await.is_err(), "the former authority is not trusted any more");

    std::fs::write(&served.certificate, "no certificate").expect("writes");
    // Long enough for the member to look at it.
    let begin = Instant::now();
    eventually("a look at the broken file", || async {
        assert_eq!(new.send("GET", "/version", "").await.status, StatusCode::OK);
        (begin.elapsed() > std::time::Duration::from_millis(1500)).then_some(())
    })
    .await;
}
