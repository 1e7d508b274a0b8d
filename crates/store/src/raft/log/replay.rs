//! Reads a log at the start: all of it, so that whatever is damaged is found then.
//!
//! **What a crash leaves.** A round is synced before the next is written and before anybody is told of it. So of all rounds only
//! the last one can be half there, and nobody was told of that. It is taken for one that was never written.
//!
//! **What is damage.** Everything else, and a member must not start on it: it may have acknowledged what is lost. A round that
//! cannot be read is told from one that the power interrupted by two signs:
//! - a later round is behind it: then it was synced;
//! - none of its sectors is zeros. A disk writes a sector whole or not at all, and a segment is zeros before it is written. So
//!   nothing was left out when it was written, and what is wrong with it came later.
//!
//! What cannot be told: synced rounds at the end that are gone altogether, with the file's end or because all their sectors have become
//! zeros; and a synced last round of which one sector has become zeros, or was zeros and something else has changed.

use std::fs::OpenOptions;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::error::Error;
use super::folder::FIRST;
use super::format::{self, GateState};
use super::places::{Place, Places, Readable};
use super::record::{self, Header, Kind, Record, Round, Seed};
use super::segment::{self, Newest};
use crate::machine::Step;
use crate::machine::files::before as step;
use crate::raft::types::{LogId, Vote};

/// A disk writes a sector whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What a log says besides its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) vote: Option<Vote>,
    pub(super) gate: Option<GateState>,
    pub(super) purged: Option<LogId>,
}

impl Kept {
    /// Says all of it again.
    pub(super) fn restate(&self, round: &mut Round) {
        if let Some(vote) = &self.vote {
            round.add(Kind::Vote, |bytes| bytes.extend_from_slice(&format::encode_vote(vote)));
        }
        if let Some(gate) = self.gate {
            round.add(Kind::Gate, |bytes| bytes.extend_from_slice(&format::encode_gate(gate)));
        }
        if let Some(purged) = &self.purged {
            round.add(Kind::Purge, |bytes| bytes.extend_from_slice(&format::encode_purge(purged)));
        }
    }
}

/// A log that was read.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) kept: Kept,
    pub(super) places: Places,
    pub(super) newest: Newest,
    /// The last one that was synced.
    pub(super) round: u64,
}

/// Reads the segments in `folder`, and makes the newest one ready to be gone on with. None when there is none.
///
/// # Errors
/// When one is damaged or missing, or the disk fails.
pub(super) fn replay(folder: &Path, segment_bytes: u64) -> Result<Option<Replayed>, Error> {
    let numbers = segment::list(folder)?;
    let (Some(oldest), Some(newest)) = (numbers.first(), numbers.last()) else { return Ok(None) };
    // What was renamed and removed by a process that was killed may not be durable.
    segment::sync_folder(folder)?;
    let (mut kept, mut places, mut last_round) = (Kept::default(), Places::default(), 0);
    for (number, expected) in numbers.iter().zip(*oldest..) {
        if *number != expected {
            return Err(Error::missing_file(segment::path(folder, expected)));
        }
        let path = segment::path(folder, *number);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(Error::io("open", &path))?;
        let length = file.metadata().map_err(Error::io("look at", &path))?.len();
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
        let damaged = |what| Error::damaged_file(path.clone(), what);
        let seed =
            record::read_segment_header(&bytes, *number).ok_or_else(|| damaged("it does not begin as it should"))?;
        let readable = Arc::new(Readable { file, seed });
        places.add_segment(*number, Arc::clone(&readable));
        let read = Segment { number: *number, seed, bytes: &bytes };
        let written = read.rounds(&mut last_round, |place, record| take(&mut kept, &mut places, place, record));
        let written = written.map_err(damaged)?;
        let rest_is_zeros = bytes[written.end..].iter().all(|byte| *byte == 0);
        if number != newest {
            if !rest_is_zeros {
                return Err(damaged("something in it is not what was written, and there is a later segment"));
            }
            continue;
        }
        if !rest_is_zeros {
            read.interrupted(written.end, last_round + 1).map_err(damaged)?;
            tracing::warn!(file = %path.display(), at = written.end, "a write that was interrupted is taken back");
            readable.file.set_len(written.end as u64).map_err(Error::io("shorten", &path))?;
        }
        // Of the last round it is not known that it was synced. It may even be that a sync has failed: then it is in memory and
        // not on disk, and no later sync would write it.
        let (last, begin) = (&bytes[written.clone()], written.start as u64);
        let write = step(&Step::Rewrite { file: &path, range: begin..written.end as u64 });
        write.and_then(|()| readable.file.write_all_at(last, begin)).map_err(Error::io("write", &path))?;
        let sync = step(&Step::Sync { file: &path });
        sync.and_then(|()| readable.file.sync_all()).map_err(Error::io("sync", &path))?;
        check_beginning(folder, *oldest, &kept, &places)?;
        let newest = Newest::go_on(folder, *newest, segment_bytes, readable, written.end as u64)?;
        return Ok(Some(Replayed { kept, places, newest, round: last_round }));
    }
    Ok(None)
}

/// Entries begin behind what was purged, and only what was purged is removed.
fn check_beginning(folder: &Path, oldest: u64, kept: &Kept, places: &Places) -> Result<(), Error> {
    if oldest != FIRST && kept.purged.is_none() {
        return Err(Error::missing_file(segment::path(folder, FIRST)));
    }
    let expected = kept.purged.map_or(0, |purged| purged.index + 1);
    if places.first() == places.end() || places.first() == expected {
        return Ok(());
    }
    Err(Error::damaged_file(folder.to_owned(), "entries are missing between what was purged and the first"))
}

/// Takes a record in. None when its body is not what its kind says.
fn take(kept: &mut Kept, places: &mut Places, place: Place, record: Record<'_>) -> Option<()> {
    match record.kind {
        Kind::Entry => places.append(format::split_entry(record.body)?.0.index, place),
        Kind::Vote => kept.vote = Some(format::decode_vote(record.body)?),
        Kind::Truncate => places.truncate(format::decode_truncate(record.body)?),
        Kind::Purge => {
            let upto = format::decode_purge(record.body)?;
            places.purge(upto.index);
            kept.purged = kept.purged.max(Some(upto));
        }
        Kind::Gate => kept.gate = Some(format::decode_gate(record.body)?),
    }
    Some(())
}

/// A segment in memory.
struct Segment<'a> {
    number: u64,
    seed: Seed,
    bytes: &'a [u8],
}

impl Segment<'_> {
    /// Hands out the records of all rounds that are whole, which go on from segment to segment; gives where the last one is, or an
    /// empty place behind the header. `last` is the number of the last round, 0 before the first.
    fn rounds(
        &self,
        last: &mut u64,
        mut take: impl FnMut(Place, Record<'_>) -> Option<()>,
    ) -> Result<Range<usize>, &'static str> {
        let mut place = record::SEGMENT_HEADER_BYTES..record::SEGMENT_HEADER_BYTES;
        while let Some((records, end, round)) = self.round(place.end) {
            // The oldest segment that is left may begin with any.
            if *last != 0 && round != *last + 1 {
                return Err("rounds are missing in it");
            }
            for (place, record) in records {
                take(place, record).ok_or("something in it makes no sense")?;
            }
            *last = round;
            place = place.end..end;
        }
        Ok(place)
    }

    /// The records of the round that begins at `begin`, where it ends, and its number. None when it is not all there.
    #[expect(clippy::type_complexity, reason = "read in one place")]
    fn round(&self, begin: usize) -> Option<(Vec<(Place, Record<'_>)>, usize, u64)> {
        let (mut records, mut at, mut number) = (Vec::new(), begin, None);
        loop {
            let record = Record::read(self.bytes.get(at..)?, self.seed)?;
            if *number.get_or_insert(record.round) != record.round {
                return None;
            }
            let length = record::size(record.body.len());
            records.push((Place { segment: self.number, offset: at as u64, length }, record));
            at += length;
            if record.end {
                return Some((records, at, record.round));
            }
        }
    }

    /// Makes sure that the round at `begin`, which would have been `number`, is one that was being written when the power failed.
    fn interrupted(&self, begin: usize, number: u64) -> Result<(), &'static str> {
        let later = (begin..self.bytes.len())
            .step_by(record::ALIGNMENT)
            .any(|at| Record::read(&self.bytes[at..], self.seed).is_some_and(|record| record.round > number));
        if later {
            return Err("something in it is not what was written, and there is more behind it");
        }
        let mut bad = begin;
        while let Some(record) = self.bytes.get(bad..).and_then(|bytes| Record::read(bytes, self.seed))
            && record.round == number
        {
            bad += record::size(record.body.len());
        }
        if self.has_unwritten_sector(bad) { Ok(()) } else { Err("the last that was written to it has changed") }
    }

    /// Whether a sector with some of the record at `begin` was never written. What is behind the file's end was not.
    fn has_unwritten_sector(&self, begin: usize) -> bool {
        let rest = self.bytes.get(begin..).unwrap_or_default();
        let length = Header::read(rest, self.seed).map_or(record::HEADER_BYTES, |header| header.size());
        let end = begin.saturating_add(length);
        if end > self.bytes.len() {
            return true;
        }
        let sectors = (begin / SECTOR_BYTES * SECTOR_BYTES..end).step_by(SECTOR_BYTES);
        let mut parts = sectors.map(|sector| sector.max(begin)..(sector + SECTOR_BYTES).min(self.bytes.len()));
        parts.any(|part| self.bytes[part].iter().all(|byte| *byte == 0))
    }
}

#[cfg(test)]
mod tests;
