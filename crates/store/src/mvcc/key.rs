//! Keys of the column families `data` and `rev`.
//!
//! ```text
//! data   escaped user key ⧺ 00 01 ⧺ !revision (8 bytes, big-endian)
//! rev    revision (8 bytes, big-endian) ⧺ sub revision (4 bytes, big-endian)
//! ```
//!
//! Escaping writes each zero byte of the user key as `00 FF`. So the order of encoded keys is the order of user keys,
//! no encoded key is a prefix of another's, and the versions of one key lie together, newest first. The sub revision
//! (the place of a change within its transaction) is not part of a `data` key: what counts of a key after a transaction is
//! the last change to it, and only in one odd case is there another (see `Context::delete`).
//!
//! ```text
//! "a"   at revision 2:  61 00 01 FF FF FF FF FF FF FF FD
//! "a\0" at revision 3:  61 00 FF 00 01 FF FF FF FF FF FF FF FC
//! ```

use crate::state::Error;

/// Ends an escaped user key; lower than the escape of a zero byte, so that a key sorts before its extensions.
const END: [u8; 2] = [0x00, 0x01];
/// Sorts after every version of a key and before the next key.
const AFTER: u8 = 0x02;
const ESCAPED_ZERO: u8 = 0xFF;
const REVISION_LEN: usize = 8;

/// Appends the part of a `data` key that all versions of `user_key` share.
pub(crate) fn push_prefix(out: &mut Vec<u8>, user_key: &[u8]) {
    let mut rest = user_key;
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..=zero]);
        out.push(ESCAPED_ZERO);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&END);
}

/// Appends the revision part of a `data` key.
pub(crate) fn push_revision(out: &mut Vec<u8>, revision: i64) {
    out.extend_from_slice(&(!(revision as u64)).to_be_bytes());
}

/// Turns a prefix into the key before all versions under it.
pub(crate) fn push_newest(out: &mut Vec<u8>) {
    push_revision(out, i64::MAX);
}

/// The part of a `data` key that all versions of its user key share; None for what is no such key, as some bounds are.
pub(crate) fn shared_part(data_key: &[u8]) -> Option<&[u8]> {
    let (prefix, _) = data_key.split_at_checked(data_key.len().checked_sub(REVISION_LEN)?)?;
    prefix.ends_with(&END).then_some(prefix)
}

/// The prefix of `user_key`'s versions, which is also the lower bound of a range that starts with it.
pub(crate) fn prefix(user_key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(user_key.len() + END.len() + REVISION_LEN);
    push_prefix(&mut out, user_key);
    out
}

/// Turns a prefix into the key right after all versions under it.
pub(crate) fn after(mut prefix: Vec<u8>) -> Vec<u8> {
    if let Some(last) = prefix.last_mut() {
        *last = AFTER;
    }
    prefix
}

/// Splits a `data` key into the prefix and the revision.
pub(crate) fn split(data_key: &[u8]) -> Result<(&[u8], i64), Error> {
    let prefix = shared_part(data_key).ok_or(Error::Corrupt { what: "a key of column family data" })?;
    let revision = &data_key[prefix.len()..];
    let revision = revision.try_into().map_err(|_| Error::Corrupt { what: "a revision in column family data" })?;
    Ok((prefix, !u64::from_be_bytes(revision) as i64))
}

/// Writes the user key of a prefix into `out`, replacing what it holds.
pub(crate) fn user_key(prefix: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let corrupt = Error::Corrupt { what: "an escaped key of column family data" };
    let Some(mut rest) = prefix.strip_suffix(&END) else {
        return Err(corrupt);
    };
    out.clear();
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        if rest.get(zero + 1) != Some(&ESCAPED_ZERO) {
            return Err(corrupt);
        }
        out.extend_from_slice(&rest[..=zero]);
        rest = &rest[zero + 2..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// A key of column family `rev`.
pub(crate) fn rev(revision: i64, sub: u32) -> [u8; 12] {
    let mut out = [0; 12];
    out[..8].copy_from_slice(&(revision as u64).to_be_bytes());
    out[8..].copy_from_slice(&sub.to_be_bytes());
    out
}

/// The revision and sub revision of a key of column family `rev`.
pub(crate) fn split_rev(rev_key: &[u8]) -> Result<(i64, u32), Error> {
    let corrupt = || Error::Corrupt { what: "a key of column family rev" };
    let (revision, sub) = rev_key.split_first_chunk::<8>().ok_or_else(corrupt)?;
    let sub: [u8; 4] = sub.try_into().map_err(|_| corrupt())?;
    Ok((u64::from_be_bytes(*revision) as i64, u32::from_be_bytes(sub)))
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Bytes, fuzz};
    use proptest::prelude::*;

    use super::*;

    fn encode(user_key: &[u8], revision: i64) -> Vec<u8> {
        let mut out = prefix(user_key);
        push_revision(&mut out, revision);
        out
    }

    #[test]
    fn layouts_are_pinned() {
        assert_eq!(encode(b"a", 2), b"a\x00\x01\xff\xff\xff\xff\xff\xff\xff\xfd");
        assert_eq!(encode(b"a\0", 3), b"a\x00\xff\x00\x01\xff\xff\xff\xff\xff\xff\xff\xfc");
        assert_eq!(after(prefix(b"a")), b"a\x00\x02");
        assert_eq!(rev(258, 3), *b"\0\0\0\0\0\0\x01\x02\0\0\0\x03");
    }

    #[test]
    fn broken_keys_are_refused() {
        assert!(split(b"short").is_err());
        assert!(split(b"no terminator 12345678").is_err());
        assert!(user_key(b"a\x00b\x00\x01", &mut Vec::new()).is_err());
        assert!(split_rev(b"12345678901").is_err());
    }

    fn few_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 0x61, 0xFE, 0xFF]), 0..6)
    }

    proptest! {
        #[test]
        fn encoding_keeps_order_and_comes_back(a in few_bytes(), b in few_bytes(), x in 1i64..9, y in 1i64..9) {
            let order = a.cmp(&b).then(y.cmp(&x));
            prop_assert_eq!(encode(&a, x).cmp(&encode(&b, y)), order);
            let encoded = encode(&a, x);
            let (prefix, revision) = split(&encoded).expect("just encoded");
            let mut key = Vec::new();
            user_key(prefix, &mut key).expect("just encoded");
            prop_assert_eq!((key, revision), (a.clone(), x));
            prop_assert!(encoded < after(prefix.to_vec()));
            if a < b {
                prop_assert!(after(prefix.to_vec()) <= encode(&b, y));
            }
        }
    }

    #[test]
    fn a_stored_key_of_any_bytes_is_refused_or_written_so() {
        let seeds = vec![encode(b"a", 2), encode(b"a\0b\0\0", i64::MAX), rev(258, 3).to_vec()];
        fuzz!(Bytes::new(seeds, &[&END, b"\x00\xff", b"\x00", b"\x00\x02"]), |stored| {
            let mut decoded = false;
            let mut key = Vec::new();
            if let Ok((prefix, revision)) = split(stored)
                && user_key(prefix, &mut key).is_ok()
            {
                assert_eq!(encode(&key, revision), *stored);
                decoded = true;
            }
            if let Ok((revision, sub)) = split_rev(stored) {
                assert_eq!(rev(revision, sub), stored[..]);
                decoded = true;
            }
            decoded
        });
    }
}
