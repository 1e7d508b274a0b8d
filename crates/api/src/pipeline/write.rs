//! Executes plans: one guarded transaction a write, decided again when a guard fails.
//!
//! **Invariant**: a refusal or an "unchanged" is answered only from a state at least as new as the request; a success only
//! when the transaction was applied. A transaction whose outcome is unknown is never tried again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use keelson_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RequestOp, TxnRequest,
    compare::{CompareResult, CompareTarget, TargetUnion},
    request_op::Request,
};
use keelson_types::status::Status;
use parking_lot::Mutex;
use tokio::sync::SemaphorePermit;

use super::authorize::Verb;
use super::plan::{Answer, Guard, Plan, Planner, Prepared, Write, evict, prepare};
use super::request::{
    DeleteOptions, ListOptions, Operation, Outcome, PatchType, ReadVersion, Subresource, Target, User, WriteOptions,
    Written,
};
use super::{Pipeline, TXN_BYTES_MAX, WRITE_UNIT_BYTES, scale};
use crate::cache::Object;
use crate::{keys, status_code};

/// Lost races before the caller is told to try again itself. Each is somebody else's success.
const ATTEMPTS_MAX: usize = 32;
/// Operations in a batch.
pub const OPERATIONS_MAX: usize = 4096;
/// Bytes of their bodies, together.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Characters in the name of who writes, as in Kubernetes.
const FIELD_MANAGER_MAX: usize = 128;
/// Deletions of a collection that are under way at once.
const DELETIONS_AT_ONCE: usize = 16;

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

    /// Deletes or marks what is selected, each object on its own, and says how many. Of `selectors`, only the two
    /// selectors count.
    ///
    /// # Errors
    /// The first deletion that failed; others may have happened.
    pub async fn delete_collection(
        &self,
        user: &User,
        target: Target,
        selectors: ListOptions,
        delete: DeleteOptions,
        options: &WriteOptions,
    ) -> Result<usize, Status> {
        use futures::{StreamExt as _, TryStreamExt as _};
        self.authorize_collection(user, Verb::DeleteCollection, &target, &selectors.field_selector)?;
        let ListOptions { label_selector, field_selector, .. } = selectors;
        let version = ReadVersion::MostRecent;
        let list = ListOptions { label_selector, field_selector, version, ..ListOptions::default() };
        check_options(user, options)?;
        // Who may delete a collection need not be allowed to list it, nor to delete one by one.
        let items = self.list_allowed(&target, list).await?.items;
        let deletions = items.map(|object| {
            let target =
                Target { namespace: object.namespace().to_owned(), name: object.name().to_owned(), ..target.clone() };
            let operation = Operation::Delete { target, options: delete.clone() };
            async move {
                match self.write_own(&[operation], options).await {
                    Ok(()) => Ok(1),
                    // Somebody else was faster.
                    Err(status) if status.reason == keelson_types::status::Reason::NotFound => Ok(0),
                    Err(status) => Err(status),
                }
            }
        });
        futures::stream::iter(deletions)
            .buffer_unordered(DELETIONS_AT_ONCE)
            .try_fold(0, |sum, deleted| async move { Ok(sum + deleted) })
            .await
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

    async fn execute(&self, user: &User, operations: &[Operation], options: &WriteOptions) -> Result<Batch, Refusal> {
        check_options(user, options)?;
        let mut prepared = Vec::with_capacity(operations.len());
        for (index, operation) in operations.iter().enumerate() {
            let at = |status| Refusal { index: Some(index), status };
            let (verb, target) = self.verb(operation);
            self.authorize(user, verb, &target).map_err(at)?;
            prepared.push(prepare(&self.kinds, operation, options).map_err(at)?);
        }
        let mut batch = self.execute_prepared(Some(user), &prepared, options).await?;
        for (operation, written) in operations.iter().zip(&mut batch.results) {
            show(operation, written)?;
        }
        Ok(batch)
    }

    /// Writes what is decoded and allowed already.
    async fn execute_prepared(
        &self,
        user: Option<&User>,
        prepared: &[Prepared],
        options: &WriteOptions,
    ) -> Result<Batch, Refusal> {
        // Until the caches are filled, nothing can be decided.
        self.caches.wait(1).await?;
        let seen = prepared.iter().map(Prepared::seen_revision).max().unwrap_or(0);
        if seen > self.caches.revision() && seen <= self.store.revision() {
            self.caches.wait(seen).await?;
        }
        self.check_emptied(prepared).await?;
        let mut fresh = false;
        // A budget that the caches do not have yet would not refuse.
        if prepared.iter().any(|operation| matches!(operation, Prepared::Evict { .. })) {
            self.await_version(ReadVersion::MostRecent).await?;
            fresh = true;
        }
        for _ in 0..ATTEMPTS_MAX {
            let event_lease = self.event_lease(prepared).await?;
            let plans = match self.plan(user, prepared, options, event_lease) {
                Ok(plans) => plans,
                Err(refusal) if fresh => return Err(refusal),
                Err(_) => {
                    self.await_version(ReadVersion::MostRecent).await?;
                    fresh = true;
                    continue;
                }
            };
            let silent = options.dry_run || plans.iter().all(|plan| plan.writes.is_empty());
            if silent && !fresh {
                self.await_version(ReadVersion::MostRecent).await?;
                fresh = true;
                continue;
            }
            if silent {
                return answers(prepared, plans, self.caches.revision(), true);
            }
            let transaction = transaction(&plans)?;
            let _memory = match user {
                Some(_) => Some(self.memory_for(&plans)?),
                // The server's own writes are few.
                None => None,
            };
            let response = match self.store.txn(transaction, options.fence_term).await {
                Ok(response) => response,
                Err(keelson_store::Error::LeaseNotFound) if event_lease != 0 => {
                    self.event_leases.forget(event_lease).await;
                    continue;
                }
                Err(error) => return Err(status_code::of_write(error, options.fence_term).into()),
            };
            let revision = response.header.unwrap_or_default().revision;
            if response.succeeded {
                if prepared.iter().any(|operation| self.kinds.decide_requests(operation.target().kind)) {
                    // Who writes a role and then acts by it finds it in force here. The write is done in any case.
                    let _ = self.caches.wait(revision).await;
                }
                return answers(prepared, plans, revision, false);
            }
            // Somebody else was faster; what they wrote is at most this new.
            self.caches.wait(revision).await?;
            fresh = true;
        }
        let status = Status::too_many_requests("too many writers contend for the object, please try again", 1);
        Err(status.into())
    }

    /// Memory for what is written, while the store has it.
    fn memory_for(&self, plans: &[Plan]) -> Result<SemaphorePermit<'_>, Status> {
        let bytes: usize = plans.iter().flat_map(|plan| plan.writes.values()).map(Write::size_bytes).sum();
        let units = u32::try_from(bytes / WRITE_UNIT_BYTES + 1).unwrap_or(u32::MAX);
        self.writes.try_acquire_many(units).map_err(|_| {
            Status::too_many_requests("the memory for writes in flight is spent, please try again later", 1)
        })
    }

    fn plan(
        &self,
        user: Option<&User>,
        prepared: &[Prepared],
        options: &WriteOptions,
        event_lease: i64,
    ) -> Result<Vec<Plan>, Refusal> {
        let planner = Planner {
            caches: &self.caches,
            kinds: &self.kinds,
            settings: &self.settings,
            user,
            options,
            now: (self.settings.clock)(),
            event_lease,
            taken: Mutex::new(BTreeSet::new()),
        };
        let mut written: BTreeSet<String> = BTreeSet::new();
        let mut plans = Vec::with_capacity(prepared.len());
        for (index, operation) in prepared.iter().enumerate() {
            let at = |status| Refusal { index: Some(index), status };
            let plan = planner.plan(operation).map_err(at)?;
            if let Some(user) = user {
                self.check_creation(user, operation, &plan).map_err(at)?;
                self.check_escalation(user, operation, &plan).map_err(at)?;
                self.check_signer(user, operation, &plan).map_err(at)?;
            }
            for key in plan.writes.keys() {
                if !written.insert(key.clone()) {
                    let status = Status::bad_request("an earlier operation of the same batch writes the same object");
                    return Err(Refusal { index: Some(index), status });
                }
            }
            plans.push(plan);
        }
        Ok(plans)
    }

    async fn event_lease(&self, prepared: &[Prepared]) -> Result<i64, Status> {
        let is_event = |operation: &Prepared| std::ptr::eq(operation.target().kind, self.kinds.events);
        if !prepared.iter().any(is_event) {
            return Ok(0);
        }
        self.event_leases.current(&self.store).await.map_err(|error| status_code::of_write(error, 0))
    }

    fn verb(&self, operation: &Operation) -> (Verb, Target) {
        match operation {
            Operation::Create { target, .. } => (Verb::Create, target.clone()),
            Operation::Update { target, .. } => (Verb::Update, target.clone()),
            Operation::Patch { target, .. }
            | Operation::Apply { target, .. }
            | Operation::ServerSideApply { target, .. } => (Verb::Patch, target.clone()),
            Operation::Delete { target, .. } => (Verb::Delete, target.clone()),
            Operation::Bind { namespace, pod, .. } => {
                let (namespace, name) = (namespace.clone(), pod.clone());
                let target = Target { kind: self.kinds.pods, namespace, name, subresource: Subresource::Binding };
                (Verb::Create, target)
            }
        }
    }

    /// Writes that are allowed already, or the server's own, all in one transaction.
    pub(super) async fn write_own(&self, operations: &[Operation], options: &WriteOptions) -> Result<(), Status> {
        let prepared = operations.iter().map(|operation| prepare(&self.kinds, operation, options));
        let prepared = prepared.collect::<Result<Vec<Prepared>, Status>>()?;
        self.execute_prepared(None, &prepared, options).await.map(|_| ()).map_err(|refusal| refusal.status)
    }

    /// A write of the server itself.
    pub(super) async fn create_own(&self, target: Target, body: Bytes, options: &WriteOptions) -> Result<(), Status> {
        let prepared = prepare(&self.kinds, &Operation::Create { target, body }, options)?;
        self.execute_prepared(None, &[prepared], options).await.map(|_| ()).map_err(|refusal| refusal.status)
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

/// What was written, as the kind that the caller asked for.
fn show(operation: &Operation, written: &mut Written) -> Result<(), Status> {
    let kind = match operation {
        Operation::Create { target, .. }
        | Operation::Update { target, .. }
        | Operation::Patch { target, .. }
        | Operation::ServerSideApply { target, .. }
        | Operation::Apply { target, .. }
        | Operation::Delete { target, .. } => target.kind,
        Operation::Bind { .. } => return Ok(()),
    };
    if let Some(view) = kind.view()
        && !written.json.is_empty()
    {
        let value = serde_json::from_slice(&written.json).map_err(Status::internal)?;
        written.json = serde_json::to_vec(&(view.from_stored)(value)).map_err(Status::internal)?.into();
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

/// One transaction of all the plans.
fn transaction(plans: &[Plan]) -> Result<TxnRequest, Status> {
    let mut guards: BTreeMap<&str, i64> = BTreeMap::new();
    for Guard { key, mod_revision } in plans.iter().flat_map(|plan| &plan.guards) {
        if guards.insert(key, *mod_revision).is_some_and(|other| other != *mod_revision) {
            // Two operations saw different states of one object: the cache moved between them.
            return Err(Status::too_many_requests("the objects are changing too fast, please try again", 1));
        }
    }
    let compare = guards
        .into_iter()
        .map(|(key, mod_revision)| Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Mod as i32,
            key: Bytes::from(key.to_owned()),
            range_end: Bytes::new(),
            target_union: Some(TargetUnion::ModRevision(mod_revision)),
        })
        .collect();
    let writes = plans.iter().flat_map(|plan| &plan.writes);
    let bytes: usize = writes.clone().map(|(_, write)| write.size_bytes()).sum();
    if bytes > TXN_BYTES_MAX {
        return Err(Status::request_entity_too_large(TXN_BYTES_MAX));
    }
    let success = writes.map(|(key, write)| RequestOp { request: Some(request(key, write)) }).collect();
    Ok(TxnRequest { compare, success, failure: Vec::new() })
}

fn request(key: &str, write: &Write) -> Request {
    let key = Bytes::from(key.to_owned());
    match write {
        Write::Put { value, lease } => {
            Request::RequestPut(PutRequest { key, value: value.clone(), lease: *lease, ..PutRequest::default() })
        }
        Write::Delete => Request::RequestDeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() }),
    }
}

fn answers(prepared: &[Prepared], plans: Vec<Plan>, revision: i64, silent: bool) -> Result<Batch, Refusal> {
    let mut results = Vec::with_capacity(plans.len());
    for (operation, plan) in prepared.iter().zip(plans) {
        results.push(answer(operation, plan, revision, silent)?);
    }
    Ok(Batch { results, revision })
}

fn answer(operation: &Prepared, plan: Plan, revision: i64, silent: bool) -> Result<Written, Status> {
    let Plan { answer, as_scale, warnings, guards, .. } = plan;
    let (object, outcome) = match answer {
        Answer::Bound | Answer::Evicted => {
            return Ok(Written { json: Bytes::new(), outcome: Outcome::Configured, warnings });
        }
        Answer::Existing { object, outcome } => {
            let removed = outcome == Outcome::Removed && !silent;
            let object = if removed { object.at_revision(revision).json().clone() } else { object.json().clone() };
            (object, outcome)
        }
        Answer::Stored { value, outcome } => {
            // A dry run shows the version that the object has, and none for one that it would create.
            let own = guards.first().map_or(0, |guard| guard.mod_revision);
            let shown = if silent { own } else { revision };
            let target = operation.target();
            let path = keys::path(&target.namespace, &target.name);
            let json = match shown {
                0 => value,
                shown => Object::decode(target.kind, &path, &value, shown).map_err(Status::internal)?.json().clone(),
            };
            (json, outcome)
        }
    };
    let json = if as_scale {
        scale::of(operation.target().kind, &serde_json::from_slice(&object).map_err(Status::internal)?)?
    } else {
        object
    };
    Ok(Written { json, outcome, warnings })
}
