//! What a segment holds, byte by byte.
//!
//! ```text
//! "keelson segment" 00   what it is (16)
//! number                 of this segment, which is in its name, too (8)
//! checksum               CRC-32C of the above (4)
//! zeros                  (4)
//! record …
//! zeros                  as far as the file was made in advance
//! ```
//!
//! A record begins at a multiple of 8:
//!
//! ```text
//! header checksum        CRC-32C of the segment's number (8) and of the rest of the header (4)
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
pub(super) const SEGMENT_HEADER_BYTES: usize = 32;
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

pub(super) fn segment_header(number: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    bytes[..16].copy_from_slice(SEGMENT_MAGIC);
    bytes[16..24].copy_from_slice(&number.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes[..24]);
    bytes[24..28].copy_from_slice(&checksum.to_be_bytes());
    bytes
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
    /// The header at the beginning of `bytes`, in the segment of that number. None when what is there is not one.
    pub(super) fn read(bytes: &[u8], segment: u64) -> Option<Self> {
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
        (header.encode(segment)[..4] == *checksum).then_some(header)
    }

    fn encode(&self, segment: u64) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.body_checksum.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_be_bytes());
        bytes[12] = self.kind as u8;
        bytes[13] = u8::from(self.end);
        bytes[16..].copy_from_slice(&self.round.to_be_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&segment.to_be_bytes()), &bytes[4..]);
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
    /// The record at the beginning of `bytes`, in the segment of that number. None when what is there is not one, whole.
    pub(super) fn read(bytes: &'a [u8], segment: u64) -> Option<Self> {
        let header = Header::read(bytes, segment)?;
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
    segment: u64,
    number: u64,
    /// The record that may be the last, and where it begins.
    newest: Option<(usize, Header)>,
}

impl Round {
    /// Begins the round of that number.
    pub(super) fn begin(&mut self, segment: u64, number: u64) {
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_KEPT_BYTES);
        (self.segment, self.number, self.newest) = (segment, number, None);
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
        if let Some((begin, header)) = self.newest.take() {
            let header = Header { end, ..header }.encode(self.segment);
            self.bytes[begin..begin + HEADER_BYTES].copy_from_slice(&header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(bodies: &[&[u8]]) -> Vec<u8> {
        let mut round = Round::default();
        round.begin(3, 7);
        for body in bodies {
            round.add(Kind::Vote, |bytes| bytes.extend_from_slice(body)).expect("it is short");
        }
        round.finish().to_vec()
    }

    /// Stored bytes must be readable for ever.
    #[test]
    fn golden_bytes() {
        assert_eq!(segment_header(258), *b"keelson segment\0\0\0\0\0\0\0\x01\x02\x2d\xea\x3d\xaf\0\0\0\0");
        let header = b"\x5d\xe0\x5e\x19\x73\x71\xd7\xf9\0\0\0\x05\x02\x01\0\0\0\0\0\0\0\0\0\x07";
        assert_eq!(round(&[b"abcde"]), [&header[..], b"abcde\xff\xff\xff"].concat());
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let bytes = round(&[b"first", b""]);
        let first = Record { round: 7, kind: Kind::Vote, end: false, body: b"first" };
        assert_eq!(Record::read(&bytes, 3), Some(first));
        assert_eq!(Record::read(&bytes[size(5)..], 3), Some(Record { end: true, body: b"", ..first }));
        assert_eq!(Record::read(&bytes, 4), None, "it is of another segment");
        for place in 0..size(5) {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << bit;
                assert_eq!(Record::read(&damaged, 3), None, "bit {bit} of byte {place}");
            }
            assert_eq!(Record::read(&bytes[..place], 3), None, "{place} bytes of it");
        }
        assert_eq!(Record::read(&[0; 64], 0), None, "zeros");
    }
}
