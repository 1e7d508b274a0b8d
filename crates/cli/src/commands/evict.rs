//! Pods leave a node as PodDisruptionBudgets allow it.

use std::time::Duration;

use keelson_client::{Error as ClientError, ObjectName, Raw, Resource};
use serde_json::{Value, json};

use crate::Error;
use crate::context::Context;
use crate::follow::Follow;
use crate::render::text;

/// Between two tries of what a budget forbids, as people know it from kubectl.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Not longer than the time after which the API asks to try again: so the client hands a refusal on instead of waiting.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A pod that is to go.
pub(super) struct Eviction {
    pod: ObjectName,
    uid: String,
    grace_period: Option<i64>,
}

/// What came of a try.
enum Outcome {
    Leaves,
    Gone,
    /// Not now, for this reason.
    Forbidden(String),
}

impl Eviction {
    pub fn of(pod: &Value, pods: &Resource, grace_period: Option<i64>) -> Eviction {
        let metadata = &pod["metadata"];
        let name = pods.object(text(&metadata["namespace"]), text(&metadata["name"]));
        Eviction { pod: name, uid: text(&metadata["uid"]), grace_period }
    }

    async fn create(&self, raw: &Raw) -> Result<Outcome, ClientError> {
        // Another pod of the same name stays.
        let mut options = json!({"preconditions": {"uid": self.uid}});
        if let Some(seconds) = self.grace_period {
            options["gracePeriodSeconds"] = seconds.into();
        }
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": self.pod.name, "namespace": self.pod.namespace},
            "deleteOptions": options,
        });
        match raw.create(&self.pod.clone().subresource("eviction"), &eviction).await {
            // It was accepted: the answer has no object.
            Ok(_) | Err(ClientError::Decode { .. } | ClientError::Incomplete { .. }) => Ok(Outcome::Leaves),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(Outcome::Gone),
            Err(ClientError::Unavailable { source: Some(status), .. })
                if status.code() == tonic::Code::ResourceExhausted =>
            {
                Ok(Outcome::Forbidden(status.message().to_owned()))
            }
            Err(error) => Err(error),
        }
    }
}

/// Evicts the pods and returns when they are gone. Without a limit of time that is when their budgets have allowed it.
pub(super) async fn all(pods: Vec<Eviction>, limit: Duration, context: &mut Context) -> Result<(), Error> {
    let evicting = evict(pods, context);
    if limit.is_zero() {
        return evicting.await;
    }
    let late = |_| Error::Failed(format!("global timeout reached: {limit:?}"));
    tokio::time::timeout(limit, evicting).await.map_err(late)?
}

async fn evict(mut pods: Vec<Eviction>, context: &mut Context) -> Result<(), Error> {
    if pods.is_empty() {
        return Ok(());
    }
    let raw = context.raw_within(REQUEST_TIMEOUT)?;
    let mut leaving = Vec::new();
    // One pod that must stay for now holds up no other, which may be what its budget waits for.
    loop {
        let mut forbidden = Vec::new();
        for eviction in pods {
            let ObjectName { namespace, name, .. } = &eviction.pod;
            context.line(format!("evicting pod {namespace}/{name}"))?;
            let what = format!("error when evicting pods/{name:?} -n {namespace:?}");
            match eviction.create(&raw).await {
                Ok(Outcome::Leaves) => leaving.push(eviction),
                Ok(Outcome::Gone) => {}
                Ok(Outcome::Forbidden(why)) => {
                    context.note(format!("{what} (will retry after {RETRY_DELAY:?}): {why}"));
                    forbidden.push(eviction);
                }
                Err(error) => return Err(Error::from(error).about(what)),
            }
        }
        if forbidden.is_empty() {
            break;
        }
        pods = forbidden;
        tokio::time::sleep(RETRY_DELAY).await;
    }
    for eviction in leaving {
        gone(&eviction, context).await?;
        context.line(format!("pod/{} evicted", eviction.pod.name))?;
    }
    Ok(())
}

/// Returns when the pod is gone, or another one has its name.
async fn gone(eviction: &Eviction, context: &mut Context) -> Result<(), Error> {
    let mut follow = Follow::object(context.raw()?, &eviction.pod);
    let mut there = false;
    loop {
        let batch = follow.next().await?;
        for event in &batch.events {
            let same = event.object()["metadata"]["uid"] == *eviction.uid;
            there = same && !matches!(event, keelson_client::Event::Deleted(_));
            if same && !there {
                return Ok(());
            }
        }
        if batch.initial_events_end && !there {
            return Ok(());
        }
    }
}
