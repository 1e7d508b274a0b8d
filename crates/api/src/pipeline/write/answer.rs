//! What is told of plans that were executed.

use bytes::Bytes;
use keelson_types::status::Status;

use super::{Batch, Refusal};
use crate::cache::Object;
use crate::keys;
use crate::pipeline::plan::{Answer, Plan, Prepared};
use crate::pipeline::request::{Operation, Outcome, Written};
use crate::pipeline::scale;

pub(super) fn answers(prepared: &[Prepared], plans: Vec<Plan>, revision: i64, silent: bool) -> Result<Batch, Refusal> {
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

/// What was written, as the kind that the caller asked for.
pub(super) fn show(operation: &Operation, written: &mut Written) -> Result<(), Status> {
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
