//! The checker is itself checked: broken histories by hand and by seeded mutation, valid ones by simulation.

mod simulation;

use proptest::prelude::*;

use super::*;
use crate::history::Answered;
use crate::model::register::{Answer, Call, Register, Versioned};

type Op = Operation<Call, Answer>;

/// (begin, end); an end of 0 is "unknown".
fn op(id: u64, (begin, end): (u64, u64), call: Call, answer: Answer) -> Op {
    let answered = (end != 0).then_some(Answered { at_nanos: end, answer });
    Op { id, process: id, call, invoked_at_nanos: begin, answered }
}

fn put(id: u64, times: (u64, u64), value: &str, revision: i64) -> Op {
    op(id, times, Call::Put { key: "k".to_owned(), value: value.to_owned() }, Answer::Written { revision })
}

fn found(value: &str, mod_revision: i64) -> Option<Versioned> {
    Some(Versioned { value: value.to_owned(), mod_revision })
}

fn read(id: u64, times: (u64, u64), found: Option<Versioned>, revision: i64) -> Op {
    op(id, times, Call::Read { key: "k".to_owned() }, Answer::Read { found, revision })
}

fn set(id: u64, times: (u64, u64), expected_mod_revision: i64, value: &str, answer: Answer) -> Op {
    let call = Call::CompareAndSet { key: "k".to_owned(), expected_mod_revision, value: value.to_owned() };
    op(id, times, call, answer)
}

fn verdict(operations: &[Op]) -> Verdict {
    check::<Register>(operations, Budget::default())
}

fn accepted(operations: &[Op]) {
    assert_eq!(verdict(operations), Verdict::Linearizable);
}

/// Must be rejected, and explained by no more than `most` operations.
fn rejected(operations: &[Op], most: usize) -> String {
    match verdict(operations) {
        Verdict::NotLinearizable { explanation } => {
            assert!(explanation.lines().count() <= most + 1, "too long:\n{explanation}");
            explanation
        }
        other => panic!("accepted: {other}"),
    }
}

#[test]
fn an_empty_and_a_sequential_history_are_accepted() {
    accepted(&[]);
    accepted(&[
        read(1, (1, 2), None, 1),
        put(2, (3, 4), "a", 2),
        read(3, (5, 6), found("a", 2), 2),
        set(4, (7, 8), 2, "b", Answer::Written { revision: 5 }),
        set(5, (9, 10), 2, "c", Answer::Different { found: found("b", 5), revision: 5 }),
        read(6, (11, 12), found("b", 5), 9),
    ]);
}

#[test]
fn overlapping_operations_may_take_effect_in_any_order() {
    accepted(&[put(1, (1, 10), "a", 3), put(2, (2, 9), "b", 2), read(3, (11, 12), found("a", 3), 3)]);
    accepted(&[put(1, (1, 10), "a", 2), read(2, (2, 3), found("a", 2), 2), read(3, (2, 4), None, 1)]);
}

#[test]
fn a_stale_read_is_rejected() {
    let explanation = rejected(
        &[
            put(1, (1, 2), "a", 2),
            put(2, (3, 4), "b", 3),
            read(3, (5, 6), found("b", 3), 3),
            read(4, (7, 8), found("a", 2), 3),
            put(5, (9, 10), "c", 4),
        ],
        3,
    );
    assert!(explanation.contains("#4"), "{explanation}");
    assert!(!explanation.contains("\"c\""), "what came later is not part of the reason:\n{explanation}");
}

#[test]
fn a_stale_read_is_rejected_even_if_only_its_header_tells() {
    rejected(&[put(1, (1, 2), "a", 5), read(2, (3, 4), None, 4)], 2);
    rejected(&[read(1, (1, 2), None, 7), read(2, (3, 4), None, 6)], 2);
}

#[test]
fn a_lost_write_is_rejected() {
    rejected(&[put(1, (1, 2), "a", 2), read(2, (3, 4), None, 2)], 2);
    rejected(&[put(1, (1, 2), "a", 2), put(2, (3, 4), "b", 3), read(3, (5, 6), found("a", 2), 4)], 3);
    // Two compare-and-sets from one revision cannot both have written.
    rejected(
        &[
            put(1, (1, 2), "a", 2),
            set(2, (3, 9), 2, "b", Answer::Written { revision: 3 }),
            set(3, (3, 9), 2, "c", Answer::Written { revision: 4 }),
        ],
        3,
    );
}

#[test]
fn a_reordering_is_rejected() {
    rejected(&[put(1, (1, 2), "a", 3), put(2, (3, 4), "b", 2)], 2);
    rejected(
        &[
            put(1, (1, 10), "a", 2),
            put(2, (1, 10), "b", 3),
            read(3, (11, 12), found("b", 3), 3),
            read(4, (13, 14), found("a", 2), 3),
        ],
        4,
    );
}

#[test]
fn a_write_applied_twice_is_rejected() {
    // The second time overwrote what came in between, or only shows in the revision.
    rejected(&[put(1, (1, 2), "a", 2), put(2, (3, 4), "b", 3), read(3, (5, 6), found("a", 4), 4)], 3);
    rejected(&[put(1, (1, 2), "a", 2), read(2, (3, 4), found("a", 3), 3)], 2);
}

#[test]
fn a_phantom_is_rejected() {
    let explanation = rejected(&[put(1, (1, 2), "a", 2), read(2, (3, 4), found("z", 3), 3)], 2);
    assert!(explanation.contains("\"z\""), "{explanation}");
    rejected(&[read(1, (1, 2), found("a", 2), 2), put(2, (3, 4), "a", 2)], 2);
}

#[test]
fn an_unknown_write_takes_effect_late_or_never_but_once_and_not_early() {
    let unknown = put(1, (5, 0), "u", 0);
    accepted(&[unknown.clone(), read(2, (6, 7), None, 1)]);
    accepted(&[unknown.clone(), read(2, (6, 7), None, 1), put(3, (8, 9), "a", 2), read(4, (10, 11), found("u", 3), 3)]);
    rejected(&[read(2, (1, 2), found("u", 2), 2), unknown.clone()], 2);
    rejected(
        &[
            unknown.clone(),
            read(2, (6, 7), found("u", 2), 2),
            put(3, (8, 9), "a", 3),
            read(4, (10, 11), found("u", 2), 3),
        ],
        4,
    );
    // Applied twice by a retry: two revisions with one value.
    rejected(&[unknown, read(2, (6, 7), found("u", 2), 2), read(3, (8, 9), found("u", 3), 3)], 3);
}

#[test]
fn an_unknown_compare_and_set_writes_only_where_it_may() {
    let unknown = set(1, (5, 0), 2, "u", Answer::Written { revision: 0 });
    accepted(&[put(2, (1, 2), "a", 2), unknown.clone(), read(3, (6, 7), found("u", 4), 4)]);
    accepted(&[put(2, (1, 2), "a", 2), unknown.clone(), read(3, (6, 7), found("a", 2), 2)]);
    rejected(&[put(2, (1, 2), "a", 3), unknown, read(3, (6, 7), found("u", 4), 4)], 3);
}

#[test]
fn keys_are_checked_apart() {
    let other = |id, times, value: &str, revision| {
        op(id, times, Call::Put { key: "l".to_owned(), value: value.to_owned() }, Answer::Written { revision })
    };
    accepted(&[put(1, (1, 2), "a", 2), other(2, (1, 2), "b", 3), read(3, (3, 4), found("a", 2), 3)]);
    let explanation = rejected(&[put(1, (1, 2), "a", 2), other(2, (1, 2), "b", 3), read(3, (3, 4), None, 3)], 2);
    assert!(explanation.starts_with("k:"), "{explanation}");
}

#[test]
fn a_spent_budget_is_undecided_never_a_verdict() {
    let broken = [put(1, (1, 2), "a", 2), put(2, (3, 4), "b", 3), read(3, (5, 6), found("a", 2), 4)];
    let budget = Budget { configurations: 1, ..Budget::default() };
    assert_eq!(check::<Register>(&broken, budget), Verdict::Undecided { parts: vec!["k".to_owned()] });
}

#[test]
fn a_long_history_with_many_unknown_writes_is_decided_within_the_budget() {
    let mut operations = Vec::new();
    for i in 0..5_000_u64 {
        let at = i * 100;
        let revision = i64::try_from(i).expect("small") * 2 + 2;
        let value = format!("v{i}");
        operations.push(put(i * 10, (at, at + 10), &value, revision));
        operations.push(read(i * 10 + 1, (at + 20, at + 30), found(&value, revision), revision));
        if i % 10 == 0 {
            operations.push(put(i * 10 + 2, (at + 40, 0), &format!("unknown {i}"), 0));
        }
    }
    accepted(&operations);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_correct_store_answers_is_accepted(seed in any::<u64>()) {
        let operations = simulation::run(seed).operations();
        let verdict = verdict(&operations);
        prop_assert_eq!(verdict, Verdict::Linearizable);
    }

    #[test]
    fn whatever_is_falsified_in_it_is_rejected(seed in any::<u64>(), falsehood in simulation::falsehoods()) {
        let mut operations = simulation::run(seed).operations();
        prop_assume!(falsehood.falsify(&mut operations, seed));
        let verdict = verdict(&operations);
        prop_assert!(matches!(verdict, Verdict::NotLinearizable { .. }), "{:?} was accepted", falsehood);
    }
}
