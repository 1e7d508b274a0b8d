//! Mutual TLS between members.
//!
//! **Invariant**: a peer proves by a certificate of the cluster's authority that it is a member. The same authority also
//! certifies clients of the etcd port, so being signed is not enough: a member's certificate is one that may serve.
//!
//! Files that change count for connections that are made from then on; those that are there go on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, ExtendedKeyPurpose, RootCertStore,
    ServerConfig, SignatureScheme,
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::options::Tls;
use crate::reload::Reloading;

/// Why peers cannot be spoken to securely.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is missing.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not PEM, or not of what it should be.
    #[error("{} is not PEM of what it should hold", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The authority's certificate cannot be used.
    #[error("{} is not a certificate of an authority", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificate and key do not go together, or the certificate may not serve.
    #[error("certificate {} cannot be used by a member", .path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match parsed {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Error::Pem { path: path.to_owned(), source: rustls::pki_types::pem::Error::NoItemsFound }),
        Err(source) => Err(Error::Pem { path: path.to_owned(), source }),
    }
}

/// What a member needs to accept peers, as its files are at any time.
pub(crate) type Server = Reloading<Arc<ServerConfig>, Error>;

/// What a member needs to dial peers, as its files are at any time.
pub(crate) type Client = Reloading<Arc<ClientConfig>, Error>;

/// Reads what is needed to accept peers, now and when the files change.
///
/// # Errors
/// When the files do not hold what they should now.
pub(crate) fn server(tls: &Tls) -> Result<Server, Error> {
    let files = tls.clone();
    Reloading::new(all(tls), move || server_config(&files))
}

/// Reads what is needed to dial peers, now and when the files change.
///
/// # Errors
/// As for [`server`].
pub(crate) fn client(tls: &Tls) -> Result<Client, Error> {
    let files = tls.clone();
    Reloading::new(all(tls), move || client_config(&files))
}

fn all(tls: &Tls) -> Vec<PathBuf> {
    vec![tls.ca.clone(), tls.certificate.clone(), tls.key.clone()]
}

/// Certificates of the authority, own chain, own key.
fn load(tls: &Tls) -> Result<(RootCertStore, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca)? {
        let wrong = |error: rustls::Error| Error::Authority { path: tls.ca.clone(), source: error.into() };
        roots.add(certificate).map_err(wrong)?;
    }
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key)?)
        .map_err(|source| Error::Pem { path: tls.key.clone(), source })?;
    Ok((roots, chain, key))
}

fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, Error> {
    let (roots, chain, key) = load(tls)?;
    let wrong = |source| Error::Certificate { path: tls.certificate.clone(), source };
    if let Some(own) = chain.first() {
        // Peers would refuse it; better to say so here.
        may_serve(own).map_err(wrong)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| Error::Authority { path: tls.ca.clone(), source: error.into() })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(wrong)?
        .with_client_cert_verifier(Arc::new(MembersOnly { inner }))
        .with_single_cert(chain, key)
        .map_err(wrong)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, Error> {
    let (roots, chain, key) = load(tls)?;
    let wrong = |source| Error::Certificate { path: tls.certificate.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(wrong)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(wrong)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// What a client of the etcd port needs, for one connection.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn once(tls: &Tls) -> Result<ClientTlsConfig, Error> {
    Ok(ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&tls.ca)?))
        .identity(Identity::from_pem(read(&tls.certificate)?, read(&tls.key)?)))
}

/// Accepts certificates of the cluster's authority that may serve.
#[derive(Debug)]
struct MembersOnly {
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for MembersOnly {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        may_serve(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn may_serve(certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    match parsed.extended_key_usage() {
        Ok(Some(usage)) if usage.value.server_auth => Ok(()),
        Ok(_) => Err(CertificateError::InvalidPurposeContext {
            required: ExtendedKeyPurpose::ServerAuth,
            presented: Vec::new(),
        }
        .into()),
        Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}
