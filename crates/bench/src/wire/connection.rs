//! One HTTP/2 connection that many clients share.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::{Buf as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, StatusCode, Uri};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Failure, Method, PREFIX_BYTES, Stream, status};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a server may send ahead: a whole list of the size that is measured, so that no answer waits for the client.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// Small frames are the load itself here, never an attack.
const SMALL_FRAMES_MAX: usize = 1 << 30;

/// Where a member serves clients.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
    /// How to speak TLS to it; `None` for clear text.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// Reads what a client needs for TLS: the authority, and its own certificate and key.
///
/// # Errors
/// When a file is missing or wrong.
pub fn client_tls(authority: &Path, certificate: &Path, key: &Path) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).context("cannot read the authority")? {
        roots.add(certificate?)?;
    }
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(certificate).context("cannot read the certificate")?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key).context("cannot read the key")?;
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// A client's share of a connection. Clones share it; it is closed when the last of them is gone.
#[derive(Clone)]
pub struct Connection {
    requests: SendRequest<Bytes>,
    scheme: Scheme,
    authority: Authority,
    headers: HeaderMap,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let requests = connect(endpoint).await?;
        let mut headers = HeaderMap::new();
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(HeaderName::from_static("user-agent"), HeaderValue::from_static("keelson-bench"));
        let scheme = if endpoint.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        Ok(Self { requests, scheme, authority: endpoint.address.to_string().parse()?, headers })
    }

    /// Sends one framed message and returns the one message of the answer.
    ///
    /// # Errors
    /// When the server answers with an error or not at all.
    pub async fn call(&mut self, method: Method, frame: Bytes) -> Result<Bytes, Failure> {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        self.receive(method, frame, |chunk| {
            if first.is_empty() {
                first = chunk;
            } else {
                rest.extend_from_slice(&chunk);
            }
        })
        .await?;
        let mut answer = if rest.is_empty() { first } else { [first, rest.freeze()].concat().into() };
        if answer.len() < PREFIX_BYTES {
            return Err(Failure::Connection("the answer has no message".to_owned()));
        }
        answer.advance(PREFIX_BYTES);
        Ok(answer)
    }

    /// As [`Self::call`], for an answer of which only the length matters. In bytes, prefixes included.
    ///
    /// # Errors
    /// When the server answers with an error or not at all.
    pub async fn call_for_length(&mut self, method: Method, frame: Bytes) -> Result<u64, Failure> {
        let mut length = 0;
        self.receive(method, frame, |chunk| length += chunk.len() as u64).await?;
        Ok(length)
    }

    /// Calls with a message and decodes the answer; for what is not measured.
    ///
    /// # Errors
    /// When the server answers with an error or not at all.
    pub async fn ask<A: prost::Message + Default>(
        &mut self,
        method: Method,
        question: &impl prost::Message,
    ) -> Result<A, Failure> {
        let answer = self.call(method, super::frame(question)).await?;
        Ok(A::decode(answer)?)
    }

    /// Opens a stream in both directions with its first framed message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn stream(&mut self, method: Method, first: Bytes) -> Result<Stream, Failure> {
        let (response, mut sender) = self.send(method)?;
        sender.send_data(first, false)?;
        Ok(Stream::new(response, sender))
    }

    /// Sends the one framed message of a call that is answered with many.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn stream_of_answers(&mut self, method: Method, frame: Bytes) -> Result<Stream, Failure> {
        let (response, mut sender) = self.send(method)?;
        sender.send_data(frame, true)?;
        Ok(Stream::new(response, sender))
    }

    fn send(&mut self, method: Method) -> Result<(ResponseFuture, SendStream<Bytes>), Failure> {
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(method.path())
            .build()
            .map_err(|error| Failure::Connection(error.to_string()))?;
        let mut request = Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        Ok(self.requests.send_request(request, false)?)
    }

    async fn receive(&mut self, method: Method, frame: Bytes, mut chunks: impl FnMut(Bytes)) -> Result<(), Failure> {
        let (response, mut sender) = self.send(method)?;
        sender.send_data(frame, true)?;
        let mut body = body(response).await?;
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            chunks(chunk);
        }
        status::check(&body.trailers().await?.unwrap_or_default())
    }
}

/// The body of an answer that has one.
pub(super) async fn body(response: ResponseFuture) -> Result<RecvStream, Failure> {
    let (head, body) = response.await?.into_parts();
    if head.status != StatusCode::OK {
        return Err(Failure::Connection(format!("HTTP status {}", head.status)));
    }
    if head.headers.contains_key("grpc-status") {
        status::check(&head.headers)?;
    }
    Ok(body)
}

/// Connects, with TLS if the endpoint says so.
///
/// # Errors
/// When nobody answers in time.
pub(super) async fn connect(endpoint: &Endpoint) -> anyhow::Result<SendRequest<Bytes>> {
    let opening = async {
        let stream = TcpStream::connect(endpoint.address).await?;
        stream.set_nodelay(true)?;
        match &endpoint.tls {
            None => handshake(stream).await,
            Some(tls) => {
                let name = ServerName::from(endpoint.address.ip());
                handshake(tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?).await
            }
        }
    };
    tokio::time::timeout(CONNECT_TIMEOUT, opening)
        .await
        .context("the handshake takes too long")
        .and_then(|opened| opened)
        .with_context(|| format!("cannot connect to {}", endpoint.address))
}

/// Starts HTTP/2, and the task that moves its bytes.
async fn handshake<S>(stream: S) -> anyhow::Result<SendRequest<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (requests, connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .data_frame_budget(SMALL_FRAMES_MAX)
        .enable_push(false)
        .handshake(stream)
        .await?;
    // Ends with its last user; an error reaches those who wait for answers.
    tokio::task::spawn_local(connection);
    Ok(requests)
}
