//! Connections to members: TCP, and TLS with the certificate as it is when the connection is made.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::peer_tls;

/// Makes them.
#[derive(Clone)]
pub(super) struct Dial {
    tls: Arc<peer_tls::Client>,
}

impl Dial {
    pub(super) fn new(tls: &Arc<peer_tls::Client>) -> Self {
        Self { tls: Arc::clone(tls) }
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let tls = TlsConnector::from(self.tls.get());
        Box::pin(async move {
            let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("{to} is not the address of a member"));
            let authority = to.authority().ok_or_else(wrong)?;
            // An IPv6 address has brackets in an authority, and none in a certificate.
            let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host).map_err(|_| wrong())?;
            let stream = TcpStream::connect(authority.as_str()).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(tls.connect(name, stream).await?))
        })
    }
}
