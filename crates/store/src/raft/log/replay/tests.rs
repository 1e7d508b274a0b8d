//! A log that is written, interrupted, damaged and read again, beside a model of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use openraft::EntryPayload;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::raft::log::files::Files;
use crate::raft::log::folder::{self, Folder, Identity};
use crate::raft::log::reader;
use crate::raft::types::{Entry, Proposal, log_id};

const OWN: Identity = Identity { cluster_id: 1, member_id: 2 };
const SEGMENT_BYTES: u64 = 8192;

#[derive(Clone, Debug)]
enum Operation {
    Append {
        count: u64,
        length: usize,
    },
    Truncate {
        back: u64,
    },
    /// So many of the entries; or beyond the last.
    Purge {
        forward: u64,
    },
    Vote {
        term: u64,
    },
    Gate {
        floor_term: u64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (1..4_u64, 0..2000_usize).prop_map(|(count, length)| Operation::Append { count, length }),
        1 => (0..5_u64).prop_map(|back| Operation::Truncate { back }),
        1 => (0..8_u64).prop_map(|forward| Operation::Purge { forward }),
        1 => (0..9_u64).prop_map(|term| Operation::Vote { term }),
        1 => (0..9_u64).prop_map(|floor_term| Operation::Gate { floor_term }),
    ]
}

/// What a log should hold.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    kept: Kept,
    entries: BTreeMap<u64, Entry>,
    next: u64,
}

/// A log whose rounds are written one by one, without a thread.
struct Written {
    files: Files,
    places: Mutex<Places>,
    model: Model,
    _folder: Folder,
}

impl Written {
    fn open(path: &Path) -> Result<Self, Error> {
        let (folder, replayed, _) = folder::open(path, OWN, None, SEGMENT_BYTES)?;
        let kept = replayed.kept;
        let (files, places) = Files::new(replayed);
        let mut model = Model { kept, next: places.end(), ..Model::default() };
        for index in places.first()..places.end() {
            let (place, segment) = places.get(index).expect("it is there");
            model.entries.insert(index, reader::read_entry(path, place, &segment, index)?);
        }
        Ok(Self { files, places: Mutex::new(places), model, _folder: folder })
    }

    fn round(&mut self, operations: &[Operation], term: u64) {
        self.write(operations, term);
        self.files.publish(&self.places);
        self.files.remove_unneeded(&self.places);
    }

    /// A round of which nobody was told yet; gives where it is.
    fn write(&mut self, operations: &[Operation], term: u64) -> (PathBuf, std::ops::Range<u64>) {
        self.files.begin(&self.places);
        for operation in operations {
            self.apply(operation, term);
        }
        let target = self.files.target();
        self.files.write().expect("writes");
        target
    }

    fn apply(&mut self, operation: &Operation, term: u64) {
        let Self { files, model, .. } = self;
        match *operation {
            Operation::Append { count, length } => {
                for _ in 0..count {
                    let payload = EntryPayload::Normal(Proposal(Bytes::from(vec![0xab; length])));
                    let entry = Entry { log_id: log_id(term, model.next), payload };
                    files.append(&entry);
                    model.entries.insert(model.next, entry);
                    model.next += 1;
                }
            }
            Operation::Truncate { back } => {
                let first = model.kept.purged.map_or(0, |purged| purged.index + 1);
                model.next = model.next.saturating_sub(back).max(first);
                files.truncate(model.next);
                model.entries.split_off(&model.next);
            }
            Operation::Purge { forward } => {
                let first = model.kept.purged.map_or(0, |purged| purged.index + 1);
                let upto = log_id(term, first + forward);
                files.purge(upto);
                model.kept.purged = Some(upto);
                model.entries = model.entries.split_off(&(upto.index + 1));
                model.next = model.next.max(upto.index + 1);
            }
            Operation::Vote { term } => {
                let vote = Vote::new(term, 7);
                files.vote(vote);
                model.kept.vote = Some(vote);
            }
            Operation::Gate { floor_term } => {
                let gate = GateState::Rejoining { floor_term };
                files.gate(gate);
                model.kept.gate = Some(gate);
            }
        }
    }
}

/// Leaves of the sectors of `range` those that `kept` says.
fn interrupt(file: &Path, range: std::ops::Range<u64>, kept: &[bool]) {
    let mut content = fs::read(file).expect("reads");
    let mut sector = range.start / 512;
    while sector * 512 < range.end {
        if !kept[usize::try_from(sector).expect("it is small") % kept.len()] {
            let part = (sector * 512).max(range.start)..((sector + 1) * 512).min(range.end);
            content[usize::try_from(part.start).expect("small")..usize::try_from(part.end).expect("small")].fill(0);
        }
        sector += 1;
    }
    fs::write(file, content).expect("writes");
}

/// The files of a log: their names and contents.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).expect("lists").map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), fs::read(&path).expect("reads"))).collect()
}

#[test]
fn segments_whose_entries_were_all_truncated_stay_until_something_is_purged() {
    let folder = tempfile::tempdir().expect("a folder");
    let append = || [Operation::Append { count: 3, length: 1545 }];
    let mut log = Written::open(folder.path()).expect("opens");
    // Of segment 1 nothing is left then, and of segment 2 what follows.
    [append(), append(), [Operation::Truncate { back: 6 }], append()].iter().for_each(|round| log.round(round, 1));
    for _ in 0..3 {
        drop(log);
        log = Written::open(folder.path()).expect("opens");
        log.round(&append(), 1);
    }
    assert!(folder.path().join("0000000000000001.segment").exists(), "the first one is not missed");
    log.round(&[Operation::Purge { forward: 2 }], 1);
    assert!(!folder.path().join("0000000000000001.segment").exists(), "it is not needed");
    drop(log);
    Written::open(folder.path()).expect("opens");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// After a crash, the log is as it was before the round that was under way, or as it is after it.
    #[test]
    fn an_interrupted_round_is_there_or_not(
        runs in prop::collection::vec(
            (prop::collection::vec(prop::collection::vec(operation(), 1..4), 1..12), prop::collection::vec(any::<bool>(), 1..20)),
            1..5,
        ),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut possible = vec![Model::default()];
        for (term, (rounds, kept)) in (1..).zip(runs) {
            let mut log = Written::open(folder.path()).expect("opens");
            prop_assert!(possible.contains(&log.model), "{:?}\nis none of\n{possible:?}", log.model);
            let (last, earlier) = rounds.split_last().expect("there is one");
            for round in earlier {
                log.round(round, term);
            }
            let before = log.model.clone();
            let (file, range) = log.write(last, term);
            possible = vec![log.model.clone(), before];
            drop(log);
            interrupt(&file, range, &kept);
        }
        let log = Written::open(folder.path()).expect("opens");
        prop_assert!(possible.contains(&log.model));
    }

    /// Nothing that was synced is lost without a word: the log is whole, or it is not opened and stays as it is.
    #[test]
    fn a_changed_bit_is_seen(
        rounds in prop::collection::vec(prop::collection::vec(operation(), 1..4), 1..20),
        file in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = Written::open(folder.path()).expect("opens");
        for round in &rounds {
            log.round(round, 1);
        }
        let model = log.model.clone();
        drop(log);
        let sound = contents(folder.path());
        let files: Vec<_> = sound.iter().filter(|(path, _)| !path.ends_with("lock")).collect();
        let (path, content) = files[file.index(files.len())];
        let written = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut changed = content.clone();
        changed[place.index(written)] ^= 1 << bit;
        fs::write(path, &changed).expect("writes");
        match Written::open(folder.path()) {
            Ok(log) => prop_assert_eq!(&log.model, &model),
            Err(Error::DamagedFile { file, .. }) => {
                prop_assert_eq!(&file, path);
                prop_assert_eq!(fs::read(path).expect("reads"), changed);
            }
            Err(Error::NewerFormat { .. }) => prop_assert!(path.ends_with("identity")),
            Err(other) => prop_assert!(false, "{other:?}"),
        }
        fs::write(path, content).expect("writes");
        prop_assert_eq!(Written::open(folder.path()).expect("opens").model, model);
    }
}

#[test]
fn a_segment_that_is_gone_or_shorter_is_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = Written::open(folder.path()).expect("opens");
    for _ in 0..20 {
        log.round(&[Operation::Append { count: 1, length: 2000 }], 1);
    }
    drop(log);
    let numbers = segment::list(folder.path()).expect("lists");
    assert!(numbers.len() > 3, "{numbers:?}");
    for number in &numbers[..numbers.len() - 1] {
        let path = segment::path(folder.path(), *number);
        let content = fs::read(&path).expect("reads");
        fs::remove_file(&path).expect("removes");
        assert!(matches!(Written::open(folder.path()).err(), Some(Error::DamagedFile { .. })), "without {number}");
        fs::write(&path, &content[..content.len() / 2]).expect("writes");
        assert!(matches!(Written::open(folder.path()).err(), Some(Error::DamagedFile { .. })), "half of {number}");
        fs::write(&path, content).expect("writes");
    }
    Written::open(folder.path()).expect("opens");
}

/// A log of some rounds in one segment; gives the segment's path, its content, and where each round begins.
fn rounds_in_one_segment(folder: &Path) -> (PathBuf, Vec<u8>, Vec<usize>) {
    let mut log = Written::open(folder).expect("opens");
    let mut begins = Vec::new();
    for _ in 0..5 {
        begins.push(usize::try_from(log.files.target().1.start).expect("it is small"));
        log.round(&[Operation::Append { count: 1, length: 1500 }], 1);
    }
    drop(log);
    let path = segment::path(folder, folder::FIRST);
    let content = fs::read(&path).expect("reads");
    (path, content, begins)
}

#[test]
fn a_sector_that_is_lost_from_a_round_with_others_behind_it_is_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, content, begins) = rounds_in_one_segment(folder.path());
    for (round, begin) in begins.iter().enumerate() {
        let mut changed = content.clone();
        let sector = (begin + 600) / 512 * 512;
        changed[sector..sector + 512].fill(0);
        fs::write(&path, &changed).expect("writes");
        match Written::open(folder.path()) {
            // As if the power had failed while it was written.
            Ok(log) => assert_eq!((round, log.model.entries.len()), (4, 4)),
            Err(Error::DamagedFile { file, .. }) => assert!(round < 4 && file == path, "round {round}"),
            Err(other) => panic!("{other:?}"),
        }
        fs::write(&path, &content).expect("writes");
    }
    // A file that ends in the middle of a round.
    for cut in [begins[4] + 1, begins[4] + 100, begins[4] + 1499] {
        fs::write(&path, &content[..cut]).expect("writes");
        assert_eq!(Written::open(folder.path()).expect("opens").model.entries.len(), 4, "cut at {cut}");
    }
}

#[test]
fn nothing_in_a_value_is_taken_for_a_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, content, begins) = rounds_in_one_segment(folder.path());
    let seed = record::segment_header(folder::FIRST, 0).1;
    let mut forged = record::Round::default();
    forged.begin(seed, u64::MAX);
    forged.add(Kind::Gate, |_| {}).expect("it is short");
    let forged = forged.finish();
    let mut changed = content;
    // In the last round, which was interrupted.
    changed[begins[4]..begins[4] + 512].fill(0);
    let at = (begins[4] + 520) / 8 * 8;
    changed[at..at + forged.len()].copy_from_slice(forged);
    fs::write(&path, &changed).expect("writes");
    assert_eq!(Written::open(folder.path()).expect("opens").model.entries.len(), 4);
}

#[test]
fn segments_that_are_gone_are_missed_when_no_entry_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = Written::open(folder.path()).expect("opens");
    log.round(&[Operation::Append { count: 6, length: 1900 }], 1);
    log.round(&[Operation::Vote { term: 3 }], 1);
    drop(log);
    assert_eq!(segment::list(folder.path()).expect("lists"), [1, 2]);
    fs::remove_file(segment::path(folder.path(), 1)).expect("removes");
    assert!(matches!(Written::open(folder.path()).err(), Some(Error::DamagedFile { .. })));
}

#[test]
fn a_crash_within_a_rotation_is_survived() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let mut log = Written::open(path).expect("opens");
    log.round(&[Operation::Vote { term: 3 }], 1);
    log.round(&[Operation::Append { count: 5, length: 2000 }], 1);
    let model = log.model.clone();
    // The next segment is there, and nothing was written to it.
    log.files.begin(&log.places);
    drop(log);
    assert_eq!(segment::list(path).expect("lists"), [1, 2]);
    assert_eq!(Written::open(path).expect("opens").model, model);
    // It has no name yet, and is half there.
    let next = segment::path(path, 2);
    let content = fs::read(&next).expect("reads");
    fs::remove_file(&next).expect("removes");
    fs::write(next.with_extension("new"), &content[..content.len() / 2]).expect("writes");
    let mut log = Written::open(path).expect("opens");
    assert_eq!(log.model, model);
    log.round(&[Operation::Append { count: 1, length: 10 }], 2);
    let model = log.model.clone();
    drop(log);
    assert_eq!(segment::list(path).expect("lists"), [1, 2]);
    assert_eq!(Written::open(path).expect("opens").model, model);
}

#[test]
fn a_crash_within_a_removal_is_survived() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let mut log = Written::open(path).expect("opens");
    for _ in 0..6 {
        log.round(&[Operation::Append { count: 5, length: 2000 }], 1);
    }
    // Durable, and no segment was removed yet.
    log.write(&[Operation::Purge { forward: 24 }], 1);
    let model = log.model.clone();
    drop(log);
    let segments = segment::list(path).expect("lists");
    assert!(segments.len() > 4, "{segments:?}");
    assert_eq!(Written::open(path).expect("opens").model, model);
    // The first of them is gone.
    segment::remove(path, segments[0]).expect("removes");
    let mut log = Written::open(path).expect("opens");
    assert_eq!(log.model, model);
    // The others follow after the next rounds, some at a time.
    for term in 2..5 {
        log.round(&[Operation::Vote { term }], 1);
    }
    let model = log.model.clone();
    drop(log);
    let left = segment::list(path).expect("lists");
    assert!(left.len() <= 3 && left.last() >= segments.last(), "{left:?} of {segments:?}");
    assert_eq!(Written::open(path).expect("opens").model, model);
}
