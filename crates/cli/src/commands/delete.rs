//! `delete`: away with it, and wait until it is gone.

use std::time::Duration;

use clap::{Args, ValueEnum};
use keelson_client::{DeleteOptions, Event, ListOptions, ObjectName, Propagation, Raw};
use serde_json::Value;

use super::apply::refused;
use super::{Files, Selection};
use crate::Error;
use crate::arguments::parse_duration;
use crate::context::{Context, resource};
use crate::follow::Follow;
use crate::target::{self, Target};

const EXAMPLES: &str = "\
Examples:
  keelctl delete pod web-1
  keelctl delete -f app.yaml
  keelctl delete pods -l app=web
  keelctl delete pod web-1 --force           at once, without its grace period";

/// Delete objects
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Delete {
    /// KIND NAME…, KIND/NAME…, or KIND with -l or --all
    #[arg(value_name = "KIND")]
    resources: Vec<String>,

    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    selection: Selection,

    /// All objects of the kind in the namespace
    #[arg(long)]
    all: bool,

    /// Seconds that pods get to end by themselves; the kind's default without it
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u32>,

    /// Do not wait for the node to confirm: the same as --grace-period 0
    #[arg(long, conflicts_with = "grace_period")]
    force: bool,

    /// What happens to what the objects own
    #[arg(long, value_enum, default_value_t = Cascade::Background)]
    cascade: Cascade,

    /// Wait until the objects are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wait: bool,

    /// How long to wait; forever without it
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    timeout: Option<Duration>,

    /// Do not fail when an object does not exist
    #[arg(long)]
    ignore_not_found: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cascade {
    /// It is collected afterwards
    Background,
    /// It is collected first
    Foreground,
    /// It stays
    Orphan,
}

/// An object that is to go.
struct Doomed {
    name: ObjectName,
    /// Empty when whichever has the name shall go.
    uid: String,
    shown: String,
}

impl Delete {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let doomed = self.collect(context).await?;
        if doomed.is_empty() {
            context.note("No resources found");
            return Ok(());
        }
        if self.force {
            context.note("Warning: the objects go at once; their containers may run on until their node notices.");
        }
        let raw = context.raw()?;
        let mut leaving = Vec::new();
        for object in doomed {
            match self.delete(&raw, &object).await {
                Ok(removed) => {
                    let how = if self.force { " force deleted" } else { " deleted" };
                    context.line(format!("{}{how}", object.shown))?;
                    if !removed {
                        leaving.push(object);
                    }
                }
                Err(error) if error.is_not_found() && self.ignore_not_found => {}
                Err(error) => {
                    let error = Error::from(error);
                    if !refused(&error) {
                        return Err(error.about(object.shown));
                    }
                    context.fail(&error);
                }
            }
        }
        if self.wait { self.wait(raw, leaving).await } else { Ok(()) }
    }

    async fn collect(&self, context: &mut Context) -> Result<Vec<Doomed>, Error> {
        let selects = !self.selection.selector.is_empty();
        match (self.files.is_empty(), self.resources.is_empty()) {
            (false, false) => return Err(Error::Usage("give either names or files".to_owned())),
            (true, true) => return Err(Error::Usage("say what to delete: KIND NAME, or -f FILE".to_owned())),
            (false, true) if selects || self.all => {
                return Err(Error::Usage("-l and --all go with a kind, not with files".to_owned()));
            }
            (false, true) => {
                // In reverse: what was created last may need what was created first.
                let manifests = self.files.read(context).await?.into_iter().rev();
                return manifests
                    .map(|manifest| match manifest.name() {
                        "" => Err(Error::Failed(format!("{}: metadata.name is missing", manifest.place))),
                        name => Ok(Doomed {
                            name: resource(manifest.kind).object(manifest.namespace(), name),
                            uid: String::new(),
                            shown: shown(manifest.kind, name),
                        }),
                    })
                    .collect();
            }
            (true, false) => {}
        }
        let mut doomed = Vec::new();
        for target in target::parse(&self.resources, context).await? {
            match (target.names.is_empty(), selects || self.all) {
                (false, true) => return Err(Error::Usage("names, -l and --all exclude each other".to_owned())),
                (true, false) => {
                    let kind = target.kind.plural;
                    return Err(Error::Usage(format!("say which {kind}: names, -l LABELS, or --all")));
                }
                (true, true) => doomed.extend(self.select(&target, context).await?),
                (false, false) => {
                    let namespace = context.namespace_for(target.kind, false)?;
                    doomed.extend(target.names.iter().map(|name| Doomed {
                        name: resource(target.kind).object(&*namespace, name),
                        uid: String::new(),
                        shown: shown(target.kind, name),
                    }));
                }
            }
        }
        Ok(doomed)
    }

    async fn select(&self, target: &Target, context: &mut Context) -> Result<Vec<Doomed>, Error> {
        let namespace = context.namespace_for(target.kind, false)?;
        let options = ListOptions::default().labels(&*self.selection.selector);
        let list = context.raw()?.list(&resource(target.kind).object(&*namespace, ""), &options).await?;
        let metadata = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        Ok(list
            .items
            .iter()
            .map(|object| {
                let name = metadata(object, "name");
                Doomed {
                    shown: shown(target.kind, &name),
                    name: resource(target.kind).object(&*namespace, name),
                    uid: metadata(object, "uid"),
                }
            })
            .collect())
    }

    async fn delete(&self, raw: &Raw, object: &Doomed) -> Result<bool, keelson_client::Error> {
        let options = DeleteOptions {
            propagation: match self.cascade {
                Cascade::Background => Propagation::Background,
                Cascade::Foreground => Propagation::Foreground,
                Cascade::Orphan => Propagation::Orphan,
            },
            grace_period_seconds: if self.force { Some(0) } else { self.grace_period.map(i64::from) },
            uid: object.uid.clone(),
            resource_version: String::new(),
        };
        raw.delete(&object.name, &options).await
    }

    async fn wait(&self, raw: Raw, leaving: Vec<Doomed>) -> Result<(), Error> {
        let all = async {
            for object in &leaving {
                gone(raw.clone(), object).await?;
            }
            Ok(())
        };
        match self.timeout {
            None => all.await,
            Some(timeout) => tokio::time::timeout(timeout, all).await.unwrap_or_else(|_| {
                let names: Vec<&str> = leaving.iter().map(|object| object.shown.as_str()).collect();
                Err(Error::Failed(format!("timed out waiting for {} to go", names.join(", "))))
            }),
        }
    }
}

/// Returns when the object is gone, or another one has its name.
async fn gone(raw: Raw, object: &Doomed) -> Result<(), Error> {
    let mut follow = Follow::object(raw, &object.name);
    let mut uid = object.uid.clone();
    let mut present = false;
    loop {
        let batch = follow.next().await?;
        for event in &batch.events {
            let current = event.object()["metadata"]["uid"].as_str().unwrap_or_default();
            if uid.is_empty() {
                uid = current.to_owned();
            }
            if current != uid || matches!(event, Event::Deleted(_)) {
                return Ok(());
            }
            present = true;
        }
        if batch.initial_events_end && !std::mem::take(&mut present) {
            return Ok(());
        }
    }
}

/// `pod "web-1"`, as kubectl says it.
fn shown(kind: &keelson_types::Kind, name: &str) -> String {
    if kind.group.is_empty() {
        format!("{} {name:?}", kind.singular)
    } else {
        format!("{}.{} {name:?}", kind.singular, kind.group)
    }
}
