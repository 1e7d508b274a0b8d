//! Connections with certificates.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use keelson_client::{Client, Error, Options, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::transport::server::ServerTlsConfig;
use tonic::transport::{Certificate, Identity};

use crate::fake::{Answer, Member, PATIENCE, pod};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a valid name");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }
}

async fn member(authority: &Authority) -> Member {
    let (cert, key) = authority.issue("127.0.0.1");
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(cert, key))
        .client_ca_root(Certificate::from_pem(&authority.pem));
    Member::start_with_tls(tls).await
}

/// Gives up after so long without an answer.
fn options(member: &Member, ca: &Authority, (cert, key): (String, String), patience: Duration) -> Options {
    Options {
        tls: Some(Tls { ca_pem: ca.pem.clone().into(), cert_pem: cert.into(), key_pem: key.into() }),
        request_timeout: PATIENCE,
        unreachable_timeout: patience,
        ..Options::new([member.address.to_string()])
    }
}

#[tokio::test]
async fn both_sides_show_certificates_of_one_authority() {
    let authority = Authority::new();
    let member = member(&authority).await;
    member.played.answer(Answer::Object(pod("a", 1)));
    let options = options(&member, &authority, authority.issue("admin"), PATIENCE);
    let client = Client::connect(options).expect("valid options");
    client.get::<Pod>("default", "a").await.expect("the member answers");
}

#[tokio::test]
async fn a_member_of_another_authority_is_not_talked_to() {
    let (authority, other) = (Authority::new(), Authority::new());
    let member = member(&other).await;
    let options = options(&member, &authority, authority.issue("admin"), Duration::from_millis(200));
    let client = Client::connect(options).expect("valid options");
    let error = client.get::<Pod>("default", "a").await.expect_err("the member is not trusted");
    assert!(error.is_unavailable(), "{error:?}");
    assert!(member.played.calls().is_empty());
}

#[tokio::test]
async fn options_that_cannot_be_used_are_told() {
    let authority = Authority::new();
    let member = member(&authority).await;
    let broken = ("no certificate".to_owned(), "no key".to_owned());
    assert!(matches!(Client::connect(options(&member, &authority, broken, PATIENCE)), Err(Error::Tls { .. })));
    assert!(matches!(Client::connect(Options::new(["nowhere"])), Err(Error::Endpoint { .. })));
    assert!(matches!(Client::connect(Options::default()), Err(Error::Endpoint { .. })));
}
