//! A name and a password for a token.

use keelson_proto::etcdserverpb::AuthenticateRequest;
use keelson_proto::keelson::store::v1::AuthTokenAssign;
use keelson_proto::keelson::store::v1::auth_command::Command;

use crate::auth::{Tokens, fresh_token, hash_token};
use crate::{Error, Handle};

/// How often it is tried again because the user changed while the password was compared.
const ATTEMPTS: usize = 4;

/// Gives a token to whoever knows the password.
///
/// # Errors
/// `AuthNotEnabled`; `AuthFailed`, whatever was wrong; `NoPasswordUser`; those of a read and of a write.
pub(super) async fn token(handle: &Handle, request: AuthenticateRequest) -> Result<String, Error> {
    for _ in 0..ATTEMPTS {
        // A password that was changed before this request began must not be good any more.
        handle.read_barrier().await?;
        let table = handle.gate().table();
        if !table.enabled() {
            return Err(Error::AuthNotEnabled);
        }
        let Some(user) = table.user(&request.name) else {
            // Takes as long as for a user who exists, so that names cannot be found out by the clock.
            handle.auth().passwords.refuse(request.password).await?;
            return Err(Error::AuthFailed);
        };
        if user.options.is_some_and(|options| options.no_password) {
            return Err(Error::NoPasswordUser);
        }
        let password_hash = user.password.clone();
        let hash = String::from_utf8_lossy(&password_hash).into_owned();
        if !handle.auth().passwords.matches(request.password.clone(), hash).await? {
            return Err(Error::AuthFailed);
        }
        let result = match &handle.auth().tokens {
            Tokens::Jwt(keys) => return keys.issue(&request.name, table.revision()),
            Tokens::Simple => {
                let token = fresh_token();
                let token_hash = hash_token(&token).to_vec().into();
                let user = request.name.clone();
                let assign = Command::TokenAssign(AuthTokenAssign { user, token_hash, password_hash });
                // Refused when the user's password has changed; whatever else changes meanwhile does not matter.
                handle.change_auth(assign).await.map(|_| token)
            }
        };
        match result {
            Err(Error::AuthOldRevision | Error::UserNotFound) => {}
            other => return other,
        }
    }
    Err(Error::AuthOldRevision)
}
