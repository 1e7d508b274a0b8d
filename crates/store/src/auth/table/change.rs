//! Changes of the table, each with the rows that it writes. All checks come first: a refused change changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use keelson_proto::authpb::permission::Type;
use keelson_proto::authpb::{Permission, Role, User, UserAddOptions};
use keelson_proto::keelson::store::v1::refusal::Reason;
use parking_lot::RwLock;
use prost::Message as _;

use super::{Change, ROLE, ROOT, STATE_KEY, TOKEN, Table, Token, USER};
use crate::auth::TokenHash;

/// All of it is in memory on every member. etcd's largest known installations have some hundreds of each.
const USERS_MAX: usize = 100_000;
const ROLES_MAX: usize = 100_000;
/// In one role.
const PERMISSIONS_MAX: usize = 10_000;
/// Some hundred bytes each. Clients keep one for as long as they use it.
const TOKENS_MAX: usize = 200_000;

/// The rows to be written, or why the change is refused.
type Changed = Result<Vec<Change>, Reason>;

impl Table {
    pub(crate) fn enable(&mut self) -> Changed {
        if self.enabled {
            return Ok(Vec::new());
        }
        let root = self.users.get(ROOT).ok_or(Reason::AuthRootUserNotExist)?;
        if !root.roles.iter().any(|role| role == ROOT) {
            return Err(Reason::AuthRootRoleNotExist);
        }
        self.enabled = true;
        self.epoch += 1;
        Ok(vec![self.state_row()])
    }

    /// Switching off takes all tokens away.
    pub(crate) fn disable(&mut self) -> Changed {
        if !self.enabled {
            return Ok(Vec::new());
        }
        self.enabled = false;
        let all: Vec<TokenHash> = self.tokens.keys().copied().collect();
        let mut rows = self.expire(&all);
        rows.push(self.advance());
        Ok(rows)
    }

    pub(crate) fn add_user(&mut self, name: &str, password_hash: bytes::Bytes, no_password: bool) -> Changed {
        if name.is_empty() {
            return Err(Reason::AuthUserEmpty);
        }
        if self.users.contains_key(name) {
            return Err(Reason::AuthUserExists);
        }
        if self.users.len() >= USERS_MAX {
            return Err(Reason::AuthLimit);
        }
        let user = User {
            name: name.to_owned().into(),
            password: password_hash,
            options: Some(UserAddOptions { no_password }),
            roles: Vec::new(),
        };
        Ok(vec![self.put_user(user), self.advance()])
    }

    /// A user that may not have a password keeps none. Tokens of the user end.
    pub(crate) fn change_password(&mut self, name: &str, password_hash: bytes::Bytes) -> Changed {
        let mut user = self.users.get(name).ok_or(Reason::AuthUserNotFound)?.clone();
        let no_password = user.options.is_some_and(|options| options.no_password);
        user.password = if no_password { bytes::Bytes::new() } else { password_hash };
        let mut rows = self.expire_of(name);
        rows.extend([self.put_user(user), self.advance()]);
        Ok(rows)
    }

    pub(crate) fn delete_user(&mut self, name: &str) -> Changed {
        if self.enabled && name == ROOT {
            return Err(Reason::AuthInvalidManagement);
        }
        self.users.remove(name).ok_or(Reason::AuthUserNotFound)?;
        let mut rows = self.expire_of(name);
        rows.extend([(named(USER, name), None), self.advance()]);
        Ok(rows)
    }

    /// The role root need not have been added.
    pub(crate) fn grant_role(&mut self, name: &str, role: &str) -> Changed {
        let mut user = self.users.get(name).ok_or(Reason::AuthUserNotFound)?.clone();
        if role != ROOT && !self.roles.contains_key(role) {
            return Err(Reason::AuthRoleNotFound);
        }
        match user.roles.binary_search_by(|other| other.as_str().cmp(role)) {
            Ok(_) => Ok(Vec::new()),
            Err(place) => {
                user.roles.insert(place, role.to_owned());
                Ok(vec![self.put_user(user), self.advance()])
            }
        }
    }

    pub(crate) fn revoke_role(&mut self, name: &str, role: &str) -> Changed {
        if self.enabled && name == ROOT && role == ROOT {
            return Err(Reason::AuthInvalidManagement);
        }
        let mut user = self.users.get(name).ok_or(Reason::AuthUserNotFound)?.clone();
        let place = user.roles.iter().position(|other| other == role).ok_or(Reason::AuthRoleNotGranted)?;
        user.roles.remove(place);
        Ok(vec![self.put_user(user), self.advance()])
    }

    pub(crate) fn add_role(&mut self, name: &str) -> Changed {
        if name.is_empty() {
            return Err(Reason::AuthRoleEmpty);
        }
        if self.roles.contains_key(name) {
            return Err(Reason::AuthRoleExists);
        }
        if self.roles.len() >= ROLES_MAX {
            return Err(Reason::AuthLimit);
        }
        let role = Role { name: name.to_owned().into(), key_permission: Vec::new() };
        Ok(vec![self.put_role(role), self.advance()])
    }

    /// Takes the role from all users that have it, too.
    pub(crate) fn delete_role(&mut self, name: &str) -> Changed {
        if self.enabled && name == ROOT {
            return Err(Reason::AuthInvalidManagement);
        }
        self.roles.remove(name).ok_or(Reason::AuthRoleNotFound)?;
        let mut rows = vec![(named(ROLE, name), None)];
        let having: Vec<User> =
            self.users.values().filter(|user| user.roles.iter().any(|role| role == name)).cloned().collect();
        for mut user in having {
            user.roles.retain(|role| role != name);
            rows.push(self.put_user(user));
        }
        rows.push(self.advance());
        Ok(rows)
    }

    /// Replaces the permission on exactly the same range, or adds it.
    pub(crate) fn grant_permission(&mut self, name: &str, permission: Option<Permission>) -> Changed {
        let permission = permission.ok_or(Reason::AuthPermissionNotGiven)?;
        // A type of a later version must not read as the first one.
        if !is_range(&permission.key, &permission.range_end) || Type::try_from(permission.perm_type).is_err() {
            return Err(Reason::AuthInvalidManagement);
        }
        let mut role = self.roles.get(name).ok_or(Reason::AuthRoleNotFound)?.clone();
        let range = (&permission.key, &permission.range_end);
        match role.key_permission.binary_search_by(|other| (&other.key, &other.range_end).cmp(&range)) {
            Ok(place) => role.key_permission[place] = permission,
            Err(_) if role.key_permission.len() >= PERMISSIONS_MAX => return Err(Reason::AuthLimit),
            Err(place) => role.key_permission.insert(place, permission),
        }
        Ok(vec![self.put_role(role), self.advance()])
    }

    pub(crate) fn revoke_permission(&mut self, name: &str, key: &[u8], range_end: &[u8]) -> Changed {
        let mut role = self.roles.get(name).ok_or(Reason::AuthRoleNotFound)?.clone();
        let before = role.key_permission.len();
        role.key_permission.retain(|permission| permission.key != key || permission.range_end != range_end);
        if role.key_permission.len() == before {
            return Err(Reason::AuthPermissionNotGranted);
        }
        Ok(vec![self.put_role(role), self.advance()])
    }

    /// Gives a token to a user whose password fitted `password_hash`; an empty one says that it was checked in this epoch.
    pub(crate) fn assign(&mut self, user: &str, password_hash: &[u8], hash: TokenHash, index: u64) -> Changed {
        if !self.enabled {
            return Err(Reason::AuthNotEnabled);
        }
        let Some(now) = self.users.get(user) else {
            return Err(Reason::AuthUserNotFound);
        };
        if !password_hash.is_empty() && now.password != password_hash {
            return Err(Reason::AuthOldRevision);
        }
        if self.tokens.len() >= TOKENS_MAX {
            return Err(Reason::AuthLimit);
        }
        Ok(vec![self.put_token(hash, Token { user: user.into(), renewed: index })])
    }

    /// Notes that tokens are in use. Those that are gone are passed over.
    pub(crate) fn renew(&mut self, hashes: &[TokenHash], index: u64) -> Vec<Change> {
        let mut rows = Vec::new();
        for hash in hashes {
            if let Some(token) = self.tokens.get(hash) {
                let user = Arc::clone(&token.user);
                rows.push(self.put_token(*hash, Token { user, renewed: index }));
            }
        }
        rows
    }

    /// Takes tokens away. Those that are gone are passed over.
    pub(crate) fn expire(&mut self, hashes: &[TokenHash]) -> Vec<Change> {
        let known = hashes.iter().filter(|hash| self.tokens.remove(*hash).is_some());
        known.map(|hash| (token_key(hash), None)).collect()
    }

    fn expire_of(&mut self, user: &str) -> Vec<Change> {
        let of: Vec<TokenHash> =
            self.tokens.iter().filter(|(_, token)| &*token.user == user).map(|(hash, _)| *hash).collect();
        self.expire(&of)
    }

    fn put_user(&mut self, user: User) -> Change {
        let name = String::from_utf8_lossy(&user.name).into_owned();
        let row = (named(USER, &name), Some(user.encode_to_vec()));
        self.users.insert(name, user);
        row
    }

    fn put_role(&mut self, role: Role) -> Change {
        let name = String::from_utf8_lossy(&role.name).into_owned();
        let row = (named(ROLE, &name), Some(role.encode_to_vec()));
        self.roles.insert(name, role);
        row
    }

    fn put_token(&mut self, hash: TokenHash, token: Token) -> Change {
        let row = (token_key(&hash), Some([&token.renewed.to_be_bytes(), token.user.as_bytes()].concat()));
        self.tokens.insert(hash, token);
        row
    }

    /// Ends a change of users, roles or permissions.
    fn advance(&mut self) -> Change {
        self.revision += 1;
        self.epoch += 1;
        self.merged = Arc::new(RwLock::new(HashMap::new()));
        self.state_row()
    }

    fn state_row(&self) -> Change {
        let enabled = [u8::from(self.enabled)];
        let value = [&enabled[..], &self.revision.to_be_bytes(), &self.epoch.to_be_bytes()].concat();
        (STATE_KEY.to_vec(), Some(value))
    }
}

fn named(kind: u8, name: &str) -> Vec<u8> {
    [&[kind], name.as_bytes()].concat()
}

fn token_key(hash: &TokenHash) -> Vec<u8> {
    [&[TOKEN], &hash[..]].concat()
}

/// Whether a permission's pair names keys, as etcd has it.
fn is_range(key: &[u8], range_end: &[u8]) -> bool {
    !key.is_empty() && (range_end.is_empty() || key < range_end || range_end == b"\0")
}
