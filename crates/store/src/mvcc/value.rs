//! Values of the column families `data` and `rev`.
//!
//! ```text
//! data   flags (1 byte; bit 0: tombstone) ⧺ create revision (8) ⧺ version (8) ⧺ lease (8) ⧺ the value's bytes
//! rev    kind (1 byte; 0 put, 1 delete) ⧺ user key
//! ```
//!
//! Integers are big-endian. A tombstone has zeros and no bytes. A flag or kind that is not listed was written by a newer
//! version, or is damage; either way it is refused.

use crate::state::Error;

/// What is known of a version besides its key, its revision and its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub tombstone: bool,
    pub create_revision: i64,
    /// Counts from 1 at each creation; 0 in a tombstone.
    pub version: i64,
    /// 0 = none.
    pub lease: i64,
}

const HEADER_LEN: usize = 25;
const TOMBSTONE: u8 = 1;

impl Header {
    pub(crate) const DELETED: Header = Header { tombstone: true, create_revision: 0, version: 0, lease: 0 };

    /// Replaces `out` by a value of column family `data`.
    pub(crate) fn encode(&self, value: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.reserve(HEADER_LEN + value.len());
        out.push(u8::from(self.tombstone) * TOMBSTONE);
        out.extend_from_slice(&self.create_revision.to_be_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.lease.to_be_bytes());
        out.extend_from_slice(value);
    }

    /// Splits a value of column family `data`.
    pub(crate) fn decode(stored: &[u8]) -> Result<(Header, &[u8]), Error> {
        let Some((header, value)) = stored.split_first_chunk::<HEADER_LEN>() else {
            return Err(Error::Corrupt { what: "a value of column family data" });
        };
        let integer = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            i64::from_be_bytes(bytes)
        };
        if header[0] & !TOMBSTONE != 0 {
            return Err(Error::Corrupt { what: "the flags of a value in column family data" });
        }
        let header = Header {
            tombstone: header[0] & TOMBSTONE != 0,
            create_revision: integer(1),
            version: integer(9),
            lease: integer(17),
        };
        Ok((header, value))
    }
}

/// What a change did to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Delete,
}

/// Replaces `out` by a value of column family `rev`.
pub(crate) fn encode_rev(kind: Kind, user_key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push(match kind {
        Kind::Put => 0,
        Kind::Delete => 1,
    });
    out.extend_from_slice(user_key);
}

/// Splits a value of column family `rev`.
pub(crate) fn decode_rev(stored: &[u8]) -> Result<(Kind, &[u8]), Error> {
    match stored.split_first() {
        Some((0, key)) => Ok((Kind::Put, key)),
        Some((1, key)) => Ok((Kind::Delete, key)),
        _ => Err(Error::Corrupt { what: "a value of column family rev" }),
    }
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Bytes, fuzz};

    use super::*;

    #[test]
    fn layouts_are_pinned() {
        let mut out = Vec::new();
        let header = Header { tombstone: false, create_revision: 2, version: 3, lease: 0x0405 };
        header.encode(b"hi", &mut out);
        assert_eq!(out, b"\x00\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\x04\x05hi");
        assert_eq!(Header::decode(&out).expect("just encoded"), (header, &b"hi"[..]));
        Header::DELETED.encode(b"", &mut out);
        assert_eq!(out, b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        encode_rev(Kind::Delete, b"k", &mut out);
        assert_eq!(out, b"\x01k");
        assert_eq!(decode_rev(&out).expect("just encoded"), (Kind::Delete, &b"k"[..]));
    }

    #[test]
    fn unknown_flags_and_kinds_are_refused() {
        assert!(Header::decode(&[2; HEADER_LEN]).is_err());
        assert!(Header::decode(b"short").is_err());
        assert!(decode_rev(b"\x02k").is_err());
        assert!(decode_rev(b"").is_err());
    }

    #[test]
    fn a_stored_value_of_any_bytes_is_refused_or_written_so() {
        let (mut value, mut deleted, mut change) = (Vec::new(), Vec::new(), Vec::new());
        Header { tombstone: false, create_revision: 2, version: 3, lease: -1 }.encode(b"hi", &mut value);
        Header::DELETED.encode(b"", &mut deleted);
        encode_rev(Kind::Put, b"k", &mut change);
        fuzz!(Bytes::new(vec![value, deleted, change], &[b"\x00", b"\x01", b"\x02"]), |stored| {
            let mut again = Vec::new();
            let header = Header::decode(stored);
            if let Ok((header, value)) = &header {
                header.encode(value, &mut again);
                assert_eq!(again, *stored);
            }
            let change = decode_rev(stored);
            if let Ok((kind, key)) = &change {
                encode_rev(*kind, key, &mut again);
                assert_eq!(again, *stored);
            }
            header.is_ok() || change.is_ok()
        });
    }
}
