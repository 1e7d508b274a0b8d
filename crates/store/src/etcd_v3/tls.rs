//! TLS of the etcd port: a client must show a certificate of the configured authority.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::options::Tls;
use crate::reload::Reloading;

/// Why the port cannot be served with TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A PEM file is missing or is not what it should be.
    #[error("cannot read {}", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// A file without a certificate in it.
    #[error("{} contains no certificate", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// An authority's certificate that cannot be trusted.
    #[error("{} is not a certificate of an authority", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Clients could not be verified by the authorities.
    #[error("cannot verify clients by {}", .path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    /// Certificate and key do not go together.
    #[error("certificate {} cannot be served with key {}", .certificate.display(), .key.display())]
    Certificate {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// What the files of `tls` say, and say when they change.
pub(super) fn reloading(tls: &Tls) -> Result<Reloading<Arc<ServerConfig>, Error>, Error> {
    let files = vec![tls.ca.clone(), tls.certificate.clone(), tls.key.clone()];
    let tls = tls.clone();
    Reloading::new(files, move || server_config(&tls))
}

/// Reads the files of `tls`. HTTP/2 is preferred; HTTP/1.1 is there for the pages and the gateway.
fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, Error> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(&tls.ca)? {
        roots.add(authority).map_err(|source| Error::Authority { path: tls.ca.clone(), source })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|source| Error::Verifier { path: tls.ca.clone(), source })?;
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|source| Error::Pem { path: tls.key.clone(), source })?;
    let wrong = |source| Error::Certificate { certificate: tls.certificate.clone(), key: tls.key.clone(), source };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(wrong)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |source| Error::Pem { path: path.to_owned(), source };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if certificates.is_empty() {
        return Err(Error::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}
