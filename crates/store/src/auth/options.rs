//! How authentication is set up on a member: `--auth-token` and what goes with it. Nothing here is replicated: all members of a
//! cluster should be given the same.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How long a token lives by default, as in etcd.
const TOKEN_TTL: Duration = Duration::from_secs(300);
/// How much work a password's hash is by default, as in etcd.
const BCRYPT_COST: u32 = 10;
/// What bcrypt itself allows.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=31;

/// Authentication of this member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What tokens are.
    pub token: TokenKind,
    /// How long a simple token lives after its last use. A JWT has its own, from its issue on.
    pub token_ttl: Duration,
    /// The work factor of password hashes: each step doubles it.
    pub bcrypt_cost: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { token: TokenKind::Simple, token_ttl: TOKEN_TTL, bcrypt_cost: BCRYPT_COST }
    }
}

impl Options {
    /// # Errors
    /// The first value that is out of its range.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.token_ttl < Duration::from_secs(1) {
            return Err(Invalid::TokenTtl);
        }
        if !BCRYPT_COSTS.contains(&self.bcrypt_cost) {
            return Err(Invalid::BcryptCost { cost: self.bcrypt_cost });
        }
        Ok(())
    }
}

/// What tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Random texts that all members know.
    Simple,
    /// Signed statements.
    Jwt(Jwt),
}

/// How JWTs are signed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// The signature's algorithm.
    pub method: SignMethod,
    /// PEM of the public key. Without a private key the member checks tokens and issues none.
    pub public_key: Option<PathBuf>,
    /// PEM of the private key; for HMAC, the file whose bytes are the secret.
    pub private_key: Option<PathBuf>,
    /// How long a token lives after it was issued.
    pub ttl: Duration,
}

/// A signature's algorithm, by its name in RFC 7518 and RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SignMethod {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Hs256,
    Hs384,
    Hs512,
    EdDsa,
}

const METHODS: [(&str, SignMethod); 12] = [
    ("RS256", SignMethod::Rs256),
    ("RS384", SignMethod::Rs384),
    ("RS512", SignMethod::Rs512),
    ("PS256", SignMethod::Ps256),
    ("PS384", SignMethod::Ps384),
    ("PS512", SignMethod::Ps512),
    ("ES256", SignMethod::Es256),
    ("ES384", SignMethod::Es384),
    ("HS256", SignMethod::Hs256),
    ("HS384", SignMethod::Hs384),
    ("HS512", SignMethod::Hs512),
    ("EdDSA", SignMethod::EdDsa),
];

impl FromStr for SignMethod {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let found = METHODS.iter().find(|(name, _)| *name == text);
        found.map(|(_, method)| *method).ok_or_else(|| Invalid::SignMethod { method: text.to_owned() })
    }
}

impl FromStr for TokenKind {
    type Err = Invalid;

    /// As etcd's `--auth-token`: `simple`, or `jwt,sign-method=…[,pub-key=FILE][,priv-key=FILE][,ttl=5m]`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.split(',');
        let kind = parts.next().unwrap_or_default();
        let mut options: Vec<(&str, &str)> = Vec::new();
        for part in parts {
            let pair = part.split_once('=').filter(|(_, value)| !value.contains('='));
            let (name, value) = pair.ok_or_else(|| Invalid::Pair { part: part.to_owned() })?;
            if options.iter().any(|(other, _)| *other == name) {
                return Err(Invalid::Twice { name: name.to_owned() });
            }
            options.push((name, value));
        }
        let mut take = |name: &str| {
            let place = options.iter().position(|(other, _)| *other == name)?;
            Some(options.swap_remove(place).1)
        };
        let token = match kind {
            "simple" => TokenKind::Simple,
            "jwt" => TokenKind::Jwt(Jwt {
                method: take("sign-method").unwrap_or_default().parse()?,
                public_key: take("pub-key").map(PathBuf::from),
                private_key: take("priv-key").map(PathBuf::from),
                ttl: take("ttl").map_or(Ok(TOKEN_TTL), duration)?,
            }),
            _ => return Err(Invalid::Kind { kind: kind.to_owned() }),
        };
        match options.first() {
            Some((name, _)) => Err(Invalid::Unknown { name: (*name).to_owned() }),
            None => Ok(token),
        }
    }
}

/// A duration as Go writes it, of whole hours, minutes and seconds: `1h30m`, `300s`.
fn duration(text: &str) -> Result<Duration, Invalid> {
    let wrong = || Invalid::Ttl { ttl: text.to_owned() };
    let (mut seconds, mut number) = (0u64, None);
    for character in text.chars() {
        let unit = match character {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => {
                let digit = character.to_digit(10).ok_or_else(wrong)?;
                let so_far: u64 = number.unwrap_or(0);
                number = Some(so_far.checked_mul(10).and_then(|n| n.checked_add(digit.into())).ok_or_else(wrong)?);
                continue;
            }
        };
        let count = number.take().ok_or_else(wrong)?;
        seconds = count.checked_mul(unit).and_then(|n| seconds.checked_add(n)).ok_or_else(wrong)?;
    }
    if number.is_some() || seconds == 0 { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

/// What is wrong with the options, in words for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Invalid {
    #[error("{kind:?} is no kind of token: simple or jwt")]
    Kind { kind: String },
    #[error("{part:?} is not name=value")]
    Pair { part: String },
    #[error("the token option {name} is given twice")]
    Twice { name: String },
    #[error("there is no token option {name:?} for this kind of token")]
    Unknown { name: String },
    #[error("{ttl:?} is no time to live: 5m, 1h30m, 300s")]
    Ttl { ttl: String },
    #[error("tokens must live for a second at least")]
    TokenTtl,
    #[error("{method:?} is no signing method: RS, PS or HS with 256, 384 or 512; ES256, ES384, EdDSA")]
    SignMethod { method: String },
    #[error("a bcrypt cost of {cost} is not between 4 and 31")]
    BcryptCost { cost: u32 },
    #[error("this signing method needs a {which} key")]
    MissingKey { which: &'static str },
    #[error("cannot read the key {}", .path.display())]
    ReadKey {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} holds no key for this signing method", .path.display())]
    Key { path: PathBuf },
    #[error("the public and the private key do not belong together")]
    KeyMismatch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_set_up_as_in_etcd() {
        assert_eq!("simple".parse::<TokenKind>().expect("a kind"), TokenKind::Simple);
        let jwt = "jwt,pub-key=a.pem,priv-key=b.pem,sign-method=RS256,ttl=1h1m10s".parse::<TokenKind>();
        let expected = Jwt {
            method: SignMethod::Rs256,
            public_key: Some("a.pem".into()),
            private_key: Some("b.pem".into()),
            ttl: Duration::from_secs(3670),
        };
        assert_eq!(jwt.expect("a kind"), TokenKind::Jwt(expected));
        for wrong in [
            "",
            "none",
            "jwt",
            "simple,ttl=5m",
            "jwt,sign-method=none",
            "jwt,sign-method=ES256,ttl=5",
            "jwt,sign-method=ES256,sign-method=ES256",
            "jwt,sign-method",
            "jwt,sign-method=HS256,colour=red",
            "jwt,sign-method=HS256,ttl=0s",
        ] {
            assert!(wrong.parse::<TokenKind>().is_err(), "{wrong}");
        }
    }
}
