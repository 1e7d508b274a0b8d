//! Executes plans: one guarded transaction a write, decided again when a guard fails.
//!
//! **Invariant**: a refusal or an "unchanged" is answered only from a state at least as new as the request; a success only
//! when the transaction was applied. A transaction whose outcome is unknown is never tried again.

mod answer;
mod collection;
mod execute;
mod transaction;

use bytes::Bytes;
use keelson_types::status::Status;

pub use collection::Deleted;

use super::Pipeline;
use super::plan::evict;
use super::request::{DeleteOptions, Operation, PatchType, Subresource, Target, User, WriteOptions, Written};

/// Operations in a batch.
pub const OPERATIONS_MAX: usize = 4096;
/// Bytes of their bodies, together.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Characters in the name of who writes, as in Kubernetes.
const FIELD_MANAGER_MAX: usize = 128;

/// What a batch came to.
#[derive(Debug)]
pub struct Batch {
    /// One an operation, in order.
    pub results: Vec<Written>,
    /// The revision at which all of it became visible.
    pub revision: i64,
}

/// Why a batch was refused, and by which of its operations; None when by all of them.
struct Refusal {
    index: Option<usize>,
    status: Status,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Refusal {
        Refusal { index: None, status }
    }
}

impl Pipeline {
    /// Creates an object. A Binding with the binding subresource.
    ///
    /// # Errors
    /// AlreadyExists, Invalid, Forbidden and whatever else Kubernetes answers.
    pub async fn create(
        &self,
        user: &User,
        target: Target,
        body: Bytes,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        if target.kind.is_answered() {
            return self.review(user, &target, &body, options.field_validation).await;
        }
        if target.subresource == Subresource::Eviction && evict::is_dry_run(&body) {
            let options = WriteOptions { dry_run: true, ..options.clone() };
            return self.one(user, Operation::Create { target, body }, &options).await;
        }
        self.one(user, Operation::Create { target, body }, options).await
    }

    /// Replaces an object. Guarded by its resourceVersion if the body has one.
    ///
    /// # Errors
    /// NotFound, Conflict, Invalid, Forbidden and whatever else Kubernetes answers.
    pub async fn update(
        &self,
        user: &User,
        target: Target,
        body: Bytes,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        self.one(user, Operation::Update { target, body }, options).await
    }

    /// # Errors
    /// As `update`.
    pub async fn patch(
        &self,
        user: &User,
        target: Target,
        patch_type: PatchType,
        patch: Bytes,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        self.one(user, Operation::Patch { target, patch_type, patch }, options).await
    }

    /// Creates the object or merges it into the one that exists; the target may leave the name to the body.
    ///
    /// # Errors
    /// As `create` and `update`.
    pub async fn apply(
        &self,
        user: &User,
        target: Target,
        body: Bytes,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        self.one(user, Operation::Apply { target, body }, options).await
    }

    /// Server-side apply: creates the object, or merges what the field manager wants into it.
    ///
    /// # Errors
    /// Conflict with a cause for each field of another manager; Invalid without a field manager; as `create` and `update`.
    pub async fn server_side_apply(
        &self,
        user: &User,
        target: Target,
        body: Bytes,
        force: bool,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        self.one(user, Operation::ServerSideApply { target, body, force }, options).await
    }

    /// # Errors
    /// NotFound, Conflict for a failed precondition, Forbidden.
    pub async fn delete(
        &self,
        user: &User,
        target: Target,
        delete: DeleteOptions,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        self.one(user, Operation::Delete { target, options: delete }, options).await
    }

    /// All of the operations or none, in one log entry.
    ///
    /// # Errors
    /// Of the first operation that was refused; the message names its index.
    pub async fn write(
        &self,
        user: &User,
        operations: Vec<Operation>,
        options: &WriteOptions,
    ) -> Result<Batch, Status> {
        if operations.len() > OPERATIONS_MAX {
            let message = format!("a batch has at most {OPERATIONS_MAX} operations, this one has {}", operations.len());
            return Err(Status::bad_request(message));
        }
        if operations.iter().map(body_bytes).sum::<usize>() > BATCH_BYTES_MAX {
            return Err(Status::request_entity_too_large(BATCH_BYTES_MAX));
        }
        self.execute(user, &operations, options).await.map_err(|Refusal { index, mut status }| {
            if let Some(index) = index {
                status.message = format!("operation {index}: {}", status.message);
            }
            status
        })
    }

    async fn one(&self, user: &User, operation: Operation, options: &WriteOptions) -> Result<Written, Status> {
        let batch = self.execute(user, &[operation], options).await.map_err(|refusal| refusal.status)?;
        batch.results.into_iter().next().ok_or_else(|| Status::internal("a write without an answer"))
    }
}

fn check_options(user: &User, options: &WriteOptions) -> Result<(), Status> {
    if options.fence_term != 0 && !user.is_component() {
        let why = format!("User {:?} may not fence a write by a term", user.name);
        return Err(Status::forbidden("", "", "", &why));
    }
    let length = options.field_manager.chars().count();
    if length > FIELD_MANAGER_MAX {
        return Err(Status::bad_request(format!(
            "fieldManager has {length} characters, at most {FIELD_MANAGER_MAX} fit"
        )));
    }
    if let Some(bad) = options.field_manager.chars().find(|c| c.is_control()) {
        return Err(Status::bad_request(format!("fieldManager should only contain printable characters, not {bad:?}")));
    }
    Ok(())
}

fn body_bytes(operation: &Operation) -> usize {
    match operation {
        Operation::Create { body, .. }
        | Operation::Update { body, .. }
        | Operation::Apply { body, .. }
        | Operation::ServerSideApply { body, .. } => body.len(),
        Operation::Patch { patch, .. } => patch.len(),
        Operation::Delete { .. } => 0,
        Operation::Bind { namespace, pod, uid, node } => namespace.len() + pod.len() + uid.len() + node.len(),
    }
}
