//! The reflector's task: opens the watch, feeds the state machine, waits after failures.

use std::sync::Arc;
use std::time::Duration;

use keelson_types::Object;

use super::state::{Effect, State};
use super::store::Store;
use crate::backoff::Backoff;
use crate::{Client, Error, ObjectName, Watch, WatchOptions};

/// The first retry comes at once after a member died, since the client moves on to another one by itself.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(5));
/// A watch that says nothing for so long hangs: the API sends a bookmark every 15 s. It is opened elsewhere.
const SILENCE_MAX: Duration = Duration::from_secs(40);

pub(super) async fn run<K: Object>(
    client: Client,
    name: ObjectName,
    options: WatchOptions,
    forget: fn(&mut K),
    store: Arc<Store<K>>,
) {
    let resource = name.resource.qualified();
    let raw = client.raw();
    let mut state = State::Fresh;
    let mut failures = 0;
    loop {
        let options = WatchOptions { resource_version: state.resume_from(), ..options.clone() };
        let result = match raw.watch_as::<K>(&name, &options).await {
            Ok(watch) => {
                state.opened();
                follow(watch, &mut state, forget, &store, &mut failures).await
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => state.broke(),
            Err(error) if error.is_expired() => {
                tracing::info!(%resource, resource_version = %options.resource_version, "watch expired, listing again");
                state.expired();
            }
            Err(error @ Error::Unavailable { .. }) => {
                tracing::debug!(%resource, error = &error as &dyn std::error::Error, "watch broke, resuming");
                state.broke();
            }
            Err(error) => {
                tracing::warn!(%resource, error = &error as &dyn std::error::Error, "watch failed, trying again");
                state.broke();
            }
        }
        tokio::time::sleep(BACKOFF.delay(failures, rand::random())).await;
        failures = failures.saturating_add(1);
    }
}

/// Follows a watch until it ends.
async fn follow<K: Object>(
    mut watch: Watch<K>,
    state: &mut State<K>,
    forget: fn(&mut K),
    store: &Store<K>,
    failures: &mut u32,
) -> Result<(), Error> {
    while let Ok(batch) = tokio::time::timeout(SILENCE_MAX, watch.next()).await {
        let Some(mut batch) = batch? else { return Ok(()) };
        *failures = 0;
        for event in &mut batch.events {
            let object = event.object_mut();
            forget_writers(object);
            forget(object);
        }
        match state.received(batch) {
            Ok(Effect::Nothing) => {}
            Ok(Effect::Replace { objects, revision }) => store.replace(objects, revision),
            Ok(Effect::Apply { events, revision }) => store.apply(events, revision),
            Err(_invalid) => return Err(Error::Incomplete { what: "a numeric resource version" }),
        }
    }
    watch.abandon();
    Ok(())
}

/// Who wrote which field is of no use to whoever reads a cache, and takes more memory than all else of a small object. An update
/// without it leaves it as it is.
fn forget_writers<K: Object>(object: &mut K) {
    object.metadata_mut().managed_fields = None;
}
