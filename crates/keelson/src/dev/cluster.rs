//! A local cluster as a value: its processes, certificates and client configurations. The commands of `keelson dev`, the
//! benchmarks and the fault tests are all made of this.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::layout::{Layout, Spec, SpecError};
use super::process::{self, Process};
use crate::pki::{self, Authority, Subject};

/// The group of certificates that members show to each other.
pub const MEMBERS_GROUP: &str = "keelson:members";
/// The nodes of the agent are called `node-1`, `node-2`, …
pub const NODE_PREFIX: &str = "node-";
/// The name of the agent process.
const AGENT: &str = "agent";

/// Why a local cluster could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The specification is out of range.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There is no cluster in this home.
    #[error("there is no cluster in {}; `keelson dev up` makes one", .0.display())]
    Absent(PathBuf),
    /// The cluster that exists is another one.
    #[error(
        "the cluster in {} has other settings ({existing}); `keelson dev reset` erases it, or use another --home",
        home.display()
    )]
    Different {
        /// Where it is.
        home: PathBuf,
        /// What it is.
        existing: String,
    },
    /// No such member.
    #[error("there is no member {0}; members are m1 to m{1}")]
    NoMember(String, usize),
    /// A port that a process needs is taken.
    #[error("port {port} is in use by another program; end that program, or choose other ports with --{option}")]
    PortInUse {
        /// The port.
        port: u16,
        /// The option that moves it.
        option: &'static str,
    },
    /// A process could not be started or ended.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A certificate could not be made.
    #[error(transparent)]
    Pki(#[from] pki::Error),
    /// A file could not be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// `cluster.json` is not what this program writes.
    #[error("{} is damaged; `keelson dev reset` erases the cluster", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// A local cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    layout: Layout,
    spec: Spec,
    program: PathBuf,
}

impl Cluster {
    /// Opens the cluster in `home`, or makes one as `spec` says. `program` is the `keelson` binary that its processes run.
    ///
    /// # Errors
    /// When the cluster in `home` differs from `spec`, or a file cannot be written.
    pub fn open_or_create(home: &Path, spec: Spec, program: &Path) -> Result<Self, Error> {
        spec.validate()?;
        let layout = Layout::new(home);
        if layout.spec().exists() {
            let existing = Self::open(home, program)?;
            if existing.spec != spec {
                let Spec { members, nodes, api_port, store_port, insecure_store, .. } = existing.spec;
                let existing = format!(
                    "{members} members, {nodes} nodes, ports from {api_port} and {store_port}{}",
                    if insecure_store { ", insecure store" } else { "" }
                );
                return Err(Error::Different { home: home.to_owned(), existing });
            }
            return Ok(existing);
        }
        let cluster = Self { layout, spec, program: program.to_owned() };
        cluster.write_certificates()?;
        cluster.write_client_configurations()?;
        // Last, so that a home with a specification is a whole one.
        write(&cluster.layout.spec(), &serde_json::to_vec_pretty(&cluster.spec).unwrap_or_default())?;
        Ok(cluster)
    }

    /// Opens the cluster in `home`.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(home: &Path, program: &Path) -> Result<Self, Error> {
        let layout = Layout::new(home);
        let path = layout.spec();
        let Ok(text) = fs::read(&path) else {
            return Err(Error::Absent(home.to_owned()));
        };
        let spec: Spec = serde_json::from_slice(&text).map_err(|source| Error::Damaged { path, source })?;
        spec.validate()?;
        Ok(Self { layout, spec, program: program.to_owned() })
    }

    /// What it consists of.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its files.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Member `index`, from 0.
    #[must_use]
    pub fn member(&self, index: usize) -> Process {
        let name = format!("m{}", index + 1);
        Process::new(name.clone(), self.layout.process(&name))
    }

    /// The index of the member called `m2` or `2`.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn member_index(&self, name: &str) -> Result<usize, Error> {
        let number: Option<usize> = name.strip_prefix('m').unwrap_or(name).parse().ok();
        match number {
            Some(number) if (1..=self.spec.members).contains(&number) => Ok(number - 1),
            _ => Err(Error::NoMember(name.to_owned(), self.spec.members)),
        }
    }

    /// All the members.
    pub fn members(&self) -> impl Iterator<Item = Process> {
        (0..self.spec.members).map(|index| self.member(index))
    }

    /// The process that hosts the simulated nodes.
    #[must_use]
    pub fn agent(&self) -> Process {
        Process::new(AGENT, self.layout.process(AGENT))
    }

    /// Starts member `index` unless it runs.
    ///
    /// # Errors
    /// When a port is taken or the program cannot be executed.
    pub fn start_member(&self, index: usize) -> Result<(), Error> {
        let process = self.member(index);
        if process.pid().is_some() {
            return Ok(());
        }
        for (address, option) in [
            (self.spec.api_address(index), "api-port"),
            (self.spec.store_address(index), "store-port"),
            (self.spec.peer_address(index), "peer-port"),
        ] {
            if std::net::TcpStream::connect(address).is_ok() {
                return Err(Error::PortInUse { port: address.port(), option });
            }
        }
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut arguments: Vec<String> = ["server", "--name", process.name()].map(str::to_owned).into();
        let options = [
            ("--data-dir", path(process.layout().data())),
            ("--pki-dir", path(process.layout().pki())),
            ("--cluster-token", "keelson-dev".to_owned()),
            ("--initial-cluster", self.spec.initial_cluster(index)),
            ("--api-addresses", self.spec.api_addresses()),
            ("--listen-peer", self.spec.peer_address(index).to_string()),
            ("--listen-store", self.spec.store_address(index).to_string()),
            ("--listen-api", self.spec.api_address(index).to_string()),
            // A simulated node renews its lease every second, so five misses are certain, and its pods move at once.
            ("--node-monitor-grace-seconds", "5".to_owned()),
            ("--pod-eviction-seconds", "0".to_owned()),
            ("--node-eviction-interval-seconds", "0".to_owned()),
        ];
        let given = |(option, _): &(&str, String)| self.spec.server_arguments.iter().any(|given| given == option);
        let options = options.into_iter().filter(|option| !given(option));
        arguments.extend(options.flat_map(|(option, value)| [option.to_owned(), value]));
        if self.spec.insecure_store {
            arguments.push("--insecure-store".to_owned());
        }
        arguments.extend(self.spec.server_arguments.iter().cloned());
        Ok(process.start(&self.program, &arguments)?)
    }

    /// Starts the agent unless it runs or there are no nodes.
    ///
    /// # Errors
    /// When the program cannot be executed.
    pub fn start_agent(&self) -> Result<(), Error> {
        if self.spec.nodes == 0 {
            return Ok(());
        }
        let process = self.agent();
        let arguments = [
            "agent".to_owned(),
            "--endpoints".to_owned(),
            self.spec.api_endpoints().join(","),
            "--pki-dir".to_owned(),
            process.layout().pki().to_string_lossy().into_owned(),
            "--nodes".to_owned(),
            self.spec.nodes.to_string(),
            "--node-prefix".to_owned(),
            NODE_PREFIX.to_owned(),
            "--lease-seconds".to_owned(),
            "1".to_owned(),
        ];
        Ok(process.start(&self.program, &arguments)?)
    }

    /// Ends every process: the agent first, then the members together.
    ///
    /// # Errors
    /// When one of them does not end.
    pub fn stop(&self) -> Result<(), Error> {
        self.agent().stop()?;
        let stopping: Vec<_> = self.members().map(|member| std::thread::spawn(move || member.stop())).collect();
        for thread in stopping {
            match thread.join() {
                Ok(stopped) => stopped?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    }

    /// Ends every process and removes everything.
    ///
    /// # Errors
    /// When a process does not end or a file cannot be removed.
    pub fn erase(self) -> Result<(), Error> {
        self.stop()?;
        let home = self.layout.home();
        fs::remove_dir_all(home).map_err(|source| Error::File { path: home.to_owned(), source })
    }

    /// Removes the data of a member, which must not run: it comes back as an empty one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn wipe_member(&self, index: usize) -> Result<(), Error> {
        let path = self.member(index).layout().data();
        fs::remove_dir_all(&path).map_err(|source| Error::File { path, source })
    }

    /// How a client of the API introduces itself: `admin`, `scheduler`, `controllers` or `agent`.
    #[must_use]
    pub fn api_certificate(&self, user: &str) -> (PathBuf, PathBuf, PathBuf) {
        let pki = self.layout.pki();
        (pki.join("api-ca.crt"), pki.join(format!("{user}.crt")), pki.join(format!("{user}.key")))
    }

    /// Authority, certificate and key of a client of the etcd port.
    #[must_use]
    pub fn store_certificate(&self) -> (PathBuf, PathBuf, PathBuf) {
        let pki = self.layout.pki();
        (pki.join("store-ca.crt"), pki.join("store-client.crt"), pki.join("store-client.key"))
    }

    /// The variables by which kubectl, keelctl and etcdctl find the cluster; those without a value are to be unset.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, Option<String>)> {
        let show = |path: PathBuf| Some(path.to_string_lossy().into_owned());
        let (api_authority, api_certificate, api_key) = self.api_certificate("admin");
        let (authority, certificate, key) = self.store_certificate();
        let store = |path: PathBuf| if self.spec.insecure_store { None } else { show(path) };
        vec![
            ("KEELSON_HOME", show(self.layout.home().to_owned())),
            ("KUBECONFIG", show(self.layout.kubeconfig())),
            ("KEELCTL_ENDPOINTS", Some(self.spec.api_endpoints().join(","))),
            ("KEELCTL_CACERT", show(api_authority)),
            ("KEELCTL_CERT", show(api_certificate)),
            ("KEELCTL_KEY", show(api_key)),
            ("ETCDCTL_API", Some("3".to_owned())),
            ("ETCDCTL_ENDPOINTS", Some(self.spec.store_endpoints().join(","))),
            ("ETCDCTL_CACERT", store(authority)),
            ("ETCDCTL_CERT", store(certificate)),
            ("ETCDCTL_KEY", store(key)),
        ]
    }

    fn write_certificates(&self) -> Result<(), Error> {
        let pki = self.layout.pki();
        let store = Authority::open_or_create(&pki.join("store-ca"), "keelson-store-ca")?;
        let api = Authority::open_or_create(&pki.join("api-ca"), "keelson-api-ca")?;
        // The API's Service address too, for clients inside the cluster.
        let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1))];
        store.certify(&pki.join("store-client"), &Subject::client("store-client", None))?;
        api.certify(&pki.join("admin"), &Subject::client("kubernetes-admin", Some("system:masters")))?;
        for member in self.members() {
            let own = member.layout().pki();
            let name = member.name();
            store.certify(&own.join("member"), &Subject::server(name, Some(MEMBERS_GROUP), &addresses))?;
            api.certify(&own.join("api-server"), &Subject::server(name, None, &addresses))?;
            api.certify(&own.join("scheduler"), &Subject::client("system:kube-scheduler", None))?;
            api.certify(&own.join("controllers"), &Subject::client("system:kube-controller-manager", None))?;
            copy(store.certificate_path(), &own.join("store-ca.crt"))?;
            copy(api.certificate_path(), &own.join("api-ca.crt"))?;
        }
        let own = self.agent().layout().pki();
        api.certify(&own.join("agent"), &Subject::client("system:node:simulated", Some("system:nodes")))?;
        copy(api.certificate_path(), &own.join("api-ca.crt"))
    }

    fn write_client_configurations(&self) -> Result<(), Error> {
        let (authority, certificate, key) = self.api_certificate("admin");
        let keelctl = json!({
            "endpoints": self.spec.api_endpoints(),
            "cacert": authority,
            "cert": certificate,
            "key": key,
        });
        write(&self.layout.keelctl_config(), &serde_json::to_vec_pretty(&keelctl).unwrap_or_default())?;
        let encoded = |path: &Path| {
            let bytes = fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
            Ok::<_, Error>(BASE64.encode(bytes))
        };
        let authority = encoded(&authority)?;
        // kubectl knows one server a cluster, so every member is a context of its own; the first one is current.
        let name = |index: usize| if index == 0 { "keelson".to_owned() } else { format!("keelson-m{}", index + 1) };
        let indexes = || 0..self.spec.members;
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": indexes().map(|index| json!({
                "name": name(index),
                "cluster": {
                    "server": format!("https://{}", self.spec.api_address(index)),
                    "certificate-authority-data": authority,
                },
            })).collect::<Vec<_>>(),
            "users": [{
                "name": "kubernetes-admin",
                "user": {
                    "client-certificate-data": encoded(&certificate)?,
                    "client-key-data": encoded(&key)?,
                },
            }],
            "contexts": indexes().map(|index| json!({
                "name": name(index),
                "context": { "cluster": name(index), "user": "kubernetes-admin" },
            })).collect::<Vec<_>>(),
            "current-context": name(0),
        });
        // JSON is YAML too.
        write_private(&self.layout.kubeconfig(), &serde_json::to_vec_pretty(&kubeconfig).unwrap_or_default())
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content)
    };
    write().map_err(|source| Error::File { path: path.to_owned(), source })
}

fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|source| Error::File { path: path.to_owned(), source })
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let content = fs::read(from).map_err(|source| Error::File { path: from.to_owned(), source })?;
    write(to, &content)
}
