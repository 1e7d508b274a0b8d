//! The next step that takes consensus to the list of members. Pure.

use std::collections::BTreeSet;

use keelson_proto::keelson::store::v1::MemberRecord;

/// Where consensus is. No change is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Now {
    /// The leader, whose plan this is.
    pub(super) own: u64,
    pub(super) voters: BTreeSet<u64>,
    /// Voters and learners.
    pub(super) nodes: BTreeSet<u64>,
    /// Those who have all but the last entries.
    pub(super) caught_up: BTreeSet<u64>,
}

/// One change of consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The leader is to go; the next one goes on.
    HandOver,
    RemoveVoters(BTreeSet<u64>),
    RemoveLearners(BTreeSet<u64>),
    AddLearners(BTreeSet<u64>),
    AddVoters(BTreeSet<u64>),
}

/// None when consensus is where the list wants it, as far as it can get there now.
pub(super) fn next(members: &[MemberRecord], now: &Now) -> Option<Step> {
    let listed: BTreeSet<u64> = members.iter().map(|record| record.id).collect();
    // A list without any of the voters is not one that this cluster wrote.
    if listed.is_disjoint(&now.voters) {
        return None;
    }
    let gone: BTreeSet<u64> = now.nodes.difference(&listed).copied().collect();
    if gone.contains(&now.own) {
        return Some(Step::HandOver);
    }
    let voters_gone: BTreeSet<u64> = gone.intersection(&now.voters).copied().collect();
    if !voters_gone.is_empty() {
        return Some(Step::RemoveVoters(voters_gone));
    }
    if !gone.is_empty() {
        return Some(Step::RemoveLearners(gone));
    }
    let new: BTreeSet<u64> = listed.difference(&now.nodes).copied().collect();
    if !new.is_empty() {
        return Some(Step::AddLearners(new));
    }
    // One that has not said its name has not started, or has not caught up by its own account.
    let may_vote = |record: &&MemberRecord| !record.learner && !record.name.is_empty();
    let ready = members.iter().filter(may_vote).map(|record| record.id);
    let ready: BTreeSet<u64> = ready.filter(|id| !now.voters.contains(id) && now.caught_up.contains(id)).collect();
    (!ready.is_empty()).then_some(Step::AddVoters(ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1` is a voter that has started, `4n` one that has not, `4l` a learner that has.
    fn members(text: &str) -> Vec<MemberRecord> {
        let record = |word: &str| MemberRecord {
            id: word[..1].parse().expect("an id"),
            name: if word.ends_with('n') { String::new() } else { word.to_owned() },
            learner: word.ends_with('l'),
            ..MemberRecord::default()
        };
        text.split_whitespace().map(record).collect()
    }

    fn ids(list: &[u64]) -> BTreeSet<u64> {
        list.iter().copied().collect()
    }

    fn now(voters: &[u64], learners: &[u64], caught_up: &[u64]) -> Now {
        Now { own: 1, voters: ids(voters), nodes: ids(&[voters, learners].concat()), caught_up: ids(caught_up) }
    }

    #[test]
    fn consensus_follows_the_list_one_step_at_a_time() {
        let three = now(&[1, 2, 3], &[], &[1, 2, 3]);
        assert_eq!(next(&members("1 2 3"), &three), None);
        assert_eq!(next(&members("1 2 3 4n"), &three), Some(Step::AddLearners(ids(&[4]))));
        // Not before it has started and caught up.
        assert_eq!(next(&members("1 2 3 4n"), &now(&[1, 2, 3], &[4], &[1, 2, 3, 4])), None);
        assert_eq!(next(&members("1 2 3 4"), &now(&[1, 2, 3], &[4], &[1, 2, 3])), None);
        let ready = now(&[1, 2, 3], &[4], &[1, 2, 3, 4]);
        assert_eq!(next(&members("1 2 3 4"), &ready), Some(Step::AddVoters(ids(&[4]))));
        assert_eq!(next(&members("1 2 3 4l"), &ready), None);
    }

    #[test]
    fn who_is_gone_goes_first_and_the_leader_hands_over_before() {
        let ready = now(&[1, 2, 3], &[4], &[1, 2, 3, 4]);
        assert_eq!(next(&members("1 2 4"), &ready), Some(Step::RemoveVoters(ids(&[3]))));
        assert_eq!(next(&members("1 2 3"), &ready), Some(Step::RemoveLearners(ids(&[4]))));
        assert_eq!(next(&members("2 3 4"), &ready), Some(Step::HandOver));
        assert_eq!(next(&members("7 8 9"), &ready), None);
        assert_eq!(next(&[], &ready), None);
    }
}
