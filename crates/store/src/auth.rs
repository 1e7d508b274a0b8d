//! Who may do what: users, roles and permissions on key ranges, as etcd v3 has them.
//!
//! What is here is a function of the replicated [`Table`] and of the request, without I/O. The table changes only by commands
//! of the log ([`crate::apply`]); the etcd port asks it through one guard ([`crate::etcd_v3`]). Commands that the process
//! itself proposes through [`crate::Handle`] are not subject to it: there is no user behind them.
//!
//! **Invariant**: while authentication is on, a client's command takes effect only if the table had the same
//! [epoch](Table::epoch) when the command was checked and when it is applied. So a check on any member, however far behind,
//! is as good as one in the log.

mod gate;
mod keeper;
mod options;
mod pass;
mod password;
mod permissions;
mod ranges;
mod table;
mod token;

use std::sync::Arc;

pub(crate) use gate::Gate;
pub(crate) use keeper::TokenKeeper;
pub use options::{Invalid, Jwt, Options, SignMethod, TokenKind};
pub(crate) use pass::Pass;
pub(crate) use password::Passwords;
pub(crate) use permissions::{Access, Permissions, leases_of};
pub(crate) use table::{Change, ROOT, Table};
pub(crate) use token::{Hash as TokenHash, Tokens, fresh as fresh_token, hash as hash_token};

/// Authentication on one member: what is not replicated of it.
#[derive(Debug)]
pub(crate) struct Auth {
    pub(crate) tokens: Tokens,
    pub(crate) keeper: Arc<TokenKeeper>,
    pub(crate) passwords: Passwords,
}

impl Auth {
    /// # Errors
    /// Options that cannot be used; keys that cannot be read.
    pub(crate) fn new(options: &Options) -> Result<Self, Invalid> {
        options.validate()?;
        Ok(Self {
            tokens: Tokens::new(options)?,
            keeper: Arc::new(TokenKeeper::new(options.token_ttl)),
            passwords: Passwords::new(options.bcrypt_cost),
        })
    }
}
