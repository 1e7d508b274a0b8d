//! Fetches a backup from a member, or from anything that speaks etcd's Maintenance service, into a file.
//!
//! **Invariant**: the file appears under its name only after its checksum was found right and it was synced.

use std::path::Path;

use keelson_proto::etcdserverpb::SnapshotRequest;
use keelson_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tonic::transport::Endpoint;

use super::Error;
use crate::options::Tls;
use crate::peer_tls;

const SHA256_BYTES: usize = 32;

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The revision that the member was at.
    pub revision: i64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The checksum, in hexadecimal digits.
    pub sha256: String,
}

/// Fetches a backup from the etcd port at the URL `endpoint` into `path`, which is replaced. `progress` is told how many
/// bytes have come and how many are to come.
///
/// # Errors
/// When the member cannot be reached or fails, the stream is cut short or damaged, or the disk fails.
pub async fn fetch(
    endpoint: &str,
    tls: Option<&Tls>,
    path: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Fetched, Error> {
    let unreachable = |source| Error::Unreachable { endpoint: endpoint.to_owned(), source };
    let mut target = Endpoint::from_shared(endpoint.to_owned()).map_err(unreachable)?;
    if let Some(tls) = tls {
        target = target.tls_config(peer_tls::once(tls).map_err(Error::Tls)?).map_err(unreachable)?;
    }
    let mut client = MaintenanceClient::new(target.connect().await.map_err(unreachable)?);
    let refused = |status: tonic::Status| Error::Refused { endpoint: endpoint.to_owned(), status: Box::new(status) };
    let mut blobs = client.snapshot(SnapshotRequest {}).await.map_err(refused)?.into_inner();

    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let partial = path.with_file_name(name);
    let mut file = File::create(&partial).await.map_err(Error::io("create", &partial))?;
    let mut digest = Sha256::new();
    let (mut bytes, mut revision) = (0, 0);
    // Only the end of the stream says which blob was the checksum.
    let mut last = bytes::Bytes::new();
    while let Some(response) = blobs.message().await.map_err(refused)? {
        digest.update(&last);
        last = response.blob;
        file.write_all(&last).await.map_err(Error::io("write", &partial))?;
        bytes += last.len() as u64;
        revision = response.header.map_or(revision, |header| header.revision);
        progress(bytes, response.remaining_bytes);
    }
    let sha256 = digest.finalize();
    if last.len() != SHA256_BYTES || last[..] != sha256[..] {
        drop(tokio::fs::remove_file(&partial).await);
        return Err(Error::Checksum { path: path.to_owned() });
    }
    file.sync_all().await.map_err(Error::io("sync", &partial))?;
    tokio::fs::rename(&partial, path).await.map_err(Error::io("make", path))?;
    let sha256 = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Fetched { revision, bytes, sha256 })
}
