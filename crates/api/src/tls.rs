//! TLS of the API port: the server's certificate, and whose certificate a client shows.
//!
//! A client without a certificate of our CA must hear 401 in its own protocol, not a broken handshake. So the handshake
//! takes any certificate, but makes the client prove that it holds its key; whether the CA signed it is checked right
//! after, and the verdict travels with the connection.
//!
//! **Invariant**: a verified [`Identity`] comes only from a chain that webpki accepts against our CA for client use, now.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};

use keelson_store::reload::Reloading;

use crate::pipeline::{Identity, User};

/// PEM files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The CA that signs the clients' certificates.
    pub ca: PathBuf,
    /// The server's certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("reading {} failed", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("{} holds no certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} is no usable CA certificate", path.display())]
    Ca {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("the CA cannot verify clients")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    #[error("the server's certificate and key do not fit together")]
    KeyPair(#[source] rustls::Error),
}

/// What accepting a connection takes.
#[derive(Clone)]
pub struct Tls {
    pub config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// What the files say, and say when they change.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn reloading(files: &Files) -> Result<Reloading<Tls, Error>, Error> {
        let watched = vec![files.ca.clone(), files.certificate.clone(), files.key.clone()];
        let files = files.clone();
        Reloading::new(watched, move || Tls::load(&files))
    }

    /// # Errors
    /// Files that are missing, unreadable or do not fit together.
    pub fn load(files: &Files) -> Result<Tls, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.ca)? {
            roots.add(certificate).map_err(|source| Error::Ca { path: files.ca.clone(), source })?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(Error::Verifier)?;
        let chain = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|source| Error::Read { path: files.key.clone(), source })?;
        let anyone = AnyCertificate { algorithms: provider.signature_verification_algorithms };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::KeyPair)?
            .with_client_cert_verifier(Arc::new(anyone))
            .with_single_cert(chain, key)
            .map_err(Error::KeyPair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), verifier })
    }

    /// Who is behind the certificates of a finished handshake.
    pub fn identify(&self, certificates: Option<&[CertificateDer<'_>]>) -> Identity {
        let Some((own, intermediates)) = certificates.and_then(<[_]>::split_first) else { return Identity::Missing };
        match self.verifier.verify_client_cert(own, intermediates, UnixTime::now()) {
            Ok(_) => match user(own) {
                Ok(user) => Identity::Verified(Arc::new(user)),
                Err(why) => Identity::Unverified(why),
            },
            Err(error) => Identity::Unverified(error.to_string()),
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<_, _>>().map_err(read)?;
    if certificates.is_empty() {
        return Err(Error::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

/// The common name is the user, the organizations are the groups.
fn user(certificate: &CertificateDer<'_>) -> Result<User, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
    if name.is_empty() {
        return Err("the certificate has no common name".to_owned());
    }
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned).collect();
    Ok(User::known(name, groups))
}

/// Takes any certificate, whose key the client must hold.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: a client that filters by them would rather send nothing.
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // `Tls::identify` verifies once the handshake is over.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    fn authority() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let key = KeyPair::generate().expect("makes a key");
        let pem = params.self_signed(&key).expect("signs").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    impl Authority {
        fn sign(
            &self,
            name: Option<&str>,
            groups: &[&str],
            usage: ExtendedKeyUsagePurpose,
        ) -> (rcgen::Certificate, KeyPair) {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("makes parameters");
            params.distinguished_name = rcgen::DistinguishedName::new();
            if let Some(name) = name {
                params.distinguished_name.push(DnType::CommonName, name);
            }
            for group in groups {
                params.distinguished_name.push(DnType::OrganizationName, *group);
            }
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().expect("makes a key");
            (params.signed_by(&key, &self.issuer).expect("signs"), key)
        }
    }

    fn load(authority: &Authority) -> Tls {
        let folder = tempfile::tempdir().expect("makes a folder");
        let (certificate, key) = authority.sign(Some("server"), &[], ExtendedKeyUsagePurpose::ServerAuth);
        let files = Files {
            ca: folder.path().join("ca.pem"),
            certificate: folder.path().join("server.pem"),
            key: folder.path().join("server.key"),
        };
        std::fs::write(&files.ca, &authority.pem).expect("writes");
        std::fs::write(&files.certificate, certificate.pem()).expect("writes");
        std::fs::write(&files.key, key.serialize_pem()).expect("writes");
        Tls::load(&files).expect("loads")
    }

    #[test]
    fn only_our_own_certificates_name_a_user() {
        let (ours, theirs) = (authority(), authority());
        let tls = load(&ours);
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        let identify = |authority: &Authority, name, groups: &[&str], usage| {
            let (certificate, _) = authority.sign(name, groups, usage);
            tls.identify(Some(&[certificate.der().clone()]))
        };
        match identify(&ours, Some("jane"), &["developers"], client.clone()) {
            Identity::Verified(user) => {
                assert_eq!(user.name, "jane");
                assert_eq!(user.groups, ["developers", "system:authenticated"]);
            }
            other => panic!("{other:?}"),
        }
        let refused = |identity| matches!(identity, Identity::Unverified(_));
        assert!(refused(identify(&theirs, Some("jane"), &["system:masters"], client.clone())));
        assert!(refused(identify(&ours, None, &["system:masters"], client)));
        assert!(refused(identify(&ours, Some("jane"), &[], ExtendedKeyUsagePurpose::ServerAuth)));
        assert!(matches!(tls.identify(None), Identity::Missing));
        assert!(matches!(tls.identify(Some(&[])), Identity::Missing));
    }

    #[test]
    fn a_missing_file_is_named() {
        let files = Files { ca: "/nowhere/ca.pem".into(), certificate: "/x".into(), key: "/x".into() };
        let error = Tls::load(&files).expect_err("is missing");
        assert_eq!(error.to_string(), "reading /nowhere/ca.pem failed");
    }
}
