//! A plain HTTP client: HTTP/1.1 or HTTP/2, in the clear or over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keelson_store::Tls;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::PATIENCE;

/// Where, and how.
#[derive(Clone)]
pub struct Web {
    pub address: SocketAddr,
    pub version: Version,
    /// What the client shows; None for clear text.
    pub tls: Option<Tls>,
    pub headers: Vec<(&'static str, String)>,
}

pub struct Page {
    pub status: StatusCode,
    pub content_type: String,
    pub version: Version,
    body: Incoming,
    unread: BytesMut,
}

impl Web {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, version: Version::HTTP_11, tls: None, headers: Vec::new() }
    }

    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let page = self.send("GET", path, "").await;
        (page.status, page.text().await)
    }

    pub async fn post(&self, path: &str, body: &str) -> (StatusCode, serde_json::Value) {
        let page = self.send("POST", path, body).await;
        let status = page.status;
        let text = page.text().await;
        // Not everything that refuses speaks JSON.
        (status, serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)))
    }

    pub async fn send(&self, method: &str, path: &str, body: &str) -> Page {
        let sent = tokio::time::timeout(PATIENCE, self.try_send(method, path, body));
        sent.await.expect("an answer in time").expect("an answer")
    }

    /// # Errors
    /// When there is no connection, or none that is secure.
    pub async fn try_send(&self, method: &str, path: &str, body: &str) -> Result<Page, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(self.address).await?;
        match &self.tls {
            None => self.speak(stream, method, path, body).await,
            Some(tls) => {
                let connector = TlsConnector::from(Arc::new(self.client_config(tls)));
                let name = ServerName::try_from("localhost")?;
                self.speak(connector.connect(name, stream).await?, method, path, body).await
            }
        }
    }

    fn client_config(&self, tls: &Tls) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        for authority in CertificateDer::pem_file_iter(&tls.ca).expect("a file").flatten() {
            roots.add(authority).expect("an authority");
        }
        let chain = CertificateDer::pem_file_iter(&tls.certificate).expect("a file").flatten().collect();
        let key = PrivateKeyDer::from_pem_file(&tls.key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("good versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("a good certificate");
        let protocol: &[u8] = if self.version == Version::HTTP_2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    async fn speak<S>(
        &self,
        stream: S,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Page, Box<dyn std::error::Error>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut request = Request::builder().method(method);
        request = match self.version {
            Version::HTTP_2 => request.uri(format!("{scheme}://localhost{path}")),
            _ => request.uri(path).header("host", "localhost"),
        };
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
        let io = TokioIo::new(stream);
        let response = if self.version == Version::HTTP_2 {
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        };
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        Ok(Page {
            status: response.status(),
            content_type: content_type.unwrap_or_default().to_owned(),
            version: response.version(),
            body: response.into_body(),
            unread: BytesMut::new(),
        })
    }
}

impl Page {
    /// All of it.
    pub async fn text(self) -> String {
        let all = tokio::time::timeout(PATIENCE, self.body.collect()).await.expect("an end in time");
        String::from_utf8(all.expect("a whole page").to_bytes().to_vec()).expect("text")
    }

    /// The next line of a page that goes on; None at its end.
    pub async fn line(&mut self) -> Option<serde_json::Value> {
        tokio::time::timeout(PATIENCE, self.next_line()).await.expect("a line in time")
    }

    /// Whether nothing more comes for a moment, and the page has not ended either.
    pub async fn is_open(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(300), self.next_line()).await.is_err()
    }

    async fn next_line(&mut self) -> Option<serde_json::Value> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line = self.unread.split_to(end + 1);
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            let frame = self.body.frame().await?.expect("a page that arrives");
            self.unread.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
    }
}
