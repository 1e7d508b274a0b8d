//! What always holds of a state; checked after every apply in tests. Reads everything, so it is for small states.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rocksdb::IteratorMode;

use super::{Error, State};
use crate::mvcc::key;
use crate::mvcc::value::{Header, Kind, decode_rev};

type Versions = BTreeMap<Vec<u8>, BTreeMap<i64, Header>>;

impl State {
    /// Checks how the column families relate to each other and to the figures in memory.
    ///
    /// # Panics
    /// When something does not hold.
    pub(super) fn validate(&self) {
        let versions = self.versions().expect("data can be read");
        self.check_versions(&versions);
        self.check_history(&versions);
        self.check_leases(&versions);
    }

    fn versions(&self) -> Result<Versions, Error> {
        let columns = self.generation.columns()?;
        let mut versions = Versions::new();
        for item in columns.db.iterator_cf(columns.data, IteratorMode::Start) {
            let (found, stored) = item.map_err(Error::rocks("reading"))?;
            let (prefix, revision) = key::split(&found)?;
            let mut user_key = Vec::new();
            key::user_key(prefix, &mut user_key)?;
            versions.entry(user_key).or_default().insert(revision, Header::decode(&stored)?.0);
        }
        Ok(versions)
    }

    /// Versions count up from each creation, and none is newer than the revision.
    fn check_versions(&self, versions: &Versions) {
        let figures = &self.generation.figures;
        assert!(figures.compacted() <= figures.revision());
        let floor = self.generation.floor();
        for (user_key, versions) in versions {
            let mut older: Option<Header> = None;
            for (revision, header) in versions {
                let at = format!("{user_key:?} at {revision}: {header:?} after {older:?}");
                assert!(*revision <= figures.revision(), "{at}");
                match older {
                    _ if header.tombstone => assert_eq!(*header, Header::DELETED, "{at}"),
                    // What is between two versions at or below the floor may be gone before the older one, which lies in another file.
                    Some(_) if *revision <= floor => {
                        assert!(header.version >= 1 && header.create_revision <= *revision, "{at}");
                    }
                    Some(older) if older.tombstone => assert_eq!(header.version, 1, "{at}"),
                    Some(older) => {
                        assert_eq!(header.version, older.version + 1, "{at}");
                        assert_eq!(header.create_revision, older.create_revision, "{at}");
                    }
                    // What came before may be compacted.
                    None => assert!(header.version >= 1 && header.create_revision <= *revision, "{at}"),
                }
                if header.version == 1 {
                    assert_eq!(header.create_revision, *revision, "{at}");
                }
                older = Some(*header);
            }
        }
    }

    /// `rev` and `data` name the same changes, as far as they are not compacted.
    fn check_history(&self, versions: &Versions) {
        let columns = self.generation.columns().expect("an open database");
        let compacted = self.generation.figures.compacted();
        let mut changes = BTreeSet::new();
        for item in columns.db.iterator_cf(columns.rev, IteratorMode::Start) {
            let (found, stored) = item.expect("rev can be read");
            let (revision, _) = key::split_rev(&found).expect("a key of rev");
            let (kind, user_key) = decode_rev(&stored).expect("a value of rev");
            if revision > compacted {
                let header = versions.get(user_key).and_then(|versions| versions.get(&revision));
                let header = header.unwrap_or_else(|| panic!("{user_key:?} at {revision} is in rev only"));
                assert_eq!(header.tombstone, kind == Kind::Delete, "{user_key:?} at {revision}");
                assert!(changes.insert((user_key.to_vec(), revision)), "{user_key:?} at {revision} twice");
            }
        }
        for (user_key, versions) in versions {
            for revision in versions.keys().filter(|revision| **revision > compacted) {
                assert!(changes.contains(&(user_key.clone(), *revision)), "{user_key:?} at {revision} is not in rev");
            }
        }
    }

    /// A key is attached to the lease that its newest version names, and to no other; that lease exists.
    fn check_leases(&self, versions: &Versions) {
        let reader = self.reader();
        let named: BTreeSet<(i64, Bytes)> = versions
            .iter()
            .filter_map(|(user_key, versions)| Some((versions.values().next_back()?.lease, user_key)))
            .filter(|(lease, _)| *lease != 0)
            .map(|(lease, user_key)| (lease, Bytes::copy_from_slice(user_key)))
            .collect();
        let columns = self.generation.columns().expect("an open database");
        let attached: BTreeSet<(i64, Bytes)> = columns
            .db
            .iterator_cf(columns.lease_keys, IteratorMode::Start)
            .map(|item| {
                let (found, _) = item.expect("lease_keys can be read");
                let (id, user_key) = found.split_first_chunk::<8>().expect("a key of lease_keys");
                (i64::from_be_bytes(*id), Bytes::copy_from_slice(user_key))
            })
            .collect();
        assert_eq!(named, attached);
        for (lease, user_key) in named {
            assert!(reader.lease(lease).is_some(), "{user_key:?} is attached to lease {lease}, which is gone");
        }
    }
}
