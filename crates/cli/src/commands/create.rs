//! `create`: new objects.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Files;
use super::apply::refused;
use super::defining::{Defining, Step, Waiting};
use crate::Error;
use crate::context::{Context, resource};
use crate::manifest::Manifest;
use crate::target::{self, display};

const EXAMPLES: &str = "\
Examples:
  keelctl create -f app.yaml
  keelctl create namespace staging";

/// Create objects from files, or a namespace
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Create {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    files: Files,

    #[command(flatten)]
    defining: Defining,

    /// Let the API check everything, but write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Create a namespace
    #[command(visible_alias = "ns")]
    Namespace { name: String },
}

impl Create {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let steps = match &self.what {
            Some(What::Namespace { name }) => {
                let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                vec![Step::Ready(Manifest { kind: target::by_name("namespaces")?, object, place: String::new() })]
            }
            None if self.files.is_empty() => {
                return Err(Error::Usage("say what to create: -f FILE, or namespace NAME".to_owned()));
            }
            None => self.files.steps(context).await?,
        };
        let mut waiting = Waiting::new(&self.defining, self.dry_run);
        for step in steps {
            let about = step.place();
            let done = match waiting.ready(step, context).await {
                Ok(manifest) => {
                    let done = self.create(&manifest, context).await;
                    // What is there already is served, or will be.
                    if done.as_ref().is_err_and(|error| !is_there(error)) {
                        waiting.refused(&manifest);
                    }
                    done
                }
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                let error = error.about(about);
                if !refused(&error) {
                    return Err(error);
                }
                context.fail(&error);
            }
        }
        Ok(())
    }

    async fn create(&self, manifest: &Manifest, context: &mut Context) -> Result<(), Error> {
        let name = resource(manifest.kind).object(manifest.namespace(), manifest.name());
        let created = context.raw()?.dry_run(self.dry_run).create(&name, &manifest.object).await?;
        context.warn(&created.warnings);
        let given = created.object["metadata"]["name"].as_str().unwrap_or_else(|| manifest.name());
        let note = if self.dry_run { " (dry run)" } else { "" };
        context.line(format!("{} created{note}", display(manifest.kind, given)))
    }
}

fn is_there(error: &Error) -> bool {
    matches!(error, Error::Client { source, .. } if source.is_already_exists())
}
