//! Whether enough members would have started: the strict check of changes of membership, as etcd makes it.
//!
//! A member has started once it has published its name. One that was added and never came must not cost the quorum.

use keelson_proto::keelson::store::v1::MemberRecord;

/// How many are more than half of `members`.
pub(crate) fn of(members: usize) -> usize {
    members / 2 + 1
}

fn started<'a>(voters: impl Iterator<Item = &'a MemberRecord>) -> (usize, usize) {
    voters.fold((0, 0), |(all, started), record| (all + 1, started + usize::from(!record.name.is_empty())))
}

/// Whether a further voter may come, which has not started.
pub(crate) fn allows_another(members: &[MemberRecord]) -> bool {
    let (voters, started) = started(members.iter().filter(|record| !record.learner));
    // One that runs may always get a second: otherwise no cluster could ever grow.
    (voters, started) == (1, 1) || started >= of(voters + 1)
}

/// Whether the member `id` may go.
pub(crate) fn allows_without(members: &[MemberRecord], id: u64) -> bool {
    let (voters, started) = started(members.iter().filter(|record| !record.learner && record.id != id));
    voters > 0 && started >= of(voters)
}

/// Whether the learner `id` may become a voter.
pub(crate) fn allows_promotion(members: &[MemberRecord], id: u64) -> bool {
    let (voters, started) = started(members.iter().filter(|record| !record.learner || record.id == id));
    started >= of(voters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `s` has started, `n` has not, `L` and `l` are learners that have and have not.
    fn members(text: &str) -> Vec<MemberRecord> {
        let record = |(i, kind): (usize, char)| MemberRecord {
            id: i as u64 + 1,
            name: if matches!(kind, 's' | 'L') { format!("m{i}") } else { String::new() },
            learner: matches!(kind, 'l' | 'L'),
            ..MemberRecord::default()
        };
        text.chars().enumerate().map(record).collect()
    }

    #[test]
    fn a_cluster_grows_by_one_that_has_not_started_at_a_time() {
        for (text, allowed) in [("s", true), ("sn", false), ("ss", true), ("ssn", false), ("sss", true), ("sssn", true)]
        {
            assert_eq!(allows_another(&members(text)), allowed, "{text}");
        }
        assert!(allows_another(&members("sl")));
        assert!(!allows_another(&members("n")));
    }

    #[test]
    fn those_that_stay_must_have_a_quorum() {
        for (text, id, allowed) in
            [("s", 1, false), ("ss", 2, true), ("sn", 2, true), ("sn", 1, false), ("ssn", 1, false), ("ssn", 3, true)]
        {
            assert_eq!(allows_without(&members(text), id), allowed, "{text} without {id}");
        }
    }

    #[test]
    fn a_learner_that_has_not_started_is_not_promoted_into_a_minority() {
        for (text, allowed) in [("sL", true), ("sl", false), ("ssl", true), ("snL", true), ("snl", false)] {
            let members = members(text);
            assert_eq!(allows_promotion(&members, members.len() as u64), allowed, "{text}");
        }
    }
}
