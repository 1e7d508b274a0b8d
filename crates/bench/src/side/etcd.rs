//! The peer: an etcd cluster on this machine, with its defaults but for the size of its data.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keelson::dev::{process, scratch};

use super::certificates::{Certificates, ClientFiles};
use crate::options::Options;

/// The most that etcd's documents recommend; its default of 2 GiB is too small for the works with much data.
const QUOTA_BYTES: u64 = 8 << 30;

/// A running etcd cluster that is ended and erased when dropped.
pub struct Etcd {
    members: Vec<Child>,
    first_port: u16,
    certificates: Option<Certificates>,
    folder: tempfile::TempDir,
}

impl Etcd {
    /// Starts the members.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn start(options: &Options) -> anyhow::Result<Self> {
        let program = options.etcd_program()?;
        let count = options.members;
        let folder = tempfile::TempDir::new_in(scratch::folder()?)?;
        let first_port = scratch::free_ports(2 * u16::try_from(count)?)?;
        let certificates = options.tls.then(|| Certificates::create(&folder.path().join("pki"))).transpose()?;
        let scheme = if options.tls { "https" } else { "http" };
        let mut etcd = Self { members: Vec::new(), first_port, certificates, folder };
        let client = |index| format!("{scheme}://{}", address(first_port, index, 0));
        let peer = |index| format!("{scheme}://{}", address(first_port, index, 1));
        let initial: Vec<_> = (0..count).map(|index| format!("e{index}={}", peer(index))).collect();
        for index in 0..count {
            let mut command = Command::new(&program);
            command
                .args(["--name", &format!("e{index}"), "--log-level", "error"])
                .arg("--data-dir")
                .arg(etcd.folder.path().join(format!("e{index}")))
                .args(["--listen-client-urls", &client(index), "--advertise-client-urls", &client(index)])
                .args(["--listen-peer-urls", &peer(index), "--initial-advertise-peer-urls", &peer(index)])
                .args(["--initial-cluster", &initial.join(",")])
                .args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            if let Some(certificates) = &etcd.certificates {
                let (certificate, key) = &certificates.server;
                for prefix in ["--", "--peer-"] {
                    command.arg(format!("{prefix}client-cert-auth"));
                    command.arg(format!("{prefix}trusted-ca-file")).arg(&certificates.authority);
                    command.arg(format!("{prefix}cert-file")).arg(certificate);
                    command.arg(format!("{prefix}key-file")).arg(key);
                }
            }
            etcd.members.push(command.spawn()?);
        }
        Ok(etcd)
    }

    /// Where its members serve clients.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        (0..self.members.len()).map(|index| address(self.first_port, index, 0)).collect()
    }

    /// What clients need if TLS is on.
    pub fn client_files(&self) -> Option<ClientFiles> {
        Some(self.certificates.as_ref()?.client.clone())
    }

    /// Resident memory of each member.
    pub fn resident_bytes(&self) -> Vec<u64> {
        self.members.iter().filter_map(|member| process::resident_bytes(member.id())).collect()
    }

    /// The processor time that all members together have taken so far.
    pub fn processor_time(&self) -> Duration {
        self.members.iter().filter_map(|member| process::processor_time(member.id())).sum()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            // Both fail only when it has ended already.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// Each member has two ports: for clients and for peers.
fn address(first_port: u16, index: usize, which: u16) -> SocketAddr {
    let port = first_port.saturating_add(2 * u16::try_from(index).unwrap_or(u16::MAX)).saturating_add(which);
    (Ipv4Addr::LOCALHOST, port).into()
}
