//! Where the cluster is: flags and variables first, then the file that a local cluster leaves behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keelson_client::{Client, Options, Tls};
use serde::Deserialize;

use crate::Error;
use crate::arguments::Connection;

/// A person at a terminal rather learns that nobody is there than waits.
const UNREACHABLE_TIMEOUT: Duration = Duration::from_secs(2);
const FIELD_MANAGER: &str = "keelctl";

/// The configuration file.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct File {
    endpoints: Vec<String>,
    cacert: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    namespace: Option<String>,
}

/// Everything settled.
#[derive(Debug)]
pub(crate) struct Config {
    endpoints: Vec<String>,
    cacert: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    request_timeout: Duration,
    /// The namespace to work in when none is given.
    pub namespace: String,
}

impl Config {
    /// Reads the configuration file, if there is one, and lets `connection` win over it.
    pub fn load(connection: &Connection) -> Result<Self, Error> {
        let path = default_path();
        let file = match &path {
            Some(path) if path.exists() => read(path)?,
            _ => File::default(),
        };
        Self::settle(connection, file, path.as_deref())
    }

    fn settle(connection: &Connection, file: File, path: Option<&Path>) -> Result<Self, Error> {
        // Endpoints of one cluster with certificates of another never work: given endpoints bring their own.
        let given: Vec<String> = connection.endpoints.iter().filter(|given| !given.is_empty()).cloned().collect();
        let own = !given.is_empty();
        let file = if own { File { namespace: file.namespace, ..File::default() } } else { file };
        let endpoints = if own { given } else { file.endpoints };
        if endpoints.is_empty() {
            let place = path.map_or_else(String::new, |path| format!(" (no {})", path.display()));
            return Err(Error::Unconfigured { place });
        }
        let settled = Self {
            endpoints,
            cacert: connection.cacert.clone().or(file.cacert),
            cert: connection.cert.clone().or(file.cert),
            key: connection.key.clone().or(file.key),
            request_timeout: connection.request_timeout.unwrap_or(Options::default().request_timeout),
            namespace: file.namespace.unwrap_or_else(|| "default".to_owned()),
        };
        if settled.cert.is_some() != settled.key.is_some() {
            return Err(Error::Usage("--cert and --key belong together".to_owned()));
        }
        if settled.cert.is_some() && settled.cacert.is_none() {
            return Err(Error::Usage("--cert needs --cacert, the CA that signed the members' certificates".to_owned()));
        }
        Ok(settled)
    }

    /// The same with requests that take no longer than this.
    pub fn within(mut self, limit: Duration) -> Self {
        self.request_timeout = self.request_timeout.min(limit);
        self
    }

    pub fn client(&self) -> Result<Client, Error> {
        let optional = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(Vec::new()), read_bytes);
        let tls = match &self.cacert {
            Some(cacert) => Some(Tls {
                ca_pem: read_bytes(cacert)?,
                cert_pem: optional(&self.cert)?,
                key_pem: optional(&self.key)?,
            }),
            None => None,
        };
        let options = Options {
            endpoints: self.endpoints.clone(),
            tls,
            request_timeout: self.request_timeout,
            unreachable_timeout: UNREACHABLE_TIMEOUT,
            user_agent: concat!("keelctl/", env!("CARGO_PKG_VERSION")).to_owned(),
            field_manager: FIELD_MANAGER.to_owned(),
        };
        Client::connect(options).map_err(Error::from)
    }
}

fn default_path() -> Option<PathBuf> {
    let home = match std::env::var_os("KEELSON_HOME").filter(|home| !home.is_empty()) {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(".keelson/dev"),
    };
    Some(home.join("keelctl.json"))
}

/// Relative paths in the file are relative to its folder.
fn read(path: &Path) -> Result<File, Error> {
    let text = read_bytes(path)?;
    let mut file: File = serde_json::from_slice(&text)
        .map_err(|error| Error::InvalidFile { path: path.to_owned(), detail: error.to_string() })?;
    if let Some(folder) = path.parent() {
        for entry in [&mut file.cacert, &mut file.cert, &mut file.key].into_iter().flatten() {
            *entry = folder.join(&*entry);
        }
    }
    Ok(file)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(endpoints: &[&str], cert: Option<&str>, key: Option<&str>) -> Connection {
        Connection {
            endpoints: endpoints.iter().map(ToString::to_string).collect(),
            cacert: Some("ca.crt".into()),
            cert: cert.map(PathBuf::from),
            key: key.map(PathBuf::from),
            request_timeout: None,
        }
    }

    fn file() -> File {
        File { endpoints: vec!["a:1".into()], cert: Some("x.crt".into()), key: Some("x.key".into()), ..File::default() }
    }

    #[test]
    fn given_endpoints_do_not_mix_with_the_file() {
        let config = Config::settle(&given(&["b:2"], None, None), file(), None).expect("it is complete");
        assert_eq!((config.endpoints, config.cert), (vec!["b:2".to_owned()], None));
        let config = Config::settle(&given(&[], None, None), file(), None).expect("it is complete");
        assert_eq!((config.endpoints, config.cert), (vec!["a:1".to_owned()], Some("x.crt".into())));
    }

    #[test]
    fn half_a_configuration_is_told() {
        let error =
            |connection, file| Config::settle(&connection, file, None).expect_err("it is incomplete").to_string();
        assert!(error(given(&[], None, None), File::default()).contains("no cluster is configured"));
        assert!(error(given(&["a:1"], Some("x"), None), File::default()).contains("belong together"));
    }

    #[test]
    fn paths_in_the_file_are_relative_to_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keelctl.json");
        std::fs::write(&path, r#"{"endpoints": ["a:1"], "cacert": "pki/ca.crt", "cert": "/etc/x.crt"}"#)
            .expect("written");
        let file = read(&path).expect("it is valid");
        assert_eq!((file.cacert, file.cert), (Some(folder.path().join("pki/ca.crt")), Some("/etc/x.crt".into())));
        std::fs::write(&path, "{").expect("written");
        assert!(read(&path).expect_err("it is broken").to_string().contains("keelctl.json"));
    }
}
