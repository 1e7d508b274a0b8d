//! The replicated table of users, roles and tokens, and its rows in column family `auth`.
//!
//! ```text
//! "s"          enabled (1 byte, 0 or 1) ⧺ revision (8) ⧺ epoch (8), big-endian
//! "u" ⧺ name   authpb.User
//! "r" ⧺ name   authpb.Role
//! "t" ⧺ hash   log index of the last renewal (8, big-endian) ⧺ name of the user
//! ```
//!
//! **Invariant**: the *revision* counts as etcd's does (every change but switching on), since clients see it; the *epoch* grows
//! with every change that can turn a permitted request into a refused one, switching on included. Tokens change neither.

mod change;

use std::collections::HashMap;
use std::sync::Arc;

use imbl::OrdMap;
use keelson_proto::authpb::{Role, User};
use parking_lot::RwLock;
use prost::Message as _;
use rocksdb::IteratorMode;

use super::{Permissions, TokenHash};
use crate::state::Error;
use crate::state::columns::Columns;

/// The name of the user, and of the role, that may do everything.
pub(crate) const ROOT: &str = "root";

/// What an empty store starts with, as etcd.
const FIRST_REVISION: u64 = 1;

const STATE_KEY: &[u8] = b"s";
const USER: u8 = b'u';
const ROLE: u8 = b'r';
const TOKEN: u8 = b't';

/// A row to be written, or to be deleted when it has no value.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// Users, roles and tokens. Cloning shares what is not changed afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    enabled: bool,
    revision: u64,
    epoch: u64,
    users: OrdMap<String, User>,
    roles: OrdMap<String, Role>,
    tokens: OrdMap<TokenHash, Token>,
    /// Merged permissions of users that were asked for in this epoch.
    merged: Arc<RwLock<HashMap<String, Arc<Permissions>>>>,
}

/// A token that somebody was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) user: Arc<str>,
    /// The log index of its assignment or last renewal.
    pub(crate) renewed: u64,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            enabled: false,
            revision: FIRST_REVISION,
            epoch: 1,
            users: OrdMap::new(),
            roles: OrdMap::new(),
            tokens: OrdMap::new(),
            merged: Arc::default(),
        }
    }
}

impl Table {
    pub(crate) fn load(columns: &Columns<'_>) -> Result<Self, Error> {
        let mut table = Self::default();
        for item in columns.db.iterator_cf(columns.auth, IteratorMode::Start) {
            let (key, value) = item.map_err(Error::rocks("reading users and roles"))?;
            table.take_row(&key, &value).ok_or(Error::Corrupt { what: "column family auth" })?;
        }
        Ok(table)
    }

    fn take_row(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let (kind, rest) = key.split_first()?;
        let name = || String::from_utf8(rest.to_vec()).ok();
        match *kind {
            USER => drop(self.users.insert(name()?, User::decode(value).ok()?)),
            ROLE => drop(self.roles.insert(name()?, Role::decode(value).ok()?)),
            TOKEN => {
                let (renewed, user) = value.split_first_chunk::<8>()?;
                let user = std::str::from_utf8(user).ok()?.into();
                self.tokens.insert(rest.try_into().ok()?, Token { user, renewed: u64::from_be_bytes(*renewed) });
            }
            _ if key == STATE_KEY => {
                let (enabled, counts) = value.split_first()?;
                let (revision, epoch) = counts.split_first_chunk::<8>()?;
                // Anything else is damage, and must not switch authentication off.
                self.enabled = matches!(enabled, 0 | 1).then_some(*enabled == 1)?;
                self.revision = u64::from_be_bytes(*revision);
                self.epoch = u64::from_be_bytes(epoch.try_into().ok()?);
            }
            _ => return None,
        }
        Some(())
    }

    pub(crate) fn enabled(&self) -> bool {
        self.enabled
    }

    /// As clients see it.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    pub(crate) fn users(&self) -> Vec<String> {
        self.users.keys().cloned().collect()
    }

    pub(crate) fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    pub(crate) fn roles(&self) -> Vec<String> {
        self.roles.keys().cloned().collect()
    }

    pub(crate) fn has_role(&self, user: &str, role: &str) -> bool {
        self.users.get(user).is_some_and(|user| user.roles.iter().any(|other| other == role))
    }

    pub(crate) fn token(&self, hash: &TokenHash) -> Option<&Token> {
        self.tokens.get(hash)
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = (&TokenHash, &Token)> {
        self.tokens.iter()
    }

    /// What a user may do; none when there is no such user. Merged once an epoch.
    pub(crate) fn permissions(&self, name: &str) -> Option<Arc<Permissions>> {
        if let Some(known) = self.merged.read().get(name) {
            return Some(Arc::clone(known));
        }
        let user = self.users.get(name)?;
        let roles = user.roles.iter().filter_map(|role| self.roles.get(role));
        let granted = roles.flat_map(|role| &role.key_permission);
        let permissions = Arc::new(Permissions::new(self.has_role(name, ROOT), granted));
        self.merged.write().insert(name.to_owned(), Arc::clone(&permissions));
        Some(permissions)
    }
}

#[cfg(test)]
mod tests;
