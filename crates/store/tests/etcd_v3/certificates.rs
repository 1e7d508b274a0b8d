//! A certificate authority for one test cluster, with its files.

use std::path::{Path, PathBuf};

use keelson_store::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    name: String,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate of an authority");
        let authority = Self { issuer, folder: folder.to_owned(), name: name.to_owned() };
        write(&authority.ca(), &authority.issuer.pem());
        authority
    }

    pub fn ca(&self) -> PathBuf {
        self.folder.join(format!("{}-ca.crt", self.name))
    }

    /// Makes a certificate for both directions, valid for this machine.
    pub fn issue(&self, common_name: &str) -> Tls {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("good names");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |end: &str| self.folder.join(format!("{}-{common_name}.{end}", self.name));
        let tls = Tls { ca: self.ca(), certificate: file("crt"), key: file("key") };
        write(&tls.certificate, &certificate.pem());
        write(&tls.key, &key.serialize_pem());
        tls
    }
}

fn write(path: &Path, content: &str) {
    std::fs::write(path, content).expect("the test's folder takes files");
}
