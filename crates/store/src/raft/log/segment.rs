//! The files that the log is in, and the newest of them, which is written.
//!
//! A segment is made in advance, in steps, of zeros: a sync of bytes that replace others costs half the processor's time and a fifth
//! less of the disk's than one that makes the file longer, since the file system has nothing else to note. And whether a sector
//! was written at all can be seen after a power failure; see [`super::replay`].
//!
//! A segment appears by a rename, synced, with its header and with all that is no entry restated: so older ones can go as soon
//! as no entry of theirs is needed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Error;
use super::places::Readable;
use super::record::{self, Round};
use super::replay::Kept;
use crate::machine::Step;
use crate::machine::files::before as step;

/// The newest segment is made longer by so many zeros at a time: some thousand writes.
const STEP_BYTES_MAX: u64 = 512 << 10;
/// What a new segment is called until it is whole.
const NEW: &str = "new";
const EXTENSION: &str = "segment";

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The file of that number.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.{EXTENSION}"))
}

/// The numbers of all segments in order. Removes what a crash has left of one that was being made.
///
/// # Errors
/// When the disk fails.
pub(super) fn list(folder: &Path) -> Result<Vec<u64>, Error> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let found = entry.map_err(Error::io("list", folder))?.path();
        let extension = found.extension().and_then(|extension| extension.to_str());
        let number = found.file_stem().and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
        match (extension, number) {
            (Some(EXTENSION), Some(number)) if path(folder, number) == found => numbers.push(number),
            (Some(NEW), _) => step(&Step::Remove { file: &found })
                .and_then(|()| fs::remove_file(&found))
                .map_err(Error::io("remove", &found))?,
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes a segment so that none behind it can be gone before it, whenever the power fails.
///
/// # Errors
/// When the disk fails.
pub(super) fn remove(folder: &Path, number: u64) -> Result<(), Error> {
    let path = path(folder, number);
    match step(&Step::Remove { file: &path }).and_then(|()| fs::remove_file(&path)) {
        // It went before, and the power may fail before that is durable.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.map_err(Error::io("remove", &path))?,
    }
    sync_folder(folder)
}

/// Writes a file whole, under a name that nothing has.
///
/// # Errors
/// When the disk fails.
pub(super) fn publish(folder: &Path, target: &Path, content: &[u8], zeros_to: u64) -> Result<File, Error> {
    let new = target.with_extension(NEW);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new);
    let file = file.map_err(Error::io("create", &new))?;
    let length = content.len() as u64;
    let write = step(&Step::Write { file: &new, range: 0..length });
    write.and_then(|()| file.write_all_at(content, 0)).map_err(Error::io("write", &new))?;
    write_zeros(&file, length..zeros_to).map_err(Error::io("write", &new))?;
    step(&Step::Sync { file: &new }).and_then(|()| file.sync_all()).map_err(Error::io("sync", &new))?;
    let rename = step(&Step::Rename { from: &new, to: target });
    rename.and_then(|()| fs::rename(&new, target)).map_err(Error::io("rename", &new))?;
    sync_folder(folder)?;
    Ok(file)
}

/// Makes names in `folder` durable.
///
/// # Errors
/// When the disk fails.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let sync = step(&Step::SyncFolder { folder });
    sync.and_then(|()| File::open(folder)?.sync_all()).map_err(Error::io("sync", folder))
}

fn write_zeros(file: &File, range: Range<u64>) -> io::Result<()> {
    let mut begin = range.start;
    while begin < range.end {
        let length = (range.end - begin).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..usize::try_from(length).unwrap_or(ZEROS.len())], begin)?;
        begin += length;
    }
    Ok(())
}

/// The newest segment.
#[derive(Debug)]
pub(super) struct Newest {
    folder: PathBuf,
    number: u64,
    readable: Arc<Readable>,
    /// Where the next record begins.
    end: u64,
    /// Zeros reach from `end` to here.
    made: u64,
    /// A segment that has grown to this is followed by the next one.
    segment_bytes: u64,
}

impl Newest {
    /// Makes a segment that begins with what is `kept`, as the round of that number.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn create(
        folder: &Path,
        number: u64,
        segment_bytes: u64,
        round: u64,
        kept: &Kept,
    ) -> Result<Self, Error> {
        let (header, seed) = record::segment_header(number, rand::random());
        let mut restated = Round::default();
        restated.begin(seed, round);
        kept.restate(&mut restated);
        let content = [&header[..], restated.finish()].concat();
        let end = content.len() as u64;
        let made = end.next_multiple_of(step_bytes(segment_bytes));
        let file = publish(folder, &path(folder, number), &content, made)?;
        let readable = Arc::new(Readable { file, seed });
        Ok(Self { folder: folder.to_owned(), number, readable, end, made, segment_bytes })
    }

    /// Goes on with a segment whose records end at `end`, and which is zeros from there.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn go_on(
        folder: &Path,
        number: u64,
        segment_bytes: u64,
        readable: Arc<Readable>,
        end: u64,
    ) -> Result<Self, Error> {
        let metadata = readable.file.metadata().map_err(Error::io("look at", &path(folder, number)))?;
        Ok(Self { folder: folder.to_owned(), number, readable, end, made: metadata.len(), segment_bytes })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn readable(&self) -> &Arc<Readable> {
        &self.readable
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the next record begins.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn path(&self) -> PathBuf {
        path(&self.folder, self.number)
    }

    pub(super) fn is_full(&self) -> bool {
        self.end >= self.segment_bytes
    }

    /// The next segment, which begins with what is `kept`.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn next(&self, round: u64, kept: &Kept) -> Result<Self, Error> {
        Self::create(&self.folder, self.number + 1, self.segment_bytes, round, kept)
    }

    /// Writes `bytes`, and returns when they are durable.
    ///
    /// # Errors
    /// When the disk fails. What is there then is not known.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let failed = |action| Error::io(action, &path(&self.folder, self.number));
        let end = self.end + bytes.len() as u64;
        if end > self.made {
            let made = end.next_multiple_of(step_bytes(self.segment_bytes));
            write_zeros(&self.readable.file, end..made).map_err(failed("write"))?;
            self.made = made;
        }
        self.readable.file.write_all_at(bytes, self.end).map_err(failed("write"))?;
        self.readable.file.sync_data().map_err(failed("sync"))?;
        self.end = end;
        Ok(())
    }
}

fn step_bytes(segment_bytes: u64) -> u64 {
    segment_bytes.clamp(1, STEP_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::log::GateState;

    #[test]
    fn a_segment_is_longer_than_what_is_in_it_and_the_rest_is_zeros() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept { gate: Some(GateState::Open), ..Kept::default() };
        let mut newest = Newest::create(folder.path(), 3, 4096, 1, &kept).expect("creates");
        let content = || fs::read(path(folder.path(), 3)).expect("reads");
        let begin = content();
        let end = usize::try_from(newest.end()).expect("it is small");
        assert_eq!(end, record::SEGMENT_HEADER_BYTES + record::size(1));
        assert_eq!((begin.len(), &begin[end..]), (4096, &vec![0; 4096 - end][..]));
        let expected = |written: &[u8], made: usize| {
            let mut content = [&begin[..end], written].concat();
            content.resize(made, 0);
            content
        };
        newest.write(&[7; 4000]).expect("writes");
        assert_eq!(content(), expected(&[7; 4000], 4096));
        assert!(!newest.is_full());
        newest.write(&[7; 4000]).expect("writes");
        assert_eq!(content(), expected(&[7; 8000], 8192));
        assert!(newest.is_full());
        let next = newest.next(2, &Kept::default()).expect("creates");
        assert_eq!((next.number(), next.end()), (4, record::SEGMENT_HEADER_BYTES as u64));
        fs::write(folder.path().join("0000000000000005.new"), "half").expect("writes");
        assert_eq!(list(folder.path()).expect("lists"), [3, 4]);
        remove(folder.path(), 3).expect("removes");
        remove(folder.path(), 3).expect("it may be gone");
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1, "nothing but the last is left");
    }
}
