//! Where members are, as the log has it and the state does not yet.
//!
//! Consensus counts a member as soon as the log says so. A member that starts again does not know how much of its log is
//! committed until it hears of a leader, and its state may lack the members whose votes that leader needs: if nobody knew
//! where those are, nobody could be elected. So at its start it looks for them in its log. Whether they were committed does not
//! matter, since nothing is taken from there but whom to dial where.

use std::borrow::Cow;

use keelson_proto::keelson::store::v1::command::Command;
use keelson_proto::keelson::store::v1::{Batch, MemberRecord};
use prost::Message as _;

use crate::raft::codec;
use crate::raft::log::{self, Log};

/// Changes of the list of members that were not applied when the member started, each with its position.
#[derive(Debug, Default)]
pub(crate) struct Unapplied(Vec<(u64, MemberRecord)>);

impl Unapplied {
    /// Reads the log behind the position `applied`. Blocks.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(log: &Log, applied: u64) -> Result<Self, log::Error> {
        let mut found = Vec::new();
        log.proposals(applied, |index, proposal| {
            let decoded = Batch::decode(proposal);
            let batch = decoded.map_err(|source| codec::Error::Decode { what: "a batch", source })?;
            let commands = batch.commands.into_iter().filter_map(|command| command.command);
            let position = codec::position(Some(index));
            found.extend(commands.flat_map(records).map(|record| (position, record)));
            Ok(())
        })?;
        Ok(Self(found))
    }

    /// `members`, and where members will be once what is behind the position `applied` counts.
    pub(crate) fn over<'a>(&self, members: &'a [MemberRecord], applied: u64) -> Cow<'a, [MemberRecord]> {
        let mut all = Cow::Borrowed(members);
        for (_, record) in self.0.iter().filter(|(position, _)| *position > applied) {
            let known = all.iter().position(|member| member.id == record.id);
            match known {
                // Founders are named again by each leader until one has seen it done.
                Some(_) if !record.moved => {}
                Some(place) => {
                    let member = &mut all.to_mut()[place];
                    (member.peer_urls, member.moved) = (record.peer_urls.clone(), true);
                }
                None => all.to_mut().push(record.clone()),
            }
        }
        all
    }
}

/// Whom a command says to be where.
fn records(command: Command) -> Vec<MemberRecord> {
    let moved = |id, peer_urls| vec![MemberRecord { id, peer_urls, moved: true, ..MemberRecord::default() }];
    match command {
        Command::MembersFound(found) => found.members,
        Command::MemberAdd(add) => moved(add.id, add.peer_urls),
        Command::MemberUpdate(update) => moved(update.id, update.peer_urls),
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use keelson_proto::keelson::store::v1 as proto;
    use openraft::EntryPayload;
    use openraft::storage::{IOFlushed, RaftLogStorage as _};

    use super::*;
    use crate::raft::log::{Identity, SEGMENT_BYTES, Sizes};
    use crate::raft::types::{Entry, Proposal, log_id};

    fn record(id: u64, url: &str, moved: bool) -> MemberRecord {
        MemberRecord { id, peer_urls: vec![url.to_owned()], moved, ..MemberRecord::default() }
    }

    fn entry(index: u64, commands: Vec<Command>) -> Entry {
        let commands =
            commands.into_iter().map(|command| proto::Command { command: Some(command), ..Default::default() });
        let batch = Batch { commands: commands.collect(), ..Batch::default() };
        Entry { log_id: log_id(1, index), payload: EntryPayload::Normal(Proposal(batch.encode_to_vec().into())) }
    }

    #[tokio::test]
    async fn members_are_known_from_the_log_until_the_state_knows_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = Identity { cluster_id: 1, member_id: 1 };
        let sizes = Sizes { cache_bytes: 1 << 20, segment_bytes: SEGMENT_BYTES };
        let (mut log, _) = Log::open(folder.path(), own, None, sizes).expect("opens");
        let founders = proto::MembersFound { members: vec![record(1, "https://a", false)] };
        let add = proto::MemberAdd { id: 2, peer_urls: vec!["https://b".to_owned()], ..Default::default() };
        let update = proto::MemberUpdate { id: 1, peer_urls: vec!["https://c".to_owned()] };
        let blank = Entry { log_id: log_id(1, 0), payload: EntryPayload::Blank };
        let entries = vec![
            blank,
            entry(1, vec![Command::MembersFound(founders)]),
            entry(2, vec![Command::MemberAdd(add), Command::MemberUpdate(update)]),
        ];
        log.append(entries, IOFlushed::noop()).await.expect("appends");

        let all = [record(1, "https://c", true), record(2, "https://b", true)];
        let unapplied = Unapplied::read(&log, 0).expect("reads");
        assert_eq!(*unapplied.over(&[], 0), all);
        let founder = [record(1, "https://a", false)];
        assert_eq!(*unapplied.over(&founder, 2), all);
        assert_eq!(*Unapplied::read(&log, 2).expect("reads").over(&founder, 2), all);
        // Once it is applied, the state is right.
        assert_eq!(*unapplied.over(&founder, 3), founder);
        assert!(Unapplied::read(&log, 3).expect("reads").0.is_empty());
    }
}
