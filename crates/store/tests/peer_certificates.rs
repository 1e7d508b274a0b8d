//! Certificates of the peer port are replaced while the members run.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::{Cluster, certify, eventually};
use keelson_proto::etcdserverpb::PutRequest;
use keelson_store::Tls;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whether the port at `address` shows a certificate of the authority of `tls`.
async fn shows(address: SocketAddr, tls: &Tls) -> bool {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(&tls.ca).expect("the authority's certificate");
    roots.add(authority).expect("an authority");
    let chain = vec![CertificateDer::from_pem_file(&tls.certificate).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(&tls.key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .expect("a certificate with its key");
    let stream = TcpStream::connect(address).await.expect("the member listens");
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    // What the server thinks of the client comes after this.
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_ok()
}

fn put(cluster: &Cluster, key: &str) -> i64 {
    let leader = cluster.leader();
    let request = PutRequest { key: key.to_owned().into(), ..PutRequest::default() };
    let response = cluster.on(leader, cluster.handle(leader).put(request)).expect("put");
    response.header.expect("a header").revision
}

#[test]
fn members_take_up_new_certificates_for_new_connections_and_old_ones_go_on() {
    // Only lost connections may make another leader, and not a busy machine.
    let mut cluster = Cluster::start_with(3, |options| {
        (options.election_timeout_min, options.election_timeout_max) =
            (Duration::from_secs(8), Duration::from_secs(10));
    });
    let leader = cluster.leader();
    let first = put(&cluster, "before");
    for member in 0..3 {
        let handle = cluster.handle(member);
        eventually("all have it", || (handle.revision() >= first).then_some(()));
    }
    let term = cluster.handle(leader).leadership().borrow().term;

    // Certificates of an authority that nobody trusts yet: no new connection can be made with them.
    let other = cluster.folder().join("other-pki");
    let ports: Vec<SocketAddr> = (0..3).map(|member| cluster.options(member).listen_peer).collect();
    let new: Vec<Tls> = (0..3).map(|member| certify(&other, &format!("m{}", member + 1))).collect();
    let old: Vec<Tls> = (0..3).map(|member| cluster.tls(member).clone()).collect();
    let shown = |cluster: &Cluster, member: usize| cluster.on(member, shows(ports[member], &new[member]));
    for member in 0..3 {
        assert!(!shown(&cluster, member), "it is trusted already");
        std::fs::copy(&new[member].certificate, &old[member].certificate).expect("replaces");
        std::fs::copy(&new[member].key, &old[member].key).expect("replaces");
    }
    for member in 0..3 {
        eventually("the new certificate is shown", || shown(&cluster, member).then_some(()));
    }
    let second = put(&cluster, "by old connections");
    for member in 0..3 {
        let handle = cluster.handle(member);
        eventually("it comes by old connections", || (handle.revision() >= second).then_some(()));
    }
    assert_eq!(cluster.handle(leader).leadership().borrow().term, term, "connections were lost");

    // Trusted: one that starts now has nothing but the new ones, and speaks with the others in both directions.
    std::fs::copy(&new[0].ca, &old[0].ca).expect("replaces the authority that all trust");
    let restarted = cluster.follower();
    cluster.kill(restarted);
    let third = put(&cluster, "while it is down");
    cluster.start_member(restarted);
    let handle = cluster.handle(restarted);
    eventually("the others reach it", || (handle.revision() >= third).then_some(()));
    let request = PutRequest { key: "by itself".into(), ..PutRequest::default() };
    eventually("it reaches the others", || cluster.on(restarted, handle.put(request.clone())).ok());
}
