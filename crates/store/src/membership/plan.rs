//! The next step that takes consensus to the list of members. Pure.

use std::collections::BTreeSet;

use keelson_proto::keelson::store::v1::MemberRecord;

/// Where consensus is. No change is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Now {
    /// The leader, whose plan this is.
    pub(super) own: u64,
    /// A change of voters was not finished: its leader went away in the middle.
    pub(super) joint: bool,
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
    // A list without anybody who is there is not one that this cluster wrote.
    if listed.is_disjoint(&now.nodes) {
        return None;
    }
    let gone: BTreeSet<u64> = now.nodes.difference(&listed).copied().collect();
    let (voters_gone, learners_gone): (BTreeSet<u64>, BTreeSet<u64>) =
        gone.into_iter().partition(|id| now.voters.contains(id));
    // Voters who are to go stay until one who is not to go can vote.
    if !listed.is_disjoint(&now.voters) {
        if voters_gone.contains(&now.own) {
            return Some(Step::HandOver);
        }
        if !voters_gone.is_empty() {
            return Some(Step::RemoveVoters(voters_gone));
        }
    }
    if !learners_gone.is_empty() {
        return Some(Step::RemoveLearners(learners_gone));
    }
    let new: BTreeSet<u64> = listed.difference(&now.nodes).copied().collect();
    if !new.is_empty() {
        return Some(Step::AddLearners(new));
    }
    // One that has not said its name has not started, or has not caught up by its own account.
    let may_vote = |record: &&MemberRecord| !record.learner && !record.name.is_empty();
    let ready = members.iter().filter(may_vote).map(|record| record.id);
    let ready: BTreeSet<u64> = ready.filter(|id| !now.voters.contains(id) && now.caught_up.contains(id)).collect();
    // To add nobody ends a change that was not finished.
    (now.joint || !ready.is_empty()).then_some(Step::AddVoters(ready))
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
        let nodes = ids(&[voters, learners].concat());
        Now { own: 1, joint: false, voters: ids(voters), nodes, caught_up: ids(caught_up) }
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

    #[test]
    fn the_last_voter_goes_only_after_its_successor_can_vote() {
        assert_eq!(next(&members("2"), &now(&[1], &[2], &[1])), None);
        assert_eq!(next(&members("2"), &now(&[1], &[2], &[1, 2])), Some(Step::AddVoters(ids(&[2]))));
        assert_eq!(next(&members("2"), &now(&[1, 2], &[], &[1, 2])), Some(Step::HandOver));
    }

    #[test]
    fn a_change_that_its_leader_left_unfinished_is_finished() {
        let unfinished = Now { joint: true, ..now(&[1, 2, 3], &[], &[1, 2, 3]) };
        assert_eq!(next(&members("1 2 3"), &unfinished), Some(Step::AddVoters(ids(&[]))));
    }
}
