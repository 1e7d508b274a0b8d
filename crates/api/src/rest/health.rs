//! Probes: whether this member lives, and whether it can serve.

use axum::response::Response;
use http::StatusCode;
use keelson_types::status::Status;

use super::parameters::Parameters;
use super::path::Probe;
use super::respond;

/// One check of a probe.
struct Check {
    name: &'static str,
    /// Why it fails, in words for an operator.
    failure: Option<&'static str>,
}

/// `ok`, or with `?verbose` (and always on failure) a line for each check, as kube-apiserver prints them.
///
/// # Errors
/// BadRequest for parameters that make no sense.
pub(super) fn probe(probe: Probe, ready: bool, parameters: &Parameters) -> Result<Response, Status> {
    let verbose = parameters.flag("verbose")?;
    let name = match probe {
        Probe::Healthz => "healthz",
        Probe::Livez => "livez",
        Probe::Readyz => "readyz",
    };
    let mut checks = vec![Check { name: "ping", failure: None }];
    if probe != Probe::Livez {
        let failure = (!ready).then_some("the caches are not filled yet");
        checks.push(Check { name: "caches", failure });
    }
    let healthy = checks.iter().all(|check| check.failure.is_none());
    if healthy && !verbose {
        return Ok(respond::text(StatusCode::OK, "ok"));
    }
    let mut lines = String::new();
    for check in &checks {
        match check.failure {
            None => lines.push_str(&format!("[+]{} ok\n", check.name)),
            Some(why) => lines.push_str(&format!("[-]{} failed: {why}\n", check.name)),
        }
    }
    if healthy {
        Ok(respond::text(StatusCode::OK, lines + &format!("{name} check passed\n")))
    } else {
        Ok(respond::text(StatusCode::SERVICE_UNAVAILABLE, lines + &format!("{name} check failed\n")))
    }
}
