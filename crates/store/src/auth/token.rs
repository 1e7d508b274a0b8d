//! Tokens: what a client shows instead of a password after it has authenticated.
//!
//! A *simple* token is a random text whose hash is replicated with the user's name, so that every member knows it, restarted
//! or not. A *JWT* says by itself whose it is, and each member checks its signature; nothing of it is replicated.

mod jwt;

use rand::distr::{Alphanumeric, SampleString as _};
use sha2::{Digest as _, Sha256};

use super::options::{Invalid, Options, TokenKind};

/// SHA-256 of a simple token.
pub(crate) type Hash = [u8; 32];

/// 32 letters and digits are 190 random bits.
const TOKEN_CHARACTERS: usize = 32;

/// How this cluster's tokens are made and checked.
#[derive(Debug)]
pub(crate) enum Tokens {
    Simple,
    Jwt(Box<jwt::Keys>),
}

impl Tokens {
    /// Reads the keys.
    ///
    /// # Errors
    /// A key that is missing, unreadable or of another kind than the method's.
    pub(crate) fn new(options: &Options) -> Result<Self, Invalid> {
        Ok(match &options.token {
            TokenKind::Simple => Tokens::Simple,
            TokenKind::Jwt(jwt) => Tokens::Jwt(Box::new(jwt::Keys::read(jwt)?)),
        })
    }
}

/// A new simple token.
pub(crate) fn fresh() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), TOKEN_CHARACTERS)
}

/// What is replicated and stored of a simple token.
pub(crate) fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}
