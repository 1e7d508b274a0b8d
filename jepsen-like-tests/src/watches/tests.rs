//! Broken deliveries by hand and by seeded mutation, valid ones in any grouping.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

fn change(revision: i64, key: &str, value: &str) -> Change {
    Change { revision, key: key.to_owned(), value: (!value.is_empty()).then(|| value.to_owned()) }
}

fn history() -> Vec<Change> {
    vec![
        change(2, "a", "1"),
        change(3, "b", "2"),
        change(4, "a", ""),
        change(4, "b", "3"),
        change(5, "c", "4"),
        change(6, "a", "5"),
    ]
}

fn all() -> Asked {
    Asked { key: "\0".to_owned(), range_end: "\0".to_owned(), start_revision: 2, no_put: false, no_delete: false }
}

fn pick(places: &[usize]) -> Delivered {
    Delivered::Changes(places.iter().map(|place| history()[*place].clone()).collect())
}

fn progress(revision: i64) -> Delivered {
    Delivered::Progress { revision }
}

#[test]
fn complete_deliveries_are_accepted_in_any_grouping() {
    let accepted = |asked: &Asked, delivered: &[Delivered]| assert_eq!(check(&history(), asked, delivered, 6), []);
    accepted(&all(), &[pick(&[0, 1, 2, 3, 4, 5])]);
    accepted(&all(), &[pick(&[0]), progress(2), pick(&[1]), pick(&[2, 3, 4]), progress(5), pick(&[5]), progress(6)]);
    accepted(&Asked { start_revision: 4, ..all() }, &[pick(&[2, 3]), pick(&[4]), pick(&[5])]);
    accepted(&Asked { key: "a".to_owned(), range_end: String::new(), ..all() }, &[pick(&[0]), pick(&[2]), pick(&[5])]);
    accepted(
        &Asked { key: "a".to_owned(), range_end: "c".to_owned(), no_delete: true, ..all() },
        &[pick(&[0, 1]), pick(&[3]), pick(&[5])],
    );
    accepted(&Asked { no_put: true, ..all() }, &[pick(&[2])]);
}

#[test]
fn each_broken_promise_is_named() {
    let found = |delivered: &[Delivered]| check(&history(), &all(), delivered, 6);
    let at = |place: usize| history()[place].clone();
    assert_eq!(found(&[pick(&[0, 2, 3, 4]), pick(&[1, 5])]), [Violation::OutOfOrder { after: 5, change: at(1) }]);
    assert_eq!(found(&[pick(&[0, 1]), pick(&[1, 2, 3, 4, 5])]), [Violation::Twice(at(1))]);
    assert_eq!(found(&[pick(&[0, 1, 2]), pick(&[3, 4, 5])]), [Violation::Torn { revision: 4 }]);
    assert_eq!(found(&[pick(&[0, 2, 3, 4, 5])]), [Violation::Missing(at(1))]);
    assert_eq!(found(&[pick(&[0, 1, 2, 3, 4])]), [Violation::Missing(at(5))]);
    assert_eq!(
        found(&[pick(&[0]), progress(4), pick(&[1, 2, 3, 4, 5])]),
        [1, 2, 3].map(|place| Violation::AfterProgress { reported: 4, change: at(place) })
    );
    assert_eq!(
        found(&[progress(1), progress(0), pick(&[0, 1, 2, 3, 4, 5])]),
        [Violation::ProgressWentBack { from: 1, to: 0 }]
    );
    let other = change(7, "z", "9");
    assert_eq!(
        found(&[pick(&[0, 1, 2, 3, 4, 5]), Delivered::Changes(vec![other.clone()])]),
        [Violation::NeverHappened(other)]
    );
    let asked = Asked { key: "a".to_owned(), range_end: String::new(), ..all() };
    assert_eq!(check(&history(), &asked, &[pick(&[0, 1, 2, 5])], 6), [Violation::NotAskedFor(at(1))]);
}

#[test]
fn progress_without_the_events_before_it_is_a_loss() {
    assert_eq!(check(&history(), &all(), &[pick(&[0]), progress(3)], 0), [Violation::Missing(history()[1].clone())]);
}

/// A history of random transactions, and its delivery in random groups of whole revisions.
fn simulate(random: &mut StdRng) -> (Vec<Change>, Vec<Delivered>) {
    let mut changes = Vec::new();
    let mut delivered = Vec::new();
    let mut response = Vec::new();
    for revision in 2..random.random_range(4..60) {
        for key in ["a", "b", "c"] {
            if random.random_bool(0.5) {
                let value = if random.random_bool(0.8) { format!("{revision}") } else { String::new() };
                response.push(change(revision, key, &value));
            }
        }
        if random.random_bool(0.6) && !response.is_empty() {
            changes.extend_from_slice(&response);
            delivered.push(Delivered::Changes(std::mem::take(&mut response)));
            if random.random_bool(0.3) {
                delivered.push(progress(revision));
            }
        }
    }
    changes.extend_from_slice(&response);
    delivered.push(Delivered::Changes(response));
    (changes, delivered)
}

proptest! {
    #[test]
    fn any_grouping_of_whole_revisions_is_accepted(seed in any::<u64>()) {
        let (changes, delivered) = simulate(&mut StdRng::seed_from_u64(seed));
        prop_assert_eq!(check(&changes, &all(), &delivered, i64::MAX), []);
    }

    #[test]
    fn any_lost_doubled_altered_or_swapped_event_is_found(seed in any::<u64>(), kind in 0..4) {
        let mut random = StdRng::seed_from_u64(seed);
        let (changes, mut delivered) = simulate(&mut random);
        let places: Vec<(usize, usize)> = delivered
            .iter()
            .enumerate()
            .flat_map(|(i, item)| match item {
                Delivered::Changes(changes) => (0..changes.len()).map(|j| (i, j)).collect(),
                Delivered::Progress { .. } => vec![],
            })
            .collect();
        prop_assume!(!places.is_empty());
        let (i, j) = places[random.random_range(0..places.len())];
        let Delivered::Changes(response) = &mut delivered[i] else { unreachable!("only changes have places") };
        match kind {
            0 => drop(response.remove(j)),
            1 => response.push(response[j].clone()),
            2 => response[j].value = Some("altered".to_owned()),
            _ => {
                let later = response.iter().position(|other| other.revision > response[j].revision);
                prop_assume!(later.is_some());
                response.swap(j, later.expect("just seen"));
            }
        }
        prop_assert_ne!(check(&changes, &all(), &delivered, i64::MAX), []);
    }
}
