//! Certificates for what this program starts, when TLS is on.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keelson::pki::{Authority, Subject};

use crate::wire;

/// An authority, a server's certificate and a client's, in files.
pub struct Certificates {
    pub authority: PathBuf,
    pub server: (PathBuf, PathBuf),
    pub client: ClientFiles,
}

/// What a client of a cluster with TLS needs.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl ClientFiles {
    /// What the clients of this program use.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&self) -> anyhow::Result<Arc<rustls::ClientConfig>> {
        wire::client_tls(&self.authority, &self.certificate, &self.key)
    }
}

impl Certificates {
    /// Makes them in `folder`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let authority = Authority::open_or_create(&folder.join("ca"), "bench-ca")?;
        let files = |name: &str| (folder.join(name).with_extension("crt"), folder.join(name).with_extension("key"));
        authority.certify(&folder.join("server"), &Subject::server("server", None, &[Ipv4Addr::LOCALHOST.into()]))?;
        authority.certify(&folder.join("client"), &Subject::client("client", None))?;
        let (certificate, key) = files("client");
        let client = ClientFiles { authority: authority.certificate_path().to_owned(), certificate, key };
        Ok(Self { authority: client.authority.clone(), server: files("server"), client })
    }
}
