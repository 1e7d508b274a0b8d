//! `apply`: make it so.

use clap::Args;
use keelson_client::Outcome;

use super::Files;
use super::defining::{Defining, Waiting};
use crate::Error;
use crate::context::{Context, resource};
use crate::manifest::Manifest;
use crate::target::display;

const EXAMPLES: &str = "\
Examples:
  keelctl apply -f app.yaml
  keelctl apply -f manifests/ -R
  keelctl apply --server-side -f app.yaml
  cat app.yaml | keelctl apply -f -";

/// Create objects from files, or change them to what the files say
///
/// Fields that the files do not mention stay as they are; fields that an earlier apply set and this one no longer mentions
/// are removed. Kinds that the files define are made first, and their objects when they are served.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Apply {
    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    defining: Defining,

    /// Let the API check everything, but write nothing
    #[arg(long)]
    dry_run: bool,

    /// Let the API merge, which remembers who wants which field and refuses what others have set
    #[arg(long)]
    server_side: bool,

    /// Take over fields that others have set
    #[arg(long, requires = "server_side")]
    force_conflicts: bool,

    /// As whom to want fields
    #[arg(long, value_name = "NAME", default_value = "keelctl", requires = "server_side")]
    field_manager: String,
}

impl Apply {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        if self.files.is_empty() {
            return Err(Error::Usage("say what to apply: -f FILE".to_owned()));
        }
        let steps = self.files.steps(context).await?;
        if let Some(nameless) = steps.iter().find(|step| step.name().is_empty()) {
            return Err(Error::Failed(format!("{}: metadata.name is missing", nameless.place())));
        }
        let mut waiting = Waiting::new(&self.defining, self.dry_run);
        for step in steps {
            let about = step.place();
            let done = match waiting.ready(step, context).await {
                Ok(manifest) => {
                    let done = self.apply(&manifest, context).await;
                    if done.is_err() {
                        waiting.refused(&manifest);
                    }
                    done
                }
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                let error = error.about(about);
                // Nobody there, or nothing known: the rest would end the same way.
                if !refused(&error) {
                    return Err(error);
                }
                context.fail(&error);
            }
        }
        Ok(())
    }

    async fn apply(&self, manifest: &Manifest, context: &mut Context) -> Result<(), Error> {
        let name = resource(manifest.kind).object(manifest.namespace(), manifest.name());
        let raw = context.raw()?.dry_run(self.dry_run);
        let applied = if self.server_side {
            let raw = raw.field_manager(&self.field_manager);
            raw.server_side_apply(&name, &manifest.object, self.force_conflicts).await?
        } else {
            raw.apply(&name, &manifest.object).await?
        };
        context.warn(&applied.warnings);
        let outcome = match applied.outcome {
            _ if self.server_side => "serverside-applied",
            Outcome::Created => "created",
            Outcome::Configured => "configured",
            Outcome::Unchanged => "unchanged",
        };
        let note = if self.dry_run { " (dry run)" } else { "" };
        context.line(format!("{} {outcome}{note}", display(manifest.kind, manifest.name())))
    }
}

/// Whether the answer is a no that concerns one object.
pub(super) fn refused(error: &Error) -> bool {
    match error {
        Error::Failed(_) => true,
        Error::Client { source, .. } => source.status().is_some(),
        _ => false,
    }
}
