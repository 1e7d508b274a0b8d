//! Makes the data folder of one member of a new cluster from a backup.
//!
//! Keys, their revisions and leases are kept; members, alarms and the log are new. Every member of the new cluster is
//! restored from the same file. Their logs start as if the first entries had been purged, so that a member which joins
//! later, without the backup, is sent the state rather than a log that does not have it.
//!
//! **Invariant**: the data folder appears whole, by one rename, or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use keelson_proto::keelson::store::v1::{ClusterState, MemberRecord};
use prost::Message as _;

use super::archive::is_empty;
use super::{Archive, Error, Summary, folder_in};
use crate::options::{self, Peer};
use crate::raft::log::{self, Identity};
use crate::raft::{codec, types};
use crate::state;

/// The place of the last entry that the new cluster's log does not have: what founders would have written. So it counts as
/// not formed, and a member that is restored a second time finds that the others are.
const PURGED_INDEX: u64 = 0;

/// What to restore, into what.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// The new member's data folder: absent or empty.
    pub data_dir: PathBuf,
    /// The new member's name; one of `peers`.
    pub name: String,
    /// Distinguishes clusters whose members have the same names.
    pub cluster_token: String,
    /// Every member of the new cluster, this one included.
    pub peers: Vec<Peer>,
    /// Added to the revision, so that clients which cached later ones than the backup has do not see it go back.
    pub bump_revision: i64,
    /// Forget all versions but the newest, so that watches from cached revisions end and their clients read anew.
    pub mark_compacted: bool,
}

/// Restores; gives what was restored. Blocks.
///
/// # Errors
/// When the backup or the options cannot be used; the data folder is then as before.
pub fn restore(options: &Restore) -> Result<Summary, Error> {
    options::check_peers(&options.name, &options.peers).map_err(Error::Options)?;
    if !is_empty(&options.data_dir)? {
        return Err(Error::NotEmpty { path: options.data_dir.clone() });
    }
    let archive = Archive::open(&options.file)?;
    let parent = match options.data_dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = folder_in(parent)?;
    let database = state::first_folder(&folder.path().join("state")).map_err(Error::State)?;
    archive.unpack(&database)?;
    let before = archive.summary(&database)?;
    let revision = before.revision.checked_add(options.bump_revision).filter(|_| options.bump_revision >= 0);
    let revision = revision.ok_or(Error::Revision { by: options.bump_revision })?;
    let compacted = if options.mark_compacted { revision } else { before.compacted_revision };
    let (cluster, membership) = founders(options);
    let reset = state::Reset { index: codec::position(Some(PURGED_INDEX)), revision, compacted, membership, cluster };
    state::reset(&database, reset).map_err(Error::State)?;
    let identity = Identity {
        cluster_id: options::restored_cluster_id(
            &options.cluster_token,
            &options.peers,
            &archive.sha256(),
            (revision, compacted),
        ),
        member_id: options::member_id(&options.cluster_token, &options.name),
    };
    let purged = types::log_id(0, PURGED_INDEX);
    log::found(&folder.path().join("log"), identity, purged, log::SEGMENT_BYTES).map_err(Error::log)?;
    // An empty folder may be in the way of the rename.
    match fs::remove_dir(&options.data_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::Io { action: "replace", path: options.data_dir.clone(), source: error });
        }
        _ => {}
    }
    let made = folder.keep();
    fs::rename(&made, &options.data_dir)
        .and_then(|()| fs::File::open(parent)?.sync_all())
        .map_err(Error::io("make", &options.data_dir))?;
    Ok(Summary { revision, compacted_revision: compacted, ..before })
}

/// The new cluster, and the membership of its consensus.
fn founders(options: &Restore) -> (ClusterState, Vec<u8>) {
    let mut members: Vec<MemberRecord> = options
        .peers
        .iter()
        .map(|peer| MemberRecord {
            id: options::member_id(&options.cluster_token, &peer.name),
            name: peer.name.clone(),
            peer_urls: vec![format!("https://{}", peer.address)],
            ..MemberRecord::default()
        })
        .collect();
    members.sort_unstable_by_key(|member| member.id);
    let voters = members.iter().map(|member| member.id).collect();
    let membership = types::Membership::new_with_defaults(vec![voters], []);
    let stored = types::StoredMembership::new(Some(types::log_id(0, PURGED_INDEX)), membership);
    let membership = codec::from_stored_membership(&stored).encode_to_vec();
    (ClusterState { members, ..ClusterState::default() }, membership)
}
