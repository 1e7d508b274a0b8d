//! What a segment holds, byte by byte.
//!
//! ```text
//! "keelson segment" 00   what it is (16)
//! number                 of this segment, which is in its name, too (8)
//! salt                   a random number (8)
//! checksum               CRC-32C of the above (4)
//! zeros                  (4)
//! record …
//! zeros                  as far as the file was made in advance
//! ```
//!
//! A record begins at a multiple of 8:
//!
//! ```text
//! header checksum        CRC-32C of the segment's number (8), of its salt (8) and of the rest of the header (4)
//! body checksum          CRC-32C of the body and the padding (4)
//! length                 of the body (4)
//! kind                   01 entry, 02 vote, 03 truncate, 04 purge, 05 gate (1)
//! end                    01 in the last record of a round, else 00 (1)
//! zeros                  (2)
//! round                  counts what was synced together, from 1 (8)
//! body                   see `format.rs`
//! padding                one to eight FF, to the next multiple of 8
//! ```
//!
//! The header has a checksum of its own, so that it says how long the body should have been that is not there. None of a
//! record's words is zero but those of its body: so a sector of zeros was not written, unless some value has 512 of them.
//! With the salt, nobody who chooses a body can make something in it look like a record.
//!
//! Integers are big-endian.

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Entry = 1,
    Vote = 2,
    Truncate = 3,
    Purge = 4,
    Gate = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Entry, Self::Vote, Self::Truncate, Self::Purge, Self::Gate].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What a segment begins with.
pub(super) const SEGMENT_HEADER_BYTES: usize = 40;
const SEGMENT_MAGIC: &[u8; 16] = b"keelson segment\0";

/// What a record begins with.
pub(super) const HEADER_BYTES: usize = 24;
/// Where records begin.
pub(super) const ALIGNMENT: usize = 8;
const PADDING: u8 = 0xff;

/// How long a record with a body of so many bytes is.
pub(super) const fn size(body: usize) -> usize {
    (HEADER_BYTES + body + 1).next_multiple_of(ALIGNMENT)
}

/// What the checksums of a segment's records begin with, so that none is one of another segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u32);

/// What the segment of that number begins with.
pub(super) fn segment_header(number: u64, salt: u64) -> ([u8; SEGMENT_HEADER_BYTES], Seed) {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    bytes[..16].copy_from_slice(SEGMENT_MAGIC);
    bytes[16..24].copy_from_slice(&number.to_be_bytes());
    bytes[24..32].copy_from_slice(&salt.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes[..32]);
    bytes[32..36].copy_from_slice(&checksum.to_be_bytes());
    (bytes, Seed(crc32c::crc32c(&bytes[16..32])))
}

/// The seed of the segment of that number, which `bytes` begin with. None when they do not.
pub(super) fn read_segment_header(bytes: &[u8], number: u64) -> Option<Seed> {
    let salt = bytes.get(24..32)?.try_into().ok()?;
    let (header, seed) = segment_header(number, u64::from_be_bytes(salt));
    bytes.starts_with(&header).then_some(seed)
}

/// What a record says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    body_checksum: u32,
    /// Of the body.
    length: u32,
    kind: Kind,
    end: bool,
    pub(super) round: u64,
}

impl Header {
    /// The header at the beginning of `bytes`, in the segment with that seed. None when what is there is not one.
    pub(super) fn read(bytes: &[u8], seed: Seed) -> Option<Self> {
        let (checksum, rest) = bytes.get(..HEADER_BYTES)?.split_first_chunk::<4>()?;
        let (body_checksum, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let ([kind, end, 0, 0], round) = rest.split_first_chunk()? else { return None };
        let end = match end {
            0 => false,
            1 => true,
            _ => return None,
        };
        let header = Self {
            body_checksum: u32::from_be_bytes(*body_checksum),
            length: u32::from_be_bytes(*length),
            kind: Kind::of(*kind)?,
            end,
            round: u64::from_be_bytes(round.try_into().ok()?),
        };
        (header.encode(seed)[..4] == *checksum).then_some(header)
    }

    fn encode(&self, seed: Seed) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.body_checksum.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_be_bytes());
        bytes[12] = self.kind as u8;
        bytes[13] = u8::from(self.end);
        bytes[16..].copy_from_slice(&self.round.to_be_bytes());
        let checksum = crc32c::crc32c_append(seed.0, &bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// How long the record is.
    pub(super) fn size(&self) -> usize {
        size(self.length as usize)
    }
}

/// A record as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) round: u64,
    pub(super) kind: Kind,
    pub(super) end: bool,
    pub(super) body: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at the beginning of `bytes`, in the segment with that seed. None when what is there is not one, whole.
    pub(super) fn read(bytes: &'a [u8], seed: Seed) -> Option<Self> {
        let header = Header::read(bytes, seed)?;
        let padded = bytes.get(HEADER_BYTES..header.size())?;
        if crc32c::crc32c(padded) != header.body_checksum {
            return None;
        }
        let body = &padded[..header.length as usize];
        Some(Self { round: header.round, kind: header.kind, end: header.end, body })
    }
}

/// A buffer that one large round has made larger is given back.
const BUFFER_KEPT_BYTES: usize = 1 << 20;

/// The records of one round behind each other.
#[derive(Debug, Default)]
pub(super) struct Round {
    bytes: Vec<u8>,
    seed: Option<Seed>,
    number: u64,
    /// The record that may be the last, and where it begins.
    newest: Option<(usize, Header)>,
}

impl Round {
    /// Begins the round of that number, in the segment with that seed.
    pub(super) fn begin(&mut self, seed: Seed, number: u64) {
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_KEPT_BYTES);
        (self.seed, self.number, self.newest) = (Some(seed), number, None);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Adds a record; gives where in the round it begins, and how long it is. None when no record can be so long.
    pub(super) fn add(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> Option<(usize, usize)> {
        self.seal(false);
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        body(&mut self.bytes);
        let length = self.bytes.len() - begin - HEADER_BYTES;
        self.bytes.resize(begin + size(length), PADDING);
        let body_checksum = crc32c::crc32c(&self.bytes[begin + HEADER_BYTES..]);
        let header =
            Header { body_checksum, length: u32::try_from(length).ok()?, kind, end: false, round: self.number };
        self.newest = Some((begin, header));
        Some((begin, header.size()))
    }

    /// The round is whole: its bytes.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.seal(true);
        &self.bytes
    }

    fn seal(&mut self, end: bool) {
        if let (Some((begin, header)), Some(seed)) = (self.newest.take(), self.seed) {
            let header = Header { end, ..header }.encode(seed);
            self.bytes[begin..begin + HEADER_BYTES].copy_from_slice(&header);
        }
    }
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::fuzz;

    use super::*;

    fn seed(number: u64) -> Seed {
        segment_header(number, 9).1
    }

    fn round(bodies: &[&[u8]]) -> Vec<u8> {
        let mut round = Round::default();
        round.begin(seed(3), 7);
        for body in bodies {
            round.add(Kind::Vote, |bytes| bytes.extend_from_slice(body)).expect("it is short");
        }
        round.finish().to_vec()
    }

    /// Stored bytes must be readable for ever.
    #[test]
    fn golden_bytes() {
        let header = b"keelson segment\0\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x09\x7d\xde\xdb\x82\0\0\0\0";
        let (bytes, seed) = segment_header(258, 9);
        assert_eq!(bytes, *header);
        assert_eq!(read_segment_header(header, 258), Some(seed));
        assert_eq!(read_segment_header(header, 259), None);
        let header = b"\x3f\xc8\x80\x8e\x73\x71\xd7\xf9\0\0\0\x05\x02\x01\0\0\0\0\0\0\0\0\0\x07";
        assert_eq!(round(&[b"abcde"]), [&header[..], b"abcde\xff\xff\xff"].concat());
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let bytes = round(&[b"first", b""]);
        let first = Record { round: 7, kind: Kind::Vote, end: false, body: b"first" };
        assert_eq!(Record::read(&bytes, seed(3)), Some(first));
        assert_eq!(Record::read(&bytes[size(5)..], seed(3)), Some(Record { end: true, body: b"", ..first }));
        assert_eq!(Record::read(&bytes, seed(4)), None, "it is of another segment");
        for place in 0..size(5) {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << bit;
                assert_eq!(Record::read(&damaged, seed(3)), None, "bit {bit} of byte {place}");
            }
            assert_eq!(Record::read(&bytes[..place], seed(3)), None, "{place} bytes of it");
        }
        assert_eq!(Record::read(&[0; 64], seed(0)), None, "zeros");
    }

    #[test]
    fn a_record_found_in_any_bytes_is_within_them_and_was_written_so() {
        let inner = round(&[b"a record within a record", b"x"]);
        let seeds = vec![round(&[b"first", b"", &[0; 600]]), round(&[&inner])];
        fuzz!(keelson_fuzzing::Bytes::new(seeds, &[&[0; 8], &[0xff; 8], &inner]), |bytes| {
            let mut found = 0;
            for begin in (0..bytes.len()).step_by(ALIGNMENT) {
                let Some(record) = Record::read(&bytes[begin..], seed(3)) else { continue };
                found += 1;
                let mut again = Round::default();
                again.begin(seed(3), record.round);
                again.add(record.kind, |to| to.extend_from_slice(record.body)).expect("it was read");
                let mut again = again.finish().to_vec();
                if !record.end {
                    let header = Header { end: false, ..Header::read(&again, seed(3)).expect("just written") };
                    again[..HEADER_BYTES].copy_from_slice(&header.encode(seed(3)));
                }
                assert!(bytes[begin..].starts_with(&again[..HEADER_BYTES + record.body.len()]));
            }
            found > 0
        });
    }
}
