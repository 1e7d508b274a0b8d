//! The peer: an etcd cluster of three members on this machine, without TLS, with its defaults.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use keelson_proto::etcdserverpb::StatusRequest;
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;

use keelson::dev::scratch::{folder, free_ports};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running etcd cluster that is ended and erased when dropped.
pub struct Etcd {
    members: Vec<Child>,
    ports: u16,
    _folder: tempfile::TempDir,
}

/// The etcd binary that `scripts/install test` fetches.
pub fn binary() -> anyhow::Result<PathBuf> {
    let tools = std::env::var_os("KEELSON_TOOLS").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cache/keelson/tools"))
    });
    let path = tools.context("neither KEELSON_TOOLS nor HOME is set")?.join("etcd-3.5/etcd");
    anyhow::ensure!(path.is_file(), "there is no {}; `scripts/install test` fetches it", path.display());
    Ok(path)
}

impl Etcd {
    /// Starts `count` members and waits until all of them follow one leader.
    pub async fn start(count: u16) -> anyhow::Result<Self> {
        let folder = tempfile::TempDir::new_in(folder()?)?;
        let ports = free_ports(2 * count)?;
        let initial: Vec<String> = (0..count).map(|i| format!("e{i}=http://127.0.0.1:{}", ports + 2 * i + 1)).collect();
        let mut etcd = Self { members: Vec::new(), ports, _folder: folder };
        for i in 0..count {
            let client = format!("http://127.0.0.1:{}", ports + 2 * i);
            let peer = format!("http://127.0.0.1:{}", ports + 2 * i + 1);
            let child = Command::new(binary()?)
                .args(["--name", &format!("e{i}")])
                .arg("--data-dir")
                .arg(etcd._folder.path().join(format!("e{i}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &initial.join(","), "--log-level", "error"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            etcd.members.push(child);
        }
        let deadline = Instant::now() + READY_WITHIN;
        for endpoint in etcd.endpoints() {
            while !follows_a_leader(&endpoint).await {
                if Instant::now() > deadline {
                    bail!("etcd did not become ready");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(etcd)
    }

    /// The client endpoints, one a member.
    pub fn endpoints(&self) -> Vec<String> {
        (0..self.members.len() as u16).map(|i| format!("http://127.0.0.1:{}", self.ports + 2 * i)).collect()
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

async fn follows_a_leader(endpoint: &str) -> bool {
    let Ok(mut client) = MaintenanceClient::connect(endpoint.to_owned()).await else { return false };
    client.status(StatusRequest {}).await.is_ok_and(|status| status.into_inner().leader != 0)
}
