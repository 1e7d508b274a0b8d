//! Who differs, by what all members say. Pure.

use std::collections::BTreeMap;

use crate::apply::quorum;

/// What a member says of its content at the revision that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// The checksum at that revision.
    pub(crate) hash: u32,
    /// The newest revision that it has.
    pub(crate) newest_revision: i64,
    /// Up to where it has compacted.
    pub(crate) compacted_revision: i64,
}

/// What all answers come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All members hold the same.
    Same,
    /// All that answered do.
    Unfinished,
    /// These do not hold what a majority of all members holds, in ascending order.
    Differ(Vec<u64>),
    /// Members differ, and nothing is held by a majority of all.
    Undecided {
        /// Whether those who did not answer may make one.
        may_change: bool,
    },
}

/// Judges by the leader's content, with the revisions that it had when all had answered, and by what the others said of
/// theirs. Nobody can be ahead of a leader that has just been confirmed; who is has what was never committed.
pub(super) fn judge(leader: u64, own: Content, others: &[(u64, Option<Content>)]) -> Verdict {
    let ahead = |content: Content| {
        content.newest_revision > own.newest_revision || content.compacted_revision > own.compacted_revision
    };
    let mut differ: Vec<u64> = Vec::new();
    let mut holders: BTreeMap<u32, Vec<u64>> = BTreeMap::from([(own.hash, vec![leader])]);
    for (id, content) in others.iter().filter_map(|(id, content)| Some((*id, (*content)?))) {
        if ahead(content) {
            differ.push(id);
        } else {
            holders.entry(content.hash).or_default().push(id);
        }
    }
    let majority = quorum::of(others.len() + 1);
    if holders.len() > 1 {
        let most = holders.values().map(Vec::len).max().unwrap_or(0);
        if most < majority {
            let missing = others.iter().filter(|(_, content)| content.is_none()).count();
            return Verdict::Undecided { may_change: most + missing >= majority };
        }
        differ.extend(holders.into_values().filter(|ids| ids.len() < majority).flatten());
    }
    if !differ.is_empty() {
        differ.sort_unstable();
        return Verdict::Differ(differ);
    }
    if others.iter().all(|(_, content)| content.is_some()) { Verdict::Same } else { Verdict::Unfinished }
}

/// How many of the others agree on something else than `own`, when they are a majority of the others.
pub(super) fn outvoted(own: u32, others: &[Option<u32>]) -> Option<usize> {
    let mut holders: BTreeMap<u32, usize> = BTreeMap::new();
    for sum in others.iter().flatten().filter(|sum| **sum != own) {
        *holders.entry(*sum).or_default() += 1;
    }
    holders.into_values().find(|count| *count > others.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: u32 = 7;
    const BAD: u32 = 8;
    const WORSE: u32 = 9;

    fn content(hash: u32) -> Content {
        Content { hash, newest_revision: 20, compacted_revision: 10 }
    }

    /// Member 1 leads; the others are 2, 3, … and answer with a checksum or not at all.
    fn judged(own: u32, others: &[Option<u32>]) -> Verdict {
        let others: Vec<_> = (2..).zip(others.iter().map(|sum| sum.map(content))).collect();
        judge(1, content(own), &others)
    }

    #[test]
    fn who_is_not_of_a_majoritys_opinion_differs_leader_or_not() {
        assert_eq!(judged(GOOD, &[Some(GOOD), Some(GOOD)]), Verdict::Same);
        assert_eq!(judged(GOOD, &[Some(GOOD), Some(BAD)]), Verdict::Differ(vec![3]));
        assert_eq!(judged(BAD, &[Some(GOOD), Some(GOOD)]), Verdict::Differ(vec![1]));
        let five = [Some(BAD), Some(GOOD), Some(WORSE), Some(GOOD)];
        assert_eq!(judged(GOOD, &five), Verdict::Differ(vec![2, 4]));
        assert_eq!(judged(GOOD, &[]), Verdict::Same, "alone");
    }

    #[test]
    fn a_majority_is_one_of_all_members_not_of_those_that_answered() {
        assert_eq!(judged(GOOD, &[Some(BAD), None]), Verdict::Undecided { may_change: true });
        assert_eq!(judged(GOOD, &[Some(BAD)]), Verdict::Undecided { may_change: false });
        assert_eq!(judged(GOOD, &[Some(BAD), Some(WORSE)]), Verdict::Undecided { may_change: false });
        assert_eq!(
            judged(GOOD, &[Some(GOOD), Some(BAD), Some(BAD)]),
            Verdict::Undecided { may_change: false },
            "two and two"
        );
        assert_eq!(judged(GOOD, &[Some(GOOD), Some(BAD), None, Some(GOOD)]), Verdict::Differ(vec![3]));
    }

    #[test]
    fn who_does_not_answer_is_not_blamed() {
        assert_eq!(judged(GOOD, &[None, Some(GOOD)]), Verdict::Unfinished);
        assert_eq!(judged(GOOD, &[None, None]), Verdict::Unfinished);
    }

    #[test]
    fn who_is_ahead_of_the_leader_differs_whatever_its_checksum() {
        let newer = Content { newest_revision: 21, ..content(GOOD) };
        assert_eq!(judge(1, content(GOOD), &[(2, Some(newer)), (3, None)]), Verdict::Differ(vec![2]));
        let compacted = Content { compacted_revision: 11, ..content(GOOD) };
        assert_eq!(
            judge(1, content(GOOD), &[(2, Some(content(BAD))), (3, Some(compacted))]),
            Verdict::Undecided { may_change: false }
        );
        assert_eq!(
            judge(1, content(GOOD), &[(2, Some(content(GOOD))), (3, Some(compacted))]),
            Verdict::Differ(vec![3])
        );
        let behind = Content { newest_revision: 19, compacted_revision: 9, ..content(GOOD) };
        assert_eq!(judge(1, content(GOOD), &[(2, Some(behind)), (3, Some(behind))]), Verdict::Same);
    }

    #[test]
    fn a_member_that_starts_is_outvoted_by_a_majority_of_the_others_that_agree() {
        assert_eq!(outvoted(BAD, &[Some(GOOD), Some(GOOD)]), Some(2));
        assert_eq!(outvoted(BAD, &[Some(GOOD)]), Some(1), "in a cluster of two, etcd does not start it either");
        assert_eq!(outvoted(GOOD, &[Some(GOOD), Some(BAD)]), None);
        assert_eq!(outvoted(BAD, &[Some(GOOD), None]), None);
        assert_eq!(outvoted(BAD, &[Some(GOOD), Some(WORSE)]), None);
        assert_eq!(outvoted(BAD, &[Some(GOOD), Some(GOOD), Some(GOOD), None]), Some(3));
        assert_eq!(outvoted(BAD, &[Some(GOOD), Some(GOOD), None, None]), None);
        assert_eq!(outvoted(GOOD, &[]), None);
    }
}
