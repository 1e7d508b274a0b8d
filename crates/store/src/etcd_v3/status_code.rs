//! The one place where a store error becomes a gRPC status, with etcd's codes and words.
//!
//! Clients compare these strings (Go's client maps them back to its error values), so they are etcd's to the letter. What
//! has no counterpart in etcd says so in its own words. An unknown outcome becomes UNAVAILABLE with a text that etcd's
//! clients know to mean "may have happened", never a code that reads as a refusal.

use tonic::{Code, Status};

use crate::Error;

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
            Error::NotLeader => (Code::FailedPrecondition, "etcdserver: not leader"),
            Error::BadTransferee => (Code::FailedPrecondition, "etcdserver: bad leader transferee"),
            Error::NoLeader => (Code::Unavailable, "etcdserver: no leader"),
            Error::LeaderChanged => (Code::Unavailable, "etcdserver: leader changed"),
            Error::Stopped => (Code::Unavailable, "etcdserver: server stopped"),
            Error::Timeout => (Code::Unavailable, "etcdserver: request timed out"),
            Error::Unknown => {
                (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure")
            }
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
/// Two watches of one stream with one id.
pub(super) const DUPLICATE_WATCH_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
/// A watch of a range whose end is not after its start.
pub(super) const EMPTY_WATCHER_RANGE: &str = "mvcc: watcher range is empty";
/// Own words: etcd has no such bound.
pub(super) const TOO_MANY_WATCHERS: &str = "keelson: too many watchers on this stream";

/// What a service answers that a later version brings.
pub(super) fn not_yet(method: &'static str) -> Status {
    Status::unimplemented(format!("keelson: {method} is not implemented"))
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
