//! Taking a pod away on purpose, which a PodDisruptionBudget may forbid.
//!
//! What may go is in the budget's status. The eviction counts itself there, in the same transaction in which the pod goes, so
//! that two at once cannot spend the same allowance.

use bytes::Bytes;
use keelson_types::selector::LabelSelector;
use keelson_types::status::{Cause, Reason, Status};
use serde_json::{Value, json};

use super::{Answer, Guard, Plan, Planner, Prepared, Write, encode};
use crate::cache::Object;
use crate::keys;
use crate::pipeline::list;
use crate::pipeline::request::{DeleteOptions, Propagation, Target, WriteOptions};
use crate::select::Selection;
use crate::value;

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// How soon whoever was refused may ask again.
const RETRY_SECONDS: u32 = 10;
/// Budgets of a namespace that are looked at.
const BUDGETS_MAX: usize = 10_000;

/// Reads an Eviction.
///
/// # Errors
/// BadRequest for what is none, is about another pod, or asks for a dry run within a batch that is none.
pub fn prepare(target: &Target, body: &Bytes, write: &WriteOptions) -> Result<Prepared, Status> {
    let eviction: Value = super::prepare::json_body("Eviction", body)?;
    if asks_for_dry_run(&eviction)? && !write.dry_run {
        let why = "deleteOptions.dryRun of an Eviction is not possible in a batch that is no dry run as a whole";
        return Err(Status::bad_request(why));
    }
    let name = value::metadata_text(&eviction, "name");
    if !name.is_empty() && name != target.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let options = &eviction["deleteOptions"];
    let conditions = &options["preconditions"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let propagation = match options["propagationPolicy"].as_str() {
        None => None,
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some("Orphan") => Some(Propagation::Orphan),
        Some(other) => return Err(Status::bad_request(format!("unknown propagationPolicy {other:?}"))),
    };
    let options = DeleteOptions {
        propagation,
        grace_period_seconds: options["gracePeriodSeconds"].as_i64(),
        uid: text(&conditions["uid"]),
        resource_version: text(&conditions["resourceVersion"]),
    };
    Ok(Prepared::Evict { target: target.clone(), options })
}

/// Whether an Eviction asks for everything but the eviction itself.
pub fn is_dry_run(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|eviction: Value| asks_for_dry_run(&eviction).unwrap_or(false))
}

fn asks_for_dry_run(eviction: &Value) -> Result<bool, Status> {
    let stages = &eviction["deleteOptions"]["dryRun"];
    match stages.as_array() {
        None if stages.is_null() => Ok(false),
        Some(stages) if stages.iter().all(|stage| stage == "All") => Ok(!stages.is_empty()),
        _ => Err(Status::bad_request(format!("deleteOptions.dryRun: Invalid value: {stages}: must be [\"All\"]"))),
    }
}

impl Planner<'_> {
    pub(super) fn evict(&self, target: &Target, options: &DeleteOptions) -> Result<Plan, Status> {
        let found = self.cached(target.kind, &target.namespace, &target.name)?;
        let pod = found.value().map_err(Status::internal)?;
        let mut plan = self.delete(target, options)?;
        plan.answer = Answer::Evicted;
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        if value::is_deleting(&pod) || matches!(phase, "Pending" | "Succeeded" | "Failed") {
            return Ok(plan);
        }
        let selection = Selection::parse(self.kinds.budgets, &target.namespace, "", "")?;
        let (budgets, _) = self.caches.snapshot(self.kinds.budgets);
        let mut over = Vec::new();
        for budget in list::walk(&budgets, &selection, "", BUDGETS_MAX) {
            let object = budget.value().map_err(Status::internal)?;
            if selects(&object["spec"]["selector"], &found) {
                over.push((budget, object));
            }
        }
        if over.len() > 1 {
            let why =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::internal(why));
        }
        let Some((budget, mut object)) = over.pop() else { return Ok(plan) };
        let key = keys::object(self.kinds.budgets, budget.path());
        plan.guards.push(Guard::unmodified(key.clone(), budget.revision()));
        if !is_ready(&pod) && may_go_unready(&object) {
            return Ok(plan);
        }
        self.spend(&mut object, budget.name(), &target.name)?;
        value::remove_metadata(&mut object, "resourceVersion");
        plan.writes.insert(key, Write::Put { value: encode(&object)?, lease: 0 });
        Ok(plan)
    }

    /// Takes one pod from what a budget allows.
    fn spend(&self, budget: &mut Value, name: &str, pod: &str) -> Result<(), Status> {
        let status = &budget["status"];
        let count = |field: &str| status[field].as_i64().unwrap_or(0);
        if count("observedGeneration") < budget["metadata"]["generation"].as_i64().unwrap_or(0) {
            let why = format!("The disruption budget {name} is still being processed by the server.");
            return Err(refusal(why, RETRY_SECONDS));
        }
        let allowed = count("disruptionsAllowed");
        if allowed <= 0 {
            let (needed, healthy) = (count("desiredHealthy"), count("currentHealthy"));
            let why = format!("The disruption budget {name} needs {needed} healthy pods and has {healthy} currently");
            // Nobody knows when; told a time, kubectl would try again for minutes without a word.
            return Err(refusal(why, 0));
        }
        if let Some(status) = value::map(budget, "status") {
            status.insert("disruptionsAllowed".to_owned(), (allowed - 1).into());
            let disrupted = status.entry("disruptedPods").or_insert_with(|| json!({}));
            if let Some(disrupted) = disrupted.as_object_mut() {
                disrupted.insert(pod.to_owned(), self.now_text());
            }
        }
        Ok(())
    }
}

fn refusal(why: String, retry_seconds: u32) -> Status {
    let mut status = Status::too_many_requests(REFUSED, retry_seconds);
    status.reason = Reason::TooManyRequests;
    if let Some(details) = &mut status.details {
        details.causes.push(Cause { reason: "DisruptionBudget".to_owned(), message: why, field: String::new() });
    }
    status
}

/// A budget without a selector is about no pods.
fn selects(selector: &Value, pod: &Object) -> bool {
    if !selector.is_object() {
        return false;
    }
    let typed = serde_json::from_value(selector.clone()).ok();
    LabelSelector::from_object(typed.as_ref()).is_ok_and(|selector| selector.matches(pod))
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a pod that does no work anyway may go for nothing.
fn may_go_unready(budget: &Value) -> bool {
    let count = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
    budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || count("desiredHealthy") > 0 && count("currentHealthy") >= count("desiredHealthy")
}
