//! A client of the port as curl is one: HTTP/1.1 or HTTP/2 over TLS, with a certificate.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::member::{Member, PATIENCE};

/// One connection.
pub enum Https {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub code: StatusCode,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text))
    }
}

impl Https {
    /// Connects by HTTP/2, or else 1.1, as the user that the PEM texts name.
    pub async fn dial(member: &Member, (certificate, key): &(String, String), two: bool) -> Https {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(member.authority.pem().as_bytes()).expect("is PEM")).expect("is a CA");
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("is PEM")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("is PEM");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("fit together");
        config.alpn_protocols = vec![if two { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let stream = TcpStream::connect(member.address()).await.expect("connects");
        let name = ServerName::try_from("localhost").expect("is a name");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("shakes hands");
        if two {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("shakes hands");
            tokio::spawn(connection);
            Https::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("shakes hands");
            tokio::spawn(connection);
            Https::One(sender)
        }
    }

    pub async fn administrator(member: &Member) -> Https {
        Https::dial(member, &member.authority.client_pem("kubernetes-admin", &["system:masters"]), true).await
    }

    /// Sends a request, and gives the head of its answer.
    pub async fn open(&mut self, method: Method, path: &str, body: Body) -> Result<Response<Incoming>, hyper::Error> {
        self.open_as(method, path, "application/json", body).await
    }

    /// The same for an answer of some media types.
    async fn open_as(
        &mut self,
        method: Method,
        path: &str,
        accept: &str,
        body: Body,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let uri = match self {
            Https::One(_) => path.to_owned(),
            Https::Two(_) => format!("https://localhost{path}"),
        };
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder().method(method).uri(uri).header("host", "localhost").header("accept", accept);
        let request = request.header("content-type", content_type).body(body).expect("is a request");
        match self {
            Https::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Https::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    pub async fn try_send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Result<Answer, hyper::Error> {
        self.try_send_as(method, path, "application/json", body.into()).await
    }

    async fn try_send_as(
        &mut self,
        method: Method,
        path: &str,
        accept: &str,
        body: Body,
    ) -> Result<Answer, hyper::Error> {
        let answer = async {
            let response = self.open_as(method, path, accept, body).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            let text = String::from_utf8(body.to_vec()).expect("is text");
            Ok(Answer { code: parts.status, headers: parts.headers, text })
        };
        tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{path} is not answered in time"))
    }

    pub async fn send(&mut self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let sent = self.try_send(method, path, body).await;
        sent.unwrap_or_else(|error| panic!("{path} is not answered: {error:?}"))
    }

    /// Reads in a form that the `Accept` header names.
    pub async fn get_as(&mut self, path: &str, accept: &str) -> Answer {
        let sent = self.try_send_as(Method::GET, path, accept, Body::empty()).await;
        sent.unwrap_or_else(|error| panic!("{path} is not answered: {error:?}"))
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::empty()).await
    }
}
