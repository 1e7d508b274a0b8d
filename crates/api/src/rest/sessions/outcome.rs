//! How a session ended, as the Status that clients read from its error channel.

use bytes::Bytes;
use keelson_sessions::Outcome;
use serde_json::{Value, json};

/// The JSON text.
pub(super) fn status(outcome: &Outcome) -> Bytes {
    Bytes::from(value(outcome).to_string())
}

fn value(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Exited(0) => json!({"metadata": {}, "status": "Success"}),
        Outcome::Exited(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with exit code {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Outcome::Failed(why) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("Internal error occurred: {why}"),
            "reason": "InternalError",
            "details": {"causes": [{"message": why}]},
            "code": 500,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_a_cause() {
        assert_eq!(value(&Outcome::Exited(0))["status"], "Success");
        let failed = value(&Outcome::Exited(3));
        assert_eq!(failed["reason"], "NonZeroExitCode");
        assert_eq!(failed["details"]["causes"][0], json!({"reason": "ExitCode", "message": "3"}));
        assert_eq!(value(&Outcome::Failed("no".to_owned()))["message"], "Internal error occurred: no");
    }
}
