//! What a request to the store can end with, other than its answer.
//!
//! Invariant: an outcome that is not known is [`Error::Unknown`] (or [`Error::Timeout`] of a read), never a refusal.
//! Status codes of a wire protocol are assigned by the front that speaks it, never here.

use keelson_proto::keelson::store::v1::{Refusal, refusal};

use crate::state;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("revision {requested} has been compacted; the oldest that can be read is {compacted}")]
    Compacted {
        /// The revision that was asked for, or 0 when the refusal does not say.
        requested: i64,
        /// The compacted revision, or 0 when the refusal does not say.
        compacted: i64,
    },
    #[error("revision {requested} is in the future; the newest is {current}")]
    FutureRevision {
        /// The revision that was asked for, or 0 when the refusal does not say.
        requested: i64,
        /// The store's newest revision.
        current: i64,
    },
    #[error("lease not found")]
    LeaseNotFound,
    #[error("lease already exists")]
    LeaseExists,
    #[error("lease time to live is too large")]
    LeaseTtlTooLarge,
    #[error("key not found")]
    KeyNotFound,
    #[error("key is not provided")]
    KeyNotProvided,
    #[error("value is provided together with ignore_value")]
    ValueProvided,
    #[error("lease is provided together with ignore_lease")]
    LeaseProvided,
    #[error("too many operations in a transaction")]
    TooManyOps,
    #[error("duplicate key in a transaction")]
    DuplicateKey,
    #[error("invalid sort option")]
    InvalidSortOption,
    #[error("request is too large")]
    TooLarge,
    #[error("too many requests")]
    TooManyRequests,
    #[error("database space exceeded")]
    NoSpace,
    #[error("members differ: the cluster is corrupt")]
    Corrupt,
    #[error("a downgrade is in progress")]
    DowngradeInProgress,
    #[error("no downgrade is in progress")]
    NoDowngrade,
    #[error("the cluster's version is not known yet")]
    NoClusterVersion,
    #[error("the target version of a downgrade is not major.minor")]
    DowngradeFormat,
    #[error("the target version of a downgrade is not the minor version before")]
    DowngradeTarget,
    #[error("member not found")]
    MemberNotFound,
    #[error("a member with this id exists or was removed")]
    MemberExists,
    #[error("another member has one of these peer URLs")]
    PeerUrlExists,
    #[error("the member URLs are not valid")]
    MemberUrls,
    #[error("too few members have started")]
    NotEnoughStarted,
    #[error("too many members do not answer")]
    Unhealthy,
    #[error("the cluster has as many learners as it may")]
    TooManyLearners,
    #[error("the member is not a learner")]
    NotALearner,
    #[error("the learner is not in sync with the leader")]
    LearnerNotReady,
    #[error("this member is a learner, which does not serve this")]
    Learner,
    #[error("the fence's term is over: the entry's term is {term}")]
    Fenced {
        /// The term of the entry that carried the command.
        term: u64,
    },
    #[error("the auth state changed since the request was checked")]
    AuthOldRevision,
    #[error("permission denied")]
    PermissionDenied,
    #[error("invalid auth token")]
    InvalidAuthToken,
    #[error("authentication is not enabled")]
    AuthNotEnabled,
    #[error("authentication failed")]
    AuthFailed,
    #[error("password was given for a user without one")]
    NoPasswordUser,
    #[error("a password has 72 bytes at most")]
    PasswordTooLong,
    #[error("this member has no key to sign tokens with")]
    VerifyOnly,
    #[error("root user does not exist")]
    RootUserNotExist,
    #[error("root user does not have root role")]
    RootRoleNotExist,
    #[error("user name is empty")]
    UserEmpty,
    #[error("user name already exists")]
    UserExists,
    #[error("user name not found")]
    UserNotFound,
    #[error("role name is empty")]
    RoleEmpty,
    #[error("role name already exists")]
    RoleExists,
    #[error("role name not found")]
    RoleNotFound,
    #[error("role is not granted to the user")]
    RoleNotGranted,
    #[error("permission not given")]
    PermissionNotGiven,
    #[error("permission is not granted to the role")]
    PermissionNotGranted,
    #[error("invalid auth management")]
    InvalidAuthManagement,
    #[error("no leader")]
    NoLeader,
    #[error("leader changed before the request was proposed")]
    LeaderChanged,
    #[error("request timed out")]
    Timeout,
    #[error("the outcome is unknown: the request may or may not take effect")]
    Unknown,
    #[error("the store is stopped")]
    Stopped,
    #[error("the answer was not read for too long")]
    Stalled,
    #[error("this member is not the leader")]
    NotLeader,
    #[error("the member cannot take over leadership")]
    BadTransferee,
    #[error("storage failed")]
    Storage(#[from] state::Error),
    #[error("not implemented: {0}")]
    Unimplemented(&'static str),
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal.reason() {
            refusal::Reason::Fenced => Error::Fenced { term: refusal.raft_term },
            refusal::Reason::Compacted => Error::Compacted { requested: 0, compacted: 0 },
            refusal::Reason::FutureRevision => Error::FutureRevision { requested: 0, current: refusal.revision },
            refusal::Reason::LeaseNotFound => Error::LeaseNotFound,
            refusal::Reason::LeaseExists => Error::LeaseExists,
            refusal::Reason::KeyNotFound => Error::KeyNotFound,
            refusal::Reason::NoSpace => Error::NoSpace,
            refusal::Reason::Corrupt => Error::Corrupt,
            refusal::Reason::DowngradeInProgress => Error::DowngradeInProgress,
            refusal::Reason::NoDowngrade => Error::NoDowngrade,
            refusal::Reason::MemberNotFound => Error::MemberNotFound,
            refusal::Reason::MemberExists => Error::MemberExists,
            refusal::Reason::PeerUrlExists => Error::PeerUrlExists,
            refusal::Reason::NotEnoughStarted => Error::NotEnoughStarted,
            refusal::Reason::TooManyLearners => Error::TooManyLearners,
            refusal::Reason::NotALearner => Error::NotALearner,
            refusal::Reason::Unhealthy => Error::Unhealthy,
            refusal::Reason::LearnerNotReady => Error::LearnerNotReady,
            refusal::Reason::AuthOldRevision => Error::AuthOldRevision,
            refusal::Reason::AuthPermissionDenied => Error::PermissionDenied,
            refusal::Reason::AuthNotEnabled => Error::AuthNotEnabled,
            refusal::Reason::AuthRootUserNotExist => Error::RootUserNotExist,
            refusal::Reason::AuthRootRoleNotExist => Error::RootRoleNotExist,
            refusal::Reason::AuthUserEmpty => Error::UserEmpty,
            refusal::Reason::AuthUserExists => Error::UserExists,
            refusal::Reason::AuthUserNotFound => Error::UserNotFound,
            refusal::Reason::AuthRoleEmpty => Error::RoleEmpty,
            refusal::Reason::AuthRoleExists => Error::RoleExists,
            refusal::Reason::AuthRoleNotFound => Error::RoleNotFound,
            refusal::Reason::AuthRoleNotGranted => Error::RoleNotGranted,
            refusal::Reason::AuthPermissionNotGiven => Error::PermissionNotGiven,
            refusal::Reason::AuthPermissionNotGranted => Error::PermissionNotGranted,
            refusal::Reason::AuthInvalidManagement => Error::InvalidAuthManagement,
            refusal::Reason::AuthLimit => Error::TooManyRequests,
            refusal::Reason::Unspecified => {
                Error::Internal("the command was refused for a reason that this version does not know".to_owned())
            }
        }
    }
}
