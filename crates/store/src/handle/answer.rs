//! From a command's reply to the answer of the request that was proposed.

use keelson_proto::etcdserverpb::{
    CompactionResponse, DeleteRangeResponse, LeaseGrantResponse, LeaseRevokeResponse, PutResponse, TxnResponse,
};
use keelson_proto::keelson::store::v1::{AuthChanged, Reply, reply};

use crate::Error;

macro_rules! answers {
    ($($name:ident: $variant:ident -> $response:ty;)*) => {$(
        /// # Errors
        /// The refusal, or `Internal` when the reply is of another command.
        pub(super) fn $name(reply: Reply) -> Result<$response, Error> {
            match reply.reply {
                Some(reply::Reply::$variant(response)) => Ok(response),
                Some(reply::Reply::Refusal(refusal)) => Err(refusal.into()),
                _ => Err(Error::Internal(concat!("the reply is not of ", stringify!($name)).to_owned())),
            }
        }
    )*};
}

answers! {
    put: Put -> PutResponse;
    delete_range: DeleteRange -> DeleteRangeResponse;
    txn: Txn -> TxnResponse;
    compact: Compact -> CompactionResponse;
    lease_grant: LeaseGrant -> LeaseGrantResponse;
    lease_revoke: LeaseRevoke -> LeaseRevokeResponse;
    auth_changed: AuthChanged -> AuthChanged;
}
