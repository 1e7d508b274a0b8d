//! When pods that fail, or indexes that succeed, decide about the whole Job.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::field::{Error, Path};
use crate::json::{items, text};
use crate::kinds::check;
use crate::names;

const RULES_MAX: usize = 20;
const CODES_MAX: usize = 255;
const CONDITIONS_MAX: usize = 20;
/// Of the text that lists indexes, in bytes.
const INDEXES_MAX: usize = 65_536;

/// The `podFailurePolicy` of a Job's spec.
pub(super) fn failure(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let policy = &spec["podFailurePolicy"];
    if !policy.is_object() {
        return;
    }
    if text(&spec["podReplacementPolicy"]) == "TerminatingOrFailed" {
        let path = path.child("podReplacementPolicy");
        errors.push(Error::not_supported(&path, spec["podReplacementPolicy"].clone(), &["Failed"]));
    }
    if text(&spec["template"]["spec"]["restartPolicy"]) != "Never" {
        let path = path.child("template");
        let path = path.child("spec");
        let shown = spec["template"]["spec"]["restartPolicy"].clone();
        let why = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.push(Error::invalid(&path.child("restartPolicy"), shown, why));
    }
    let path = path.child("podFailurePolicy");
    let path = path.child("rules");
    let count = items(&policy["rules"]).count();
    if count > RULES_MAX {
        errors.push(Error::too_many(&path, count, RULES_MAX));
        return;
    }
    for (index, rule) in items(&policy["rules"]) {
        failure_rule(spec, rule, &path.index(index), errors);
    }
}

fn failure_rule(spec: &Value, rule: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let action = path.child("action");
    if check::required(&rule["action"], &action, errors) {
        check::one_of(&rule["action"], &["Count", "FailIndex", "FailJob", "Ignore"], &action, errors);
        if text(&rule["action"]) == "FailIndex" && spec["backoffLimitPerIndex"].is_null() {
            let why = "requires the backoffLimitPerIndex to be set";
            errors.push(Error::invalid(&action, rule["action"].clone(), why));
        }
    }
    let (codes, conditions) = (&rule["onExitCodes"], items(&rule["onPodConditions"]).count());
    if codes.is_object() {
        exit_codes(spec, codes, &path.child("onExitCodes"), errors);
    }
    let list = path.child("onPodConditions");
    if conditions > CONDITIONS_MAX {
        errors.push(Error::too_many(&list, conditions, CONDITIONS_MAX));
    }
    for (index, condition) in items(&rule["onPodConditions"]).take(CONDITIONS_MAX) {
        let path = list.index(index);
        check::name(text(&condition["type"]), names::qualified_name, &path.child("type"), errors);
        if check::required(&condition["status"], &path.child("status"), errors) {
            check::one_of(&condition["status"], &["False", "True", "Unknown"], &path.child("status"), errors);
        }
    }
    let why = match (codes.is_object(), conditions > 0) {
        (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    errors.push(Error::invalid(path, rule.clone(), why));
}

fn exit_codes(spec: &Value, codes: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let operator = path.child("operator");
    if check::required(&codes["operator"], &operator, errors) {
        check::one_of(&codes["operator"], &["In", "NotIn"], &operator, errors);
    }
    let pod = &spec["template"]["spec"];
    if let Some(name) = codes["containerName"].as_str() {
        let mut containers = items(&pod["containers"]).chain(items(&pod["initContainers"]));
        if !containers.any(|(_, container)| container["name"] == name) {
            let why = "must be one of the container or initContainer names in the pod template";
            errors.push(Error::invalid(&path.child("containerName"), name, why));
        }
    }
    let path = path.child("values");
    let values: Vec<i64> = items(&codes["values"]).filter_map(|(_, value)| value.as_i64()).collect();
    if values.is_empty() {
        errors.push(Error::invalid(&path, codes["values"].clone(), "at least one value is required"));
    } else if values.len() > CODES_MAX {
        errors.push(Error::too_many(&path, values.len(), CODES_MAX));
        return;
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, value) in values.iter().enumerate() {
        // A pod whose container ends with zero has not failed by it.
        if *value == 0 && text(&codes["operator"]) == "In" {
            errors.push(Error::invalid(&path.index(index), 0, "must not be 0 for the In operator"));
        }
        if !seen.insert(*value) {
            errors.push(Error::duplicate(&path.index(index), *value));
        }
    }
    if !values.is_sorted() {
        errors.push(Error::invalid(&path, codes["values"].clone(), "must be ordered"));
    }
}

/// The `successPolicy` of a Job's spec.
pub(super) fn success(spec: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let policy = &spec["successPolicy"];
    if !policy.is_object() {
        return;
    }
    let path = path.child("successPolicy");
    if text(&spec["completionMode"]) != "Indexed" {
        errors.push(Error::invalid(&path, policy.clone(), "requires indexed completion mode"));
        return;
    }
    let path = path.child("rules");
    let count = items(&policy["rules"]).count();
    if count == 0 {
        let why = "at least one rules must be specified when the successPolicy is specified";
        errors.push(Error::required(&path, why));
    } else if count > RULES_MAX {
        errors.push(Error::too_many(&path, count, RULES_MAX));
        return;
    }
    // Without one, the mode's own check complains.
    let completions = spec["completions"].as_i64().unwrap_or(i64::from(i32::MAX));
    for (index, rule) in items(&policy["rules"]) {
        success_rule(rule, completions, &path.index(index), errors);
    }
}

fn success_rule(rule: &Value, completions: i64, path: &Path<'_>, errors: &mut Vec<Error>) {
    let (indexes, count) = (rule["succeededIndexes"].as_str(), rule["succeededCount"].as_i64());
    if indexes.is_none() && count.is_none() {
        let why = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(Error::required(path, why));
    }
    let mut listed = None;
    if let Some(indexes) = indexes {
        let path = path.child("succeededIndexes");
        if indexes.len() > INDEXES_MAX {
            errors.push(Error::too_long(&path, INDEXES_MAX));
        } else {
            match count_indexes(indexes, completions) {
                Ok(count) => listed = Some(count),
                Err(why) => errors.push(Error::invalid(&path, indexes, why)),
            }
        }
    }
    let Some(count) = count else { return };
    let field = path.child("succeededCount");
    check::not_negative(&rule["succeededCount"], &field, errors);
    if count > completions {
        let why = format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.push(Error::invalid(&field, count, why));
    }
    if let Some(listed) = listed.filter(|listed| count > *listed) {
        let why = format!(
            "must be less than or equal to {listed} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.push(Error::invalid(&field, count, why));
    }
}

/// How many indexes `1,3-5,7` names: rising, each below `completions`.
fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let mut count = 0;
    let mut last = -1;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let range = interval(part).ok_or_else(|| format!("{part:?} is neither an index nor a range of indexes"))?;
        let (first, end) = (*range.start(), *range.end());
        if first > end || first <= last {
            return Err(format!("{part:?} does not rise: indexes must be in ascending order"));
        }
        if end >= completions {
            return Err(format!("{part:?} is too large: indexes must be less than {completions}"));
        }
        count += end - first + 1;
        last = end;
    }
    Ok(count)
}

fn interval(part: &str) -> Option<RangeInclusive<i64>> {
    let index = |text: &str| text.parse::<u32>().ok().map(i64::from);
    match part.split_once('-') {
        Some((first, end)) => Some(index(first)?..=index(end)?),
        None => index(part).map(|index| index..=index),
    }
}
