//! The one place where a store error becomes a gRPC status, with etcd's codes and words.
//!
//! Clients compare these strings (Go's client maps them back to its error values), so they are etcd's to the letter. What
//! has no counterpart in etcd says so in its own words. An unknown outcome becomes UNAVAILABLE with a text that etcd's
//! clients know to mean "may have happened", never a code that reads as a refusal.

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::Error;

/// Where a gRPC status is, among trailers or headers.
const GRPC_STATUS: &str = "grpc-status";

/// A store error as its caller sees it.
impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, message) = match &error {
            Error::KeyNotProvided => (Code::InvalidArgument, "etcdserver: key is not provided"),
            Error::KeyNotFound => (Code::InvalidArgument, "etcdserver: key not found"),
            Error::ValueProvided => (Code::InvalidArgument, "etcdserver: value is provided"),
            Error::LeaseProvided => (Code::InvalidArgument, "etcdserver: lease is provided"),
            Error::TooManyOps => (Code::InvalidArgument, "etcdserver: too many operations in txn request"),
            Error::DuplicateKey => (Code::InvalidArgument, "etcdserver: duplicate key given in txn request"),
            Error::InvalidSortOption => (Code::InvalidArgument, "etcdserver: invalid sort option"),
            Error::TooLarge => (Code::InvalidArgument, "etcdserver: request is too large"),
            Error::Compacted { .. } => (Code::OutOfRange, COMPACTED),
            Error::FutureRevision { .. } => {
                (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision")
            }
            Error::LeaseTtlTooLarge => (Code::OutOfRange, "etcdserver: too large lease TTL"),
            Error::NoSpace => (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            Error::TooManyRequests => (Code::ResourceExhausted, "etcdserver: too many requests"),
            Error::LeaseNotFound => (Code::NotFound, "etcdserver: requested lease not found"),
            Error::LeaseExists => (Code::FailedPrecondition, "etcdserver: lease already exists"),
            Error::DowngradeFormat => (Code::InvalidArgument, "etcdserver: wrong downgrade target version format"),
            Error::DowngradeTarget => (Code::InvalidArgument, "etcdserver: invalid downgrade target version"),
            Error::NoClusterVersion => {
                (Code::FailedPrecondition, "etcdserver: cluster version not found during downgrade")
            }
            Error::DowngradeInProgress => {
                (Code::FailedPrecondition, "etcdserver: cluster has a downgrade job in progress")
            }
            Error::NoDowngrade => (Code::FailedPrecondition, "etcdserver: no inflight downgrade job"),
            Error::Corrupt => (Code::DataLoss, "etcdserver: corrupt cluster"),
            Error::MemberNotFound => (Code::NotFound, "etcdserver: member not found"),
            Error::MemberExists => (Code::FailedPrecondition, "etcdserver: member ID already exist"),
            Error::PeerUrlExists => (Code::FailedPrecondition, "etcdserver: Peer URLs already exists"),
            Error::MemberUrls => (Code::InvalidArgument, "etcdserver: given member URLs are invalid"),
            Error::NotEnoughStarted => {
                (Code::FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members")
            }
            Error::Unhealthy => (Code::Unavailable, "etcdserver: unhealthy cluster"),
            Error::TooManyLearners => (Code::FailedPrecondition, "etcdserver: too many learner members in cluster"),
            Error::NotALearner => (Code::FailedPrecondition, "etcdserver: can only promote a learner member"),
            Error::LearnerNotReady => {
                (Code::FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader")
            }
            Error::Learner => (Code::FailedPrecondition, "etcdserver: rpc not supported for learner"),
            Error::NotLeader => (Code::FailedPrecondition, "etcdserver: not leader"),
            Error::BadTransferee => (Code::FailedPrecondition, "etcdserver: bad leader transferee"),
            Error::AuthOldRevision => (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
            Error::PermissionDenied => (Code::PermissionDenied, "etcdserver: permission denied"),
            Error::InvalidAuthToken => (Code::Unauthenticated, "etcdserver: invalid auth token"),
            Error::AuthNotEnabled => (Code::FailedPrecondition, "etcdserver: authentication is not enabled"),
            Error::AuthFailed => {
                (Code::InvalidArgument, "etcdserver: authentication failed, invalid user ID or password")
            }
            Error::NoPasswordUser => {
                (Code::Unknown, "auth: authentication failed, password was given for no password user")
            }
            Error::PasswordTooLong => (Code::InvalidArgument, "keelson: a password has 72 bytes at most"),
            Error::VerifyOnly => (Code::Unknown, "auth: token signing attempted with verify-only key"),
            Error::RootUserNotExist => (Code::FailedPrecondition, "etcdserver: root user does not exist"),
            Error::RootRoleNotExist => (Code::FailedPrecondition, "etcdserver: root user does not have root role"),
            Error::UserEmpty => (Code::InvalidArgument, "etcdserver: user name is empty"),
            Error::UserExists => (Code::FailedPrecondition, "etcdserver: user name already exists"),
            Error::UserNotFound => (Code::FailedPrecondition, "etcdserver: user name not found"),
            Error::RoleEmpty => (Code::InvalidArgument, "etcdserver: role name is empty"),
            Error::RoleExists => (Code::FailedPrecondition, "etcdserver: role name already exists"),
            Error::RoleNotFound => (Code::FailedPrecondition, "etcdserver: role name not found"),
            Error::RoleNotGranted => (Code::FailedPrecondition, "etcdserver: role is not granted to the user"),
            Error::PermissionNotGiven => (Code::InvalidArgument, "etcdserver: permission not given"),
            Error::PermissionNotGranted => {
                (Code::FailedPrecondition, "etcdserver: permission is not granted to the role")
            }
            Error::InvalidAuthManagement => (Code::InvalidArgument, "etcdserver: invalid auth management"),
            Error::NoLeader => (Code::Unavailable, "etcdserver: no leader"),
            Error::LeaderChanged => (Code::Unavailable, "etcdserver: leader changed"),
            Error::Stopped => (Code::Unavailable, "etcdserver: server stopped"),
            Error::Timeout => (Code::Unavailable, "etcdserver: request timed out"),
            Error::Unknown => {
                (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure")
            }
            Error::Stalled => return stalled(),
            Error::Fenced { .. } => (Code::FailedPrecondition, "keelson: the fence's term is over"),
            Error::Unimplemented(what) => return Self::unimplemented(format!("keelson: {what} is not implemented")),
            // As etcd: whatever has no status of its own.
            Error::Storage(_) | Error::Internal(_) => return Self::unknown(format!("keelson: {error}")),
        };
        Self::new(code, message)
    }
}

/// The start of a watch, or the revision of a range, that is gone.
pub(super) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
/// What a client says of itself in its metadata.
pub(super) const INVALID_CLIENT_VERSION: &str = "etcdserver: invalid client api version";
/// Two watches of one stream with one id.
pub(super) const DUPLICATE_WATCH_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
/// A watch of a range whose end is not after its start.
pub(super) const EMPTY_WATCHER_RANGE: &str = "mvcc: watcher range is empty";
/// Own words: etcd has no such bound.
pub(super) const TOO_MANY_WATCHERS: &str = "keelson: too many watchers on this stream";

/// What etcd's Election and Lock say; all of it with the code UNKNOWN.
pub(super) const ELECTION_WITHOUT_LEADER: &str = "election: no leader";
pub(super) const NOT_THE_ELECTED: &str = "election: not leader";
pub(super) const LEADER_KEY_NOT_PROVIDED: &str = "\"leader\" field must be provided";
pub(super) const LOCK_EXPIRED: &str = "mutex: session is expired";
/// Ranges that cannot be given in the order in which they are read.
pub(super) const NO_STREAMED_ORDERS: &str = "RangeStream does not support custom sort orders";
pub(super) const NO_STREAMED_FILTERS: &str = "RangeStream does not support revision filters";

/// Own words: etcd keeps what a client does not read.
pub(super) fn stalled() -> Status {
    Status::deadline_exceeded("keelson: the answer was not read for too long")
}

/// As gRPC in Go says it.
pub(super) fn too_large_to_send(bytes: usize, bytes_max: usize) -> Status {
    Status::resource_exhausted(format!("grpc: trying to send message larger than max ({bytes} vs. {bytes_max})"))
}

/// Why a request could not be received, as gRPC in Go says it. tonic gives a message above the limit another code, and
/// clients would not know it.
pub(super) fn received(status: Status) -> Status {
    let sizes = (status.code() == Code::OutOfRange)
        .then(|| status.message().strip_prefix("Error, decoded message length too large: found "))
        .flatten()
        .and_then(|rest| rest.strip_suffix(" bytes")?.split_once(" bytes, the limit is: "));
    match sizes {
        Some((bytes, bytes_max)) => {
            Status::resource_exhausted(format!("grpc: received message larger than max ({bytes} vs. {bytes_max})"))
        }
        None => status,
    }
}

/// An answer whose status is [`received`]'s, when it is one of tonic's own.
pub(super) fn translated(response: Response<Body>) -> Response<Body> {
    // Only an answer that is nothing but a status has it among the headers.
    if !response.headers().contains_key(GRPC_STATUS) {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() == Code::OutOfRange => received(status).into_http(),
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_etcds_to_the_letter() {
        let cases = [
            (Error::KeyNotProvided, Code::InvalidArgument, "etcdserver: key is not provided"),
            (Error::KeyNotFound, Code::InvalidArgument, "etcdserver: key not found"),
            (Error::TooManyOps, Code::InvalidArgument, "etcdserver: too many operations in txn request"),
            (Error::DuplicateKey, Code::InvalidArgument, "etcdserver: duplicate key given in txn request"),
            (
                Error::Compacted { requested: 1, compacted: 2 },
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
            ),
            (
                Error::FutureRevision { requested: 9, current: 2 },
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
            ),
            (Error::LeaseNotFound, Code::NotFound, "etcdserver: requested lease not found"),
            (Error::LeaseExists, Code::FailedPrecondition, "etcdserver: lease already exists"),
            (Error::NotLeader, Code::FailedPrecondition, "etcdserver: not leader"),
            (Error::NoSpace, Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
        ];
        for (error, code, message) in cases {
            let status = Status::from(error);
            assert_eq!((status.code(), status.message()), (code, message));
        }
    }

    #[test]
    fn an_unknown_outcome_never_reads_as_a_refusal() {
        assert_eq!(Status::from(Error::Unknown).code(), Code::Unavailable);
        assert_eq!(Status::from(Error::Timeout).code(), Code::Unavailable);
    }
}
