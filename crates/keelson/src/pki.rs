//! Certificates: two authorities and what they sign.
//!
//! The *store* authority vouches for members to each other and for clients of the etcd port; the *API* authority vouches
//! for users, components and nodes. They are apart on purpose: whoever holds a certificate for the API, a node for
//! example, must not be able to open the store beneath it, where no object is protected from anyone.
//!
//! **Invariant**: a file that exists is never overwritten, so that a second `up` keeps every certificate that was handed out.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate could not be generated or parsed.
    #[error("cannot make the certificate {}", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// What the library says.
        #[source]
        source: rcgen::Error,
    },
}

/// What a certificate is for; decides its extended key usages and whether it names addresses.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// Serves TLS at these addresses, and acts as a client of its peers.
    Server(Vec<IpAddr>),
    /// Names a client only.
    Client,
}

/// A subject to be certified.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The common name: the user.
    pub common_name: String,
    /// The organization: the user's group, if any.
    pub organization: Option<String>,
    /// What the certificate is for.
    pub purpose: Purpose,
}

impl Subject {
    /// A client with its user name and group.
    #[must_use]
    pub fn client(common_name: &str, organization: Option<&str>) -> Self {
        Self {
            common_name: common_name.to_owned(),
            organization: organization.map(str::to_owned),
            purpose: Purpose::Client,
        }
    }

    /// A server that answers at `addresses` and at the names in [`SERVER_NAMES`].
    #[must_use]
    pub fn server(common_name: &str, organization: Option<&str>, addresses: &[IpAddr]) -> Self {
        Self {
            common_name: common_name.to_owned(),
            organization: organization.map(str::to_owned),
            purpose: Purpose::Server(addresses.to_vec()),
        }
    }
}

/// The DNS names that every server certificate carries beside its addresses: those that clients inside and outside the
/// cluster use for the API.
pub const SERVER_NAMES: [&str; 5] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// How long authorities and certificates are valid. Renewal is not automatic yet, so it is long.
const VALID_DAYS: i64 = 3650;

/// A certificate authority in two files, `<path>.crt` and `<path>.key`.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_path: PathBuf,
}

impl Authority {
    /// Reads the authority at `path`, or creates it there as `common_name`.
    ///
    /// # Errors
    /// When a file cannot be read or written, or is not a certificate or key.
    pub fn open_or_create(path: &Path, common_name: &str) -> Result<Self, Error> {
        let (certificate_path, key_path) = (path.with_extension("crt"), path.with_extension("key"));
        let fail = |source| Error::Certificate { path: certificate_path.clone(), source };
        if !certificate_path.exists() {
            let key = KeyPair::generate().map_err(fail)?;
            let mut params = params(common_name, None);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let certificate = params.self_signed(&key).map_err(fail)?;
            // The key comes first: a certificate without its key would never be repaired.
            write(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
            write(&certificate_path, certificate.pem().as_bytes(), 0o644)?;
        }
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(fail)?;
        let issuer = Issuer::from_ca_cert_pem(&read(&certificate_path)?, key).map_err(fail)?;
        Ok(Self { issuer, certificate_path })
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn certificate_path(&self) -> &Path {
        &self.certificate_path
    }

    /// Certifies `subject` in `<path>.crt` and `<path>.key`, unless those exist already.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn certify(&self, path: &Path, subject: &Subject) -> Result<(), Error> {
        let (certificate_path, key_path) = (path.with_extension("crt"), path.with_extension("key"));
        if certificate_path.exists() && key_path.exists() {
            return Ok(());
        }
        let fail = |source| Error::Certificate { path: certificate_path.clone(), source };
        let mut params = params(&subject.common_name, subject.organization.as_deref());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let Purpose::Server(addresses) = &subject.purpose {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            for name in SERVER_NAMES {
                params.subject_alt_names.push(SanType::DnsName(name.try_into().map_err(fail)?));
            }
            params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        }
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(fail)?;
        write(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
        write(&certificate_path, certificate.pem().as_bytes(), 0o644)
    }
}

fn params(common_name: &str, organization: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    let now = std::time::SystemTime::now();
    // An hour of slack for clocks that disagree.
    params.not_before = (now - std::time::Duration::from_secs(3600)).into();
    params.not_after = (now + std::time::Duration::from_secs(VALID_DAYS as u64 * 86_400)).into();
    params
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File { action: "read", path: path.to_owned(), source })
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Written aside and renamed, so that a crash leaves either no file or a whole one.
        let aside = path.with_added_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().map_err(|source| Error::File { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_call_keeps_every_certificate() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let subject = Subject::server("m1", Some("keelson:members"), &[IpAddr::from([127, 0, 0, 1])]);
        let issue = || {
            let authority = Authority::open_or_create(&at("ca"), "test-ca").expect("an authority");
            authority.certify(&at("m1"), &subject).expect("a certificate");
            ["ca.crt", "ca.key", "m1.crt", "m1.key"].map(|name| fs::read(at(name)).expect("a file"))
        };
        assert_eq!(issue(), issue());
    }

    #[test]
    fn a_certificate_names_its_user_group_and_addresses() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = Authority::open_or_create(&folder.path().join("ca"), "test-ca").expect("an authority");
        let subject = Subject::server("m1", Some("keelson:members"), &[IpAddr::from([127, 0, 0, 1])]);
        authority.certify(&folder.path().join("m1"), &subject).expect("a certificate");
        let pem = fs::read(folder.path().join("m1.crt")).expect("the certificate");
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).expect("PEM");
        let certificate = pem.parse_x509().expect("X.509");
        assert_eq!(certificate.subject().to_string(), "CN=m1, O=keelson:members");
        assert_eq!(certificate.issuer().to_string(), "CN=test-ca");
        let names = certificate.subject_alternative_name().expect("a valid extension").expect("names");
        assert_eq!(names.value.general_names.len(), SERVER_NAMES.len() + 1);
    }
}
