//! `rollout`: the way of a deployment from one template to the next.

pub(super) mod history;
mod status;

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use keelson_client::{ObjectName, Patch};
use keelson_types::meta::time_text;
use serde_json::{Value, json};

use self::status::Progress;
use crate::Error;
use crate::arguments::parse_duration;
use crate::context::{Context, resource};
use crate::follow::Follow;
use crate::target::{self, display};

const EXAMPLES: &str = "\
Examples:
  keelctl rollout status deployment/web
  keelctl rollout history deployment/web
  keelctl rollout undo deployment/web --to-revision 3
  keelctl rollout restart deployment/web";

/// Follow, undo, restart, pause and resume the rollout of a deployment
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Rollout {
    /// Wait until the rollout is complete, and tell how it goes
    #[command(after_help = EXAMPLES)]
    Status {
        #[command(flatten)]
        deployment: Deployment,

        /// Go on until it is complete
        #[arg(short, long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        watch: bool,

        /// How long to wait; forever without it
        #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
        timeout: Option<Duration>,
    },
    /// Show the revisions that can be gone back to
    #[command(after_help = EXAMPLES)]
    History {
        #[command(flatten)]
        deployment: Deployment,

        /// Show the pod template of this revision
        #[arg(long, value_name = "NUMBER")]
        revision: Option<i64>,
    },
    /// Go back to an earlier revision
    #[command(after_help = EXAMPLES)]
    Undo {
        #[command(flatten)]
        deployment: Deployment,

        /// Which one; the one before the current without it
        #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
        to_revision: i64,
    },
    /// Replace every pod by a new one of the same template
    #[command(after_help = EXAMPLES)]
    Restart {
        #[command(flatten)]
        deployment: Deployment,
    },
    /// Keep changes of the template back
    #[command(after_help = EXAMPLES)]
    Pause {
        #[command(flatten)]
        deployment: Deployment,
    },
    /// Roll out what was kept back
    #[command(after_help = EXAMPLES)]
    Resume {
        #[command(flatten)]
        deployment: Deployment,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Deployment {
    /// deployment/NAME, or deployment NAME
    #[arg(required = true, value_name = "DEPLOYMENT")]
    resource: Vec<String>,
}

impl Deployment {
    /// Its name in requests, and in messages.
    async fn find(&self, context: &mut Context) -> Result<(ObjectName, String), Error> {
        let (kind, name) = target::parse_one(&self.resource, context).await?;
        if (kind.group, kind.kind) != ("apps", "Deployment") {
            return Err(Error::Usage(format!("{} are not rolled out; deployments are", kind.plural)));
        }
        let namespace = context.namespace_for(kind, false)?;
        let shown = display(kind, &name);
        Ok((resource(kind).object(namespace, name), shown))
    }
}

impl Rollout {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        match self {
            Self::Status { deployment, watch, timeout } => {
                let (name, shown) = deployment.find(context).await?;
                match timeout {
                    None => follow_status(&name, watch, context).await,
                    Some(timeout) => {
                        let followed = tokio::time::timeout(timeout, follow_status(&name, watch, context)).await;
                        followed.unwrap_or_else(|_| Err(Error::Failed(format!("{shown}: timed out waiting"))))
                    }
                }
            }
            Self::History { deployment, revision } => {
                let (name, shown) = deployment.find(context).await?;
                let (_, revisions) = history::read(&context.raw()?, &name).await?;
                let text = match revision {
                    Some(number) => history::describe(history::find(&revisions, number, &shown)?),
                    None => format!("{shown}\n{}", history::table(&revisions).render(context.color)),
                };
                context.text(&text)
            }
            Self::Undo { deployment, to_revision } => {
                let (name, shown) = deployment.find(context).await?;
                let (current, revisions) = history::read(&context.raw()?, &name).await?;
                if current["spec"]["paused"] == true {
                    return Err(Error::Failed(format!("{shown} is paused: run `keelctl rollout resume` first")));
                }
                let target = history::target(&revisions, to_revision, &shown)?;
                let Some(patch) = history::undo(&current, target) else {
                    return context
                        .line(format!("{shown} skipped rollback: its template is that of revision {}", target.number));
                };
                context.raw()?.patch(&name, &patch).await?;
                context.line(format!("{shown} rolled back to revision {}", target.number))
            }
            Self::Restart { deployment } => {
                let (name, shown) = deployment.find(context).await?;
                let current = context.raw()?.get(&name).await?;
                if current["spec"]["paused"] == true {
                    return Err(Error::Failed(format!("{shown} is paused: run `keelctl rollout resume` first")));
                }
                let at = time_text(Timestamp::now());
                let annotations = json!({"kubectl.kubernetes.io/restartedAt": at});
                let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
                context.raw()?.patch(&name, &Patch::Strategic(patch)).await?;
                context.line(format!("{shown} restarted"))
            }
            Self::Pause { deployment } => set_paused(&deployment, true, context).await,
            Self::Resume { deployment } => set_paused(&deployment, false, context).await,
        }
    }
}

async fn set_paused(deployment: &Deployment, paused: bool, context: &mut Context) -> Result<(), Error> {
    let (name, shown) = deployment.find(context).await?;
    let current = context.raw()?.get(&name).await?;
    let word = if paused { "paused" } else { "resumed" };
    if (current["spec"]["paused"] == true) == paused {
        let is = if paused { "already paused" } else { "not paused" };
        return Err(Error::Failed(format!("{shown} is {is}")));
    }
    context.raw()?.patch(&name, &Patch::Strategic(json!({"spec": {"paused": paused}}))).await?;
    context.line(format!("{shown} {word}"))
}

async fn follow_status(name: &ObjectName, watch: bool, context: &mut Context) -> Result<(), Error> {
    // A name that does not exist is an error, where a watch would wait for it.
    let raw = context.raw()?;
    let mut deployment = raw.get(name).await?;
    let mut follow = Follow::object(raw, name);
    let mut said = String::new();
    loop {
        match status::progress(&deployment) {
            Progress::Complete(message) => return context.line(message),
            Progress::Failed(message) => return Err(Error::Failed(message)),
            Progress::Waiting(message) => {
                if message != said {
                    context.line(&message)?;
                    said = message;
                }
            }
        }
        if !watch {
            return Ok(());
        }
        deployment = next_state(&mut follow, &name.name).await?;
    }
}

async fn next_state(follow: &mut Follow, name: &str) -> Result<Value, Error> {
    loop {
        let mut batch = follow.next().await?;
        match batch.events.pop() {
            Some(keelson_client::Event::Deleted(_)) => {
                return Err(Error::Failed(format!("deployment {name:?} was deleted while it was rolled out")));
            }
            Some(event) => return Ok(event.into_object()),
            None => {}
        }
    }
}
