//! How far a deployment is, in kubectl's words.

use serde_json::Value;

use crate::render::{items, text};

/// How far a deployment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting(String),
    Complete(String),
    Failed(String),
}

/// Reads a deployment's spec and status.
pub(super) fn progress(deployment: &Value) -> Progress {
    let name = text(&deployment["metadata"]["name"]);
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    let wait =
        |detail: String| Progress::Waiting(format!("Waiting for deployment {name:?} rollout to finish: {detail}..."));
    if number(&deployment["metadata"]["generation"]) > number(&status["observedGeneration"]) {
        return Progress::Waiting("Waiting for deployment spec update to be observed...".to_owned());
    }
    let late = items(&status["conditions"])
        .iter()
        .any(|condition| condition["type"] == "Progressing" && condition["reason"] == "ProgressDeadlineExceeded");
    if late {
        return Progress::Failed(format!("deployment {name:?} exceeded its progress deadline"));
    }
    let desired = spec["replicas"].as_i64().unwrap_or(1);
    let (replicas, updated) = (number(&status["replicas"]), number(&status["updatedReplicas"]));
    let available = number(&status["availableReplicas"]);
    if updated < desired {
        wait(format!("{updated} out of {desired} new replicas have been updated"))
    } else if replicas > updated {
        wait(format!("{} old replicas are pending termination", replicas - updated))
    } else if available < updated {
        wait(format!("{available} of {updated} updated replicas are available"))
    } else {
        Progress::Complete(format!("deployment {name:?} successfully rolled out"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(observed: i64, replicas: i64, updated: i64, available: i64) -> Value {
        json!({
            "metadata": {"name": "web", "generation": 2},
            "spec": {"replicas": 3},
            "status": {"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated,
                       "availableReplicas": available},
        })
    }

    #[test]
    fn each_step_is_told() {
        let say = |deployment: &Value| match progress(deployment) {
            Progress::Waiting(message) | Progress::Complete(message) | Progress::Failed(message) => message,
        };
        assert_eq!(say(&deployment(1, 3, 3, 3)), "Waiting for deployment spec update to be observed...");
        for (state, detail) in [
            ((3, 1, 3), "1 out of 3 new replicas have been updated"),
            ((4, 3, 3), "1 old replicas are pending termination"),
            ((3, 3, 2), "2 of 3 updated replicas are available"),
        ] {
            let expected = format!("Waiting for deployment \"web\" rollout to finish: {detail}...");
            assert_eq!(say(&deployment(2, state.0, state.1, state.2)), expected);
        }
        assert_eq!(say(&deployment(2, 3, 3, 3)), "deployment \"web\" successfully rolled out");
        let mut late = deployment(2, 3, 1, 1);
        late["status"]["conditions"] = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(progress(&late), Progress::Failed("deployment \"web\" exceeded its progress deadline".to_owned()));
    }
}
