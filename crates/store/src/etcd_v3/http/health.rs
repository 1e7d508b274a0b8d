//! `/health`: one answer for the whole member, as JSON.

use http::{Response, StatusCode};
use keelson_proto::etcdserverpb::RangeRequest;
use tonic::Status;
use tonic::body::Body;

use super::{text, values};
use crate::Error;
use crate::etcd_v3::front::Front;

/// Healthy means: no alarm that was not excluded, a leader is known, and a read is answered; only a local read, without a
/// leader, when `serializable=true` asks about this member alone.
pub(super) async fn answer(front: &Front, query: &str) -> Response<Body> {
    let excluded: Vec<String> = values(query, "exclude").collect();
    // As etcd reads a query: the first value counts.
    let serializable = values(query, "serializable").next().as_deref() == Some("true");
    match check(front, &excluded, serializable).await {
        Ok(()) => {
            front.handle.metrics().health_successes.inc();
            page(StatusCode::OK, "true", "")
        }
        Err(reason) => {
            front.handle.metrics().health_failures.inc();
            page(StatusCode::SERVICE_UNAVAILABLE, "false", &reason)
        }
    }
}

/// JSON that, as in etcd, does not say so.
fn page(status: StatusCode, health: &str, reason: &str) -> Response<Body> {
    text(status, serde_json::json!({"health": health, "reason": reason}).to_string())
}

async fn check(front: &Front, excluded: &[String], serializable: bool) -> Result<(), String> {
    if let Some(alarm) = alarms(front).into_iter().find(|alarm| !excluded.iter().any(|excluded| excluded == alarm)) {
        return Err(format!("ALARM {alarm}"));
    }
    if !serializable && front.leadership.borrow().leader_id.is_none() {
        return Err("RAFT NO LEADER".to_owned());
    }
    read(front, serializable).await.map_err(|why| format!("RANGE ERROR:{why}"))
}

/// The alarms that are raised, by etcd's names.
pub(super) fn alarms(front: &Front) -> Vec<&'static str> {
    let alarms = front.handle.alarms();
    let raised = [(alarms.no_space || front.handle.is_full(), "NOSPACE"), (alarms.corrupt, "CORRUPT")];
    raised.into_iter().filter_map(|(raised, name)| raised.then_some(name)).collect()
}

/// One small read.
pub(super) async fn read(front: &Front, serializable: bool) -> Result<(), String> {
    let request =
        RangeRequest { key: "health".into(), limit: 1, keys_only: true, serializable, ..RangeRequest::default() };
    match front.handle.range(request).await {
        Ok(_) => Ok(()),
        Err(Error::Timeout | Error::Unknown) => Err("etcdserver: request timed out".to_owned()),
        Err(error) => Err(Status::from(error).message().to_owned()),
    }
}
