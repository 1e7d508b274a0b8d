//! A watch that goes on where it stopped when a member goes away.

use std::time::Duration;

use keelson_client::{Batch, ObjectName, Raw, Watch, WatchOptions};

use crate::Error;

/// Before a watch is opened again that ended in good order: a server that ends them at once is not asked in a busy loop.
const REOPEN_DELAY: Duration = Duration::from_millis(100);

pub(crate) struct Follow {
    raw: Raw,
    name: ObjectName,
    options: WatchOptions,
    watch: Option<Watch>,
    /// The initial events are complete, so the last revision can be resumed from.
    live: bool,
}

impl Follow {
    /// Follows the objects that `options` select, beginning with those that exist unless it names a revision.
    pub fn new(raw: Raw, name: ObjectName, options: WatchOptions) -> Self {
        let live = !options.resource_version.is_empty();
        Self { raw, name, options, watch: None, live }
    }

    /// Follows one object.
    pub fn object(raw: Raw, name: &ObjectName) -> Self {
        let options = WatchOptions::default().fields(format!("metadata.name={}", name.name));
        // A watch is of a collection, which has no name.
        Self::new(raw, ObjectName { name: String::new(), ..name.clone() }, options)
    }

    /// The next changes. After an expired revision everything that exists is sent again.
    pub async fn next(&mut self) -> Result<Batch, Error> {
        loop {
            if self.watch.is_none() {
                match self.raw.watch(&self.name, &self.options).await {
                    Ok(watch) => self.watch = Some(watch),
                    Err(error) if error.is_expired() => self.start_over(),
                    Err(error) => return Err(error.into()),
                }
            }
            let Some(watch) = &mut self.watch else { continue };
            match watch.next().await {
                Ok(Some(batch)) => {
                    self.live |= batch.initial_events_end;
                    if self.live {
                        self.options.resource_version.clone_from(&batch.resource_version);
                    }
                    return Ok(batch);
                }
                Ok(None) => {
                    self.watch = None;
                    tokio::time::sleep(REOPEN_DELAY).await;
                }
                Err(error) if error.is_expired() => self.start_over(),
                // Opening it again fails in turn when nobody is there.
                Err(error) if error.is_unavailable() => {
                    self.watch = None;
                    tokio::time::sleep(REOPEN_DELAY).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn start_over(&mut self) {
        self.watch = None;
        self.live = false;
        self.options.resource_version.clear();
    }
}
