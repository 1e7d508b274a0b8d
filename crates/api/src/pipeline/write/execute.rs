//! Operations decided, written in one guarded transaction, and decided again when a guard fails.

use std::collections::BTreeSet;

use bytes::Bytes;
use keelson_types::status::Status;
use parking_lot::Mutex;
use tokio::sync::SemaphorePermit;

use super::answer::{answers, show};
use super::transaction::transaction;
use super::{Batch, Refusal, check_options};
use crate::pipeline::authorize::Verb;
use crate::pipeline::plan::{Plan, Planner, Prepared, Write, prepare};
use crate::pipeline::request::{Operation, ReadVersion, Subresource, Target, User, WriteOptions};
use crate::pipeline::{Pipeline, WRITE_UNIT_BYTES};
use crate::status_code;

/// Lost races before the caller is told to try again itself. Each is somebody else's success.
const ATTEMPTS_MAX: usize = 32;

impl Pipeline {
    pub(super) async fn execute(
        &self,
        user: &User,
        operations: &[Operation],
        options: &WriteOptions,
    ) -> Result<Batch, Refusal> {
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
    pub(in crate::pipeline) async fn write_own(
        &self,
        operations: &[Operation],
        options: &WriteOptions,
    ) -> Result<(), Status> {
        let prepared = operations.iter().map(|operation| prepare(&self.kinds, operation, options));
        let prepared = prepared.collect::<Result<Vec<Prepared>, Status>>()?;
        self.execute_prepared(None, &prepared, options).await.map(|_| ()).map_err(|refusal| refusal.status)
    }

    /// A write of the server itself.
    pub(in crate::pipeline) async fn create_own(
        &self,
        target: Target,
        body: Bytes,
        options: &WriteOptions,
    ) -> Result<(), Status> {
        let prepared = prepare(&self.kinds, &Operation::Create { target, body }, options)?;
        self.execute_prepared(None, &[prepared], options).await.map(|_| ()).map_err(|refusal| refusal.status)
    }
}
