//! Works on the API server, over Kubernetes' REST. etcd is no peer there: beside each figure stands what was published of
//! kube-apiserver, if anything was.

mod lease;
mod list;
mod memory;
mod objects;
mod rates;
#[cfg(test)]
mod tests;
mod watch;

use std::cell::Cell;
use std::rc::Rc;

use anyhow::Context;
use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::task::JoinSet;

pub use lease::Lease;
pub use list::List;
pub use memory::Memory;
pub use rates::{Rates, What};
pub use watch::Watch;

use crate::figure::Published;
use crate::load;
use crate::side::Side;
use crate::wire::{Failure, Rest, Verb};

/// Where Kubernetes tells its objectives for single calls and lists.
const OBJECTIVES: &str = "https://github.com/kubernetes/community/blob/master/sig-scalability/slos/api_call_latency.md";
/// Its objective for whatever is about one object.
const ONE_OBJECT: &str = "p99 ≤ 1 s (objective)";
/// Its objective for lists.
const MANY_OBJECTS: &str = "p99 ≤ 30 s (objective)";
/// How many changes of one kind a server's watch cache was found to take, in the attempt at a million nodes.
const UPDATES: &str = "some 40,000/s at most, of one kind";
const MILLION_NODES: &str = "https://bchess.github.io/k8s-1m/";
/// What is said where nobody seems to have published anything.
const NONE_FOUND: &str = "none found";

/// A figure of which nothing was found.
fn unpublished(figure: &'static str) -> Published {
    Published { figure, text: NONE_FOUND, source: "" }
}

/// A path that is known to be one.
///
/// # Errors
/// When it is none.
fn path(text: &str) -> Result<PathAndQuery, Failure> {
    text.parse().map_err(|_| Failure::Connection(format!("{text} is no path")))
}

/// Makes a namespace, unless it is there.
///
/// # Errors
/// When the API refuses it.
async fn namespace(side: &Side, name: &str) -> anyhow::Result<()> {
    const CONFLICT: u32 = 409;
    let body = serde_json::json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    let mut rest = load::connect_to_api(side, 1).await?.remove(0);
    match rest.call(Verb::Post, path("/api/v1/namespaces")?, body.to_string().into()).await {
        Ok(_) | Err(Failure::Status { code: CONFLICT, .. }) => Ok(()),
        Err(failure) => Err(failure).context("cannot make a namespace"),
    }
}

/// Creates `count` objects, so many at a time; afterwards every member serves them.
///
/// # Errors
/// When the API refuses one.
async fn fill(
    side: &Side,
    collection: &str,
    count: usize,
    in_flight: usize,
    object: impl Fn(usize) -> Bytes + 'static,
) -> anyhow::Result<()> {
    let next = Rc::new(Cell::new(0));
    let object = Rc::new(object);
    let collection = path(collection)?;
    let mut creators = JoinSet::new();
    for mut rest in load::connect_to_api(side, in_flight.min(count.max(1))).await? {
        let (next, object, collection) = (Rc::clone(&next), Rc::clone(&object), collection.clone());
        creators.spawn_local(async move {
            while next.get() < count {
                rest.call(Verb::Post, collection.clone(), object(next.replace(next.get() + 1))).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = creators.join_next().await {
        ended.context("a client panicked")?.with_context(|| format!("cannot fill {collection}"))?;
    }
    // A read of the newest state waits until the member has it.
    for endpoint in side.api().await?.endpoints() {
        Rest::open(endpoint).await?.call(Verb::Get, path(&format!("{collection}?limit=1"))?, Bytes::new()).await?;
    }
    Ok(())
}
