//! Changing the number of replicas, in the middle of a rollout too.
//!
//! Source: Kubernetes' deployment controller, `scale`. With several active sets the change is shared out in proportion to
//! their sizes, so that the mix of old and new pods, and with it the risk that a rollout has taken, stays as it is.

use k8s_openapi::api::apps::v1::Deployment;

use super::revision::{DESIRED_REPLICAS, MAX_REPLICAS};
use super::sets::Set;
use super::{Bounds, Sets};

/// Whether an active set was scaled for another number of replicas than the Deployment asks for now.
pub fn is_due(sets: &Sets, bounds: Bounds) -> bool {
    let active = sets.all.iter().filter(|set| set.size() > 0);
    active.filter_map(|set| set.annotation(DESIRED_REPLICAS)).any(|desired| desired != bounds.replicas)
}

/// Sets the sizes for the number of replicas in `bounds`.
pub fn plan(sets: &mut Sets, bounds: Bounds, deployment: &Deployment) {
    let active: Vec<usize> = (0..sets.all.len()).filter(|index| sets.all[*index].size() > 0).collect();
    if active.len() <= 1 {
        let latest = active.first().copied().or(sets.new).or(sets.all.len().checked_sub(1));
        if let Some(set) = latest.and_then(|index| sets.all.get_mut(index)) {
            set.set_size(bounds.replicas);
            mark(set, bounds);
        }
        return;
    }
    if sets.new_set().is_some_and(|new| is_saturated(new, bounds)) {
        for old in sets.old_mut().filter(|set| set.size() > 0) {
            old.set_size(0);
            mark(old, bounds);
        }
        return;
    }
    if !bounds.recreate {
        share_out(sets, active, bounds, deployment);
    }
}

fn is_saturated(new: &Set, bounds: Bounds) -> bool {
    let available = new.now.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    new.is_observed()
        && new.size() == bounds.replicas
        && new.annotation(DESIRED_REPLICAS) == Some(bounds.replicas)
        && available == bounds.replicas
}

fn share_out(sets: &mut Sets, mut active: Vec<usize>, bounds: Bounds, deployment: &Deployment) {
    let allowed = if bounds.replicas > 0 { bounds.total_max() } else { 0 };
    let to_add = allowed - sets.total();
    // The largest first; equal ones newest first when growing and oldest first when shrinking.
    active.sort_by_key(|index| {
        let position = i64::try_from(*index).unwrap_or(i64::MAX);
        (-i64::from(sets.all[*index].size()), if to_add > 0 { -position } else { position })
    });
    let told = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
    let mut added = 0;
    let mut sizes = Vec::with_capacity(active.len());
    for index in &active {
        let set = &sets.all[*index];
        let share = share(set, to_add, added, bounds, told);
        sizes.push(set.size() + share);
        added += share;
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    for (index, size) in active.into_iter().zip(sizes) {
        let set = &mut sets.all[index];
        set.set_size(size);
        mark(set, bounds);
    }
}

/// How many pods of `to_add` (negative to remove) one set gets, when others got `added` already.
fn share(set: &Set, to_add: i32, added: i32, bounds: Bounds, told: i32) -> i32 {
    let left = to_add - added;
    if set.size() == 0 || left == 0 {
        return 0;
    }
    if bounds.replicas == 0 {
        return (-set.size()).max(left);
    }
    let before = set.annotation(MAX_REPLICAS).filter(|before| *before > 0).unwrap_or(told).max(1);
    let scaled = i64::from(set.size()) * i64::from(bounds.total_max());
    let before = i64::from(before);
    // Rounded half away from zero; all of it is positive.
    let rounded = (2 * scaled + before) / (2 * before);
    let share = i32::try_from(rounded).unwrap_or(i32::MAX) - set.size();
    if to_add > 0 { share.clamp(0, left) } else { share.clamp(left, 0) }
}

pub(super) fn mark(set: &mut Set, bounds: Bounds) {
    set.annotate(DESIRED_REPLICAS, bounds.replicas.to_string());
    set.annotate(MAX_REPLICAS, bounds.total_max().to_string());
}
