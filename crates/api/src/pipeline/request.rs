//! What a front hands to the pipeline: who asks, what for, and with which options. Plain values.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_types::Kind;

/// A user as the client certificate names it: the common name, and the organizations as groups, and the group of everybody
/// who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
}

/// What a connection proved about who is on its other side.
#[derive(Clone, Debug)]
pub enum Identity {
    /// No client certificate was shown.
    Missing,
    /// A certificate was shown that our CA did not sign, that expired, or that names nobody.
    Unverified(String),
    Verified(Arc<User>),
}

/// The other end of a connection. The service puts it into the extensions of every request, for both fronts.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    pub identity: Identity,
}

/// The object or the collection that a request is about.
#[derive(Clone, Debug)]
pub struct Target {
    pub kind: &'static Kind,
    /// Empty for cluster-scoped kinds, and in lists and watches for all namespaces.
    pub namespace: String,
    /// Empty for collections, and for a create whose object names itself.
    pub name: String,
    pub subresource: Subresource,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subresource {
    /// The object itself.
    #[default]
    None,
    Status,
    Scale,
    Binding,
    /// What a pod's container printed. Read as a stream of its own.
    Log,
    /// Takes a pod away if no budget forbids it.
    Eviction,
    /// The conditions of a certificate signing request.
    Approval,
    /// `spec.finalizers` of a namespace.
    Finalize,
    /// The containers that were added to a pod for debugging.
    EphemeralContainers,
    /// What a pod's containers request and are limited to.
    Resize,
    /// What is no part of a pod's object, but a session with it: `exec`, `attach` or `portforward`.
    Session(&'static str),
}

impl Subresource {
    /// As it stands in a path; empty for the object itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Subresource::None => "",
            Subresource::Status => "status",
            Subresource::Scale => "scale",
            Subresource::Binding => "binding",
            Subresource::Log => "log",
            Subresource::Eviction => "eviction",
            Subresource::Approval => "approval",
            Subresource::Finalize => "finalize",
            Subresource::EphemeralContainers => "ephemeralcontainers",
            Subresource::Resize => "resize",
            Subresource::Session(name) => name,
        }
    }
}

/// How unknown and duplicate fields are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    #[default]
    Strict,
}

#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// The Raft term in which the caller leads; 0 means that the write is not fenced.
    pub fence_term: u64,
    /// Everything but the write itself happens.
    pub dry_run: bool,
    pub field_validation: FieldValidation,
    /// Who writes, at most 128 characters; empty means unnamed.
    pub field_manager: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' strategic merge patch.
    Strategic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// None keeps what the object's finalizers say already, which is background for most.
    pub propagation: Option<Propagation>,
    /// None means the kind's default (a pod's own terminationGracePeriodSeconds); 0 means at once.
    pub grace_period_seconds: Option<i64>,
    /// Preconditions; empty means none.
    pub uid: String,
    pub resource_version: String,
}

/// Which state a list may be answered from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadVersion {
    /// Everything acknowledged before the request is seen.
    #[default]
    MostRecent,
    /// Whatever this member has.
    Any,
    NotOlderThan(i64),
    Exact(i64),
}

#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// `a=b,c in (d, e)`; empty selects everything.
    pub label_selector: String,
    /// `metadata.name=a,spec.nodeName!=b`; empty selects everything.
    pub field_selector: String,
    /// 0 means no limit.
    pub limit: usize,
    /// From the answer before; empty for a new list.
    pub continue_token: String,
    pub version: ReadVersion,
}

/// Where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// With ADDED for every object that exists in the state named, then a bookmark that says so, then live events.
    Initial(ReadVersion),
    /// Right after everything that is acknowledged already, without initial events.
    Now,
    /// Right after this revision, without initial events.
    After(i64),
}

#[derive(Clone, Debug)]
pub struct WatchOptions {
    pub label_selector: String,
    pub field_selector: String,
    pub start: WatchStart,
    /// Whether to send bookmarks, the one after the initial events among them.
    pub bookmarks: bool,
    /// The stream ends normally after this long; None means never.
    pub timeout: Option<Duration>,
}

/// One operation of an atomic write.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `body` is the object's JSON text. With `Subresource::Binding`, a Binding.
    Create {
        target: Target,
        body: Bytes,
    },
    /// With `Subresource::Scale`, the body is a Scale; with `Status`, the object whose status counts.
    Update {
        target: Target,
        body: Bytes,
    },
    Patch {
        target: Target,
        patch_type: PatchType,
        patch: Bytes,
    },
    /// Server-side apply: what the field manager wants, merged into what others have. `body` is JSON text.
    ServerSideApply {
        target: Target,
        body: Bytes,
        /// Takes fields over that other managers have with other values.
        force: bool,
    },
    /// Create, or three-way merge against what was applied before.
    Apply {
        target: Target,
        body: Bytes,
    },
    Delete {
        target: Target,
        options: DeleteOptions,
    },
    /// Sets `spec.nodeName` of a pod that has none; `uid` guards it unless it is empty.
    Bind {
        namespace: String,
        pod: String,
        uid: String,
        node: String,
    },
}

impl Operation {
    /// The kind that the caller names; None for a binding, which is about a pod.
    pub fn kind(&self) -> Option<&'static Kind> {
        match self {
            Operation::Create { target, .. }
            | Operation::Update { target, .. }
            | Operation::Patch { target, .. }
            | Operation::ServerSideApply { target, .. }
            | Operation::Apply { target, .. }
            | Operation::Delete { target, .. } => Some(target.kind),
            Operation::Bind { .. } => None,
        }
    }
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Configured,
    /// Nothing differed, so nothing was written and the resourceVersion is the old one.
    Unchanged,
    /// The object is gone.
    Removed,
    /// The object is marked for deletion and waits for its finalizers or its grace period.
    Deleting,
}

/// The answer to a write.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object's JSON text with its resourceVersion; a Scale for the scale subresource; the last state for `Removed`;
    /// empty for a binding.
    pub json: Bytes,
    pub outcome: Outcome,
    /// Sentences for `Warning: 299` headers.
    pub warnings: Vec<String>,
}
