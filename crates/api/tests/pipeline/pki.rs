//! A throw-away certificate authority.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use tonic::transport::Identity;

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

pub struct Files {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("makes a key");
        let pem = params.self_signed(&key).expect("signs").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    fn sign(&self, name: &str, groups: &[&str]) -> (String, String) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("makes parameters");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().expect("makes a key");
        (params.signed_by(&key, &self.issuer).expect("signs").pem(), key.serialize_pem())
    }

    pub fn client(&self, name: &str, groups: &[&str]) -> Identity {
        let (certificate, key) = self.client_pem(name, groups);
        Identity::from_pem(certificate, key)
    }

    /// A client's certificate and its key.
    pub fn client_pem(&self, name: &str, groups: &[&str]) -> (String, String) {
        self.sign(name, groups)
    }

    pub fn server_files(&self, folder: &Path) -> Files {
        let (certificate, key) = self.sign("m1", &[]);
        let files =
            Files { ca: folder.join("ca.pem"), certificate: folder.join("member.pem"), key: folder.join("member.key") };
        std::fs::write(&files.ca, &self.pem).expect("writes");
        std::fs::write(&files.certificate, certificate).expect("writes");
        std::fs::write(&files.key, key).expect("writes");
        files
    }
}
