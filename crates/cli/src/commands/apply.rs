//! `apply`: make it so.

use clap::Args;
use keelson_client::Outcome;

use super::Files;
use crate::Error;
use crate::context::{Context, resource};
use crate::manifest::Manifest;
use crate::target::display;

const EXAMPLES: &str = "\
Examples:
  keelctl apply -f app.yaml
  keelctl apply -f manifests/ -R
  cat app.yaml | keelctl apply -f -";

/// Create objects from files, or change them to what the files say
///
/// Fields that the files do not mention stay as they are; fields that an earlier apply set and this one no longer mentions
/// are removed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Apply {
    #[command(flatten)]
    files: Files,

    /// Let the API check everything, but write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Apply {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        if self.files.is_empty() {
            return Err(Error::Usage("say what to apply: -f FILE".to_owned()));
        }
        let manifests = self.files.read(context)?;
        if let Some(nameless) = manifests.iter().find(|manifest| manifest.name().is_empty()) {
            return Err(Error::Failed(format!("{}: metadata.name is missing", nameless.place)));
        }
        for manifest in manifests {
            let about = manifest.place.clone();
            if let Err(error) = self.apply(manifest, context).await {
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

    async fn apply(&self, manifest: Manifest, context: &mut Context) -> Result<(), Error> {
        let name = resource(manifest.kind).object(manifest.namespace(), manifest.name());
        let applied = context.raw()?.dry_run(self.dry_run).apply(&name, &manifest.object).await?;
        context.warn(&applied.warnings);
        let outcome = match applied.outcome {
            Outcome::Created => "created",
            Outcome::Configured => "configured",
            Outcome::Unchanged => "unchanged",
        };
        let note = if self.dry_run { " (dry run)" } else { "" };
        context.line(format!("{} {outcome}{note}", display(manifest.kind, manifest.name())))
    }
}

/// Whether the API answered, with a no that concerns one object.
pub(super) fn refused(error: &Error) -> bool {
    match error {
        Error::Client { source, .. } => source.status().is_some(),
        _ => false,
    }
}
