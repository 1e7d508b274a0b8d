//! JSON web tokens with etcd's claims: `username`, `revision` of the auth store when it was issued, and `exp`.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};

use crate::auth::options::{Invalid, Jwt, SignMethod};
use crate::{Error, machine};

/// What a token says. Typed, so that an `exp` that is no number is no token.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    username: String,
    revision: u64,
    /// In seconds since the Unix epoch.
    exp: u64,
}

/// Keys of one signing method.
pub(crate) struct Keys {
    algorithm: Algorithm,
    ttl: Duration,
    /// None on a member that only checks.
    sign: Option<EncodingKey>,
    check: DecodingKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({:?})", self.algorithm)
    }
}

impl Keys {
    pub(super) fn read(options: &Jwt) -> Result<Self, Invalid> {
        let algorithm = algorithm(options.method);
        let (ttl, read) = (options.ttl, |path: &PathBuf| {
            std::fs::read(path).map_err(|source| Invalid::ReadKey { path: path.clone(), source })
        });
        if matches!(options.method, SignMethod::Hs256 | SignMethod::Hs384 | SignMethod::Hs512) {
            let path = options.private_key.as_ref().ok_or(Invalid::MissingKey { which: "private" })?;
            let secret = read(path)?;
            if secret.is_empty() {
                return Err(Invalid::Key { path: path.clone() });
            }
            let (sign, check) = (EncodingKey::from_secret(&secret), DecodingKey::from_secret(&secret));
            return Ok(Self { algorithm, ttl, sign: Some(sign), check });
        }
        let mut public = None;
        let mut sign = None;
        if let Some(path) = &options.private_key {
            let key = || Invalid::Key { path: path.clone() };
            let der = PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| key())?;
            public = Some(public_of(algorithm, &der).ok_or_else(key)?);
            sign = Some(match algorithm {
                // ring takes PKCS #1 here, and PKCS #8 there.
                Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_der(der.secret_der()),
                Algorithm::EdDSA => EncodingKey::from_ed_der(der.secret_der()),
                _ => EncodingKey::from_rsa_pem(&read(path)?).map_err(|_| key())?,
            });
        }
        if let Some(path) = &options.public_key {
            let key = || Invalid::Key { path: path.clone() };
            let der = SubjectPublicKeyInfoDer::from_pem_slice(&read(path)?).map_err(|_| key())?;
            let (_, info) = SubjectPublicKeyInfo::from_der(der.as_ref()).map_err(|_| key())?;
            let found = info.subject_public_key.data.to_vec();
            if public.as_ref().is_some_and(|derived| *derived != found) {
                return Err(Invalid::KeyMismatch);
            }
            public = Some(found);
        }
        let public = public.ok_or(Invalid::MissingKey { which: "public or a private" })?;
        let check = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => DecodingKey::from_ec_der(&public),
            Algorithm::EdDSA => DecodingKey::from_ed_der(&public),
            _ => DecodingKey::from_rsa_der(&public),
        };
        Ok(Self { algorithm, ttl, sign, check })
    }

    /// A token for `user`.
    ///
    /// # Errors
    /// [`Error::VerifyOnly`] without a private key; [`Error::Internal`].
    pub(crate) fn issue(&self, user: &str, revision: u64) -> Result<String, Error> {
        let sign = self.sign.as_ref().ok_or(Error::VerifyOnly)?;
        let now = u64::try_from(machine::unix_millis() / 1000).unwrap_or(0);
        let exp = now.saturating_add(self.ttl.as_secs());
        let claims = Claims { username: user.to_owned(), revision, exp };
        jsonwebtoken::encode(&Header::new(self.algorithm), &claims, sign)
            .map_err(|error| Error::Internal(error.to_string()))
    }

    /// The user and the revision that a good token names.
    pub(crate) fn check(&self, token: &str) -> Option<(String, u64)> {
        let mut validation = Validation::new(self.algorithm);
        validation.leeway = 0;
        // Tokens may name an audience; etcd does not look at it.
        validation.validate_aud = false;
        match jsonwebtoken::decode::<Claims>(token, &self.check, &validation) {
            Ok(found) => Some((found.claims.username, found.claims.revision)),
            Err(error) => {
                tracing::debug!(%error, "a token was refused");
                None
            }
        }
    }
}

/// The bits of the public key that belongs to a private one; none when it is of another kind.
fn public_of(algorithm: Algorithm, der: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let ec = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der.secret_der(), &random).ok();
    Some(match algorithm {
        Algorithm::ES256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)?.public_key().as_ref().to_vec(),
        Algorithm::ES384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)?.public_key().as_ref().to_vec(),
        Algorithm::EdDSA => {
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_der()).ok()?.public_key().as_ref().to_vec()
        }
        _ => {
            let pair = match der {
                PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
                other => RsaKeyPair::from_pkcs8(other.secret_der()),
            };
            pair.ok()?.public_key().as_ref().to_vec()
        }
    })
}

fn algorithm(method: SignMethod) -> Algorithm {
    match method {
        SignMethod::Rs256 => Algorithm::RS256,
        SignMethod::Rs384 => Algorithm::RS384,
        SignMethod::Rs512 => Algorithm::RS512,
        SignMethod::Ps256 => Algorithm::PS256,
        SignMethod::Ps384 => Algorithm::PS384,
        SignMethod::Ps512 => Algorithm::PS512,
        SignMethod::Es256 => Algorithm::ES256,
        SignMethod::Es384 => Algorithm::ES384,
        SignMethod::Hs256 => Algorithm::HS256,
        SignMethod::Hs384 => Algorithm::HS384,
        SignMethod::Hs512 => Algorithm::HS512,
        SignMethod::EdDsa => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests;
