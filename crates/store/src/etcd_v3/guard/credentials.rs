//! Who a request says it comes from: a token, or the common name of the client's certificate.

use std::sync::Arc;

use http::Extensions;
use rustls_pki_types::CertificateDer;
use tonic::metadata::MetadataMap;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::auth::{Tokens, hash_token};
use crate::{Error, Handle, machine};

/// The common name of a connection's certificate. The port puts it into each request's extensions.
#[derive(Clone, Debug)]
pub(in crate::etcd_v3) struct CommonName(pub(in crate::etcd_v3) Arc<str>);

impl CommonName {
    /// Of the client's own certificate, the first of the chain that it showed and that was verified.
    pub(in crate::etcd_v3) fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
        let mut names = certificate.subject().iter_common_name();
        let name = names.next()?.as_str().ok()?;
        // Of several, readers differ in which one counts.
        (!name.is_empty() && names.next().is_none()).then(|| Self(name.into()))
    }
}

/// A user who is known to have sent a request.
#[derive(Clone, Debug)]
pub(in crate::etcd_v3) struct User {
    pub(in crate::etcd_v3) name: Arc<str>,
    /// The auth revision that a JWT was issued at. Others are as new as the table.
    pub(super) revision: Option<u64>,
}

/// Where gRPC clients put a token, and where HTTP clients do.
const TOKEN: &str = "token";
const AUTHORIZATION: &str = "authorization";
/// A gateway speaks with its own certificate, which must not make its clients its user.
const GATEWAY: &str = "grpcgateway-accept";

/// Finds out who sent a request.
///
/// # Errors
/// [`Error::InvalidAuthToken`]; [`Error::UserEmpty`] without credentials; those of a read when the token is not known here.
pub(super) async fn user(handle: &Handle, metadata: &MetadataMap, extensions: &Extensions) -> Result<User, Error> {
    if let Some(token) = metadata.get(TOKEN).or_else(|| metadata.get(AUTHORIZATION)) {
        let token = token.to_str().map_err(|_| Error::InvalidAuthToken)?;
        let token = token.strip_prefix("Bearer ").unwrap_or(token);
        return match &handle.auth().tokens {
            Tokens::Jwt(keys) => {
                let (name, revision) = keys.check(token).ok_or(Error::InvalidAuthToken)?;
                Ok(User { name: name.into(), revision: Some(revision) })
            }
            Tokens::Simple => user_of_simple(handle, token).await,
        };
    }
    match extensions.get::<CommonName>() {
        Some(CommonName(name)) if !metadata.contains_key(GATEWAY) => {
            Ok(User { name: Arc::clone(name), revision: None })
        }
        _ => Err(Error::UserEmpty),
    }
}

/// A token that is not known here may have been given by another member a moment ago, so this one catches up before it
/// refuses it. Requests with made-up tokens share their questions to the leader.
async fn user_of_simple(handle: &Handle, token: &str) -> Result<User, Error> {
    let hash = hash_token(token);
    let known = || handle.gate().table().token(&hash).map(|token| Arc::clone(&token.user));
    let name = match known() {
        Some(name) => name,
        None => {
            handle.read_barrier().await?;
            known().ok_or(Error::InvalidAuthToken)?
        }
    };
    handle.auth().keeper.used(hash, machine::now());
    Ok(User { name, revision: None })
}
