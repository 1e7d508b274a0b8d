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

/// What a probe looks at.
fn checks(probe: Probe, ready: bool) -> Vec<Check> {
    let mut checks = vec![Check { name: "ping", failure: None }];
    if probe != Probe::Livez {
        let failure = (!ready).then_some("the caches are not filled yet");
        checks.push(Check { name: "caches", failure });
    }
    checks
}

/// One check of a probe alone.
///
/// # Errors
/// NotFound for one that the probe has not.
pub(super) fn check(probe: Probe, name: &str, ready: bool) -> Result<Response, Status> {
    let check = checks(probe, ready).into_iter().find(|check| check.name == name).ok_or_else(Status::no_such_path)?;
    Ok(match check.failure {
        None => respond::text(StatusCode::OK, "ok"),
        Some(why) => respond::text(StatusCode::SERVICE_UNAVAILABLE, format!("{name} failed: {why}\n")),
    })
}

/// `ok`, or with `?verbose` (and always on failure) a line for each check, as kube-apiserver prints them. What `?exclude` names does
/// not count.
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
    let checks = checks(probe, ready);
    let excluded: Vec<&str> = parameters.all("exclude").collect();
    let counts = |check: &Check| !excluded.contains(&check.name);
    let healthy = checks.iter().all(|check| check.failure.is_none() || !counts(check));
    if healthy && !verbose {
        return Ok(respond::text(StatusCode::OK, "ok"));
    }
    let mut lines = String::new();
    for check in &checks {
        match check.failure {
            _ if !counts(check) => lines.push_str(&format!("[+]{} excluded: ok\n", check.name)),
            None => lines.push_str(&format!("[+]{} ok\n", check.name)),
            Some(why) => lines.push_str(&format!("[-]{} failed: {why}\n", check.name)),
        }
    }
    for unknown in excluded.iter().filter(|name| checks.iter().all(|check| check.name != **name)) {
        lines.push_str(&format!("warn: there is no check {unknown:?} to exclude\n"));
    }
    if healthy {
        Ok(respond::text(StatusCode::OK, lines + &format!("{name} check passed\n")))
    } else {
        Ok(respond::text(StatusCode::SERVICE_UNAVAILABLE, lines + &format!("{name} check failed\n")))
    }
}
