//! `create`: new objects.

use clap::{Args, Subcommand};
use serde_json::json;

use super::Files;
use super::apply::refused;
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
        let manifests = match &self.what {
            Some(What::Namespace { name }) => {
                let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                vec![Manifest { kind: target::by_name("namespaces")?, object, place: String::new() }]
            }
            None if self.files.is_empty() => {
                return Err(Error::Usage("say what to create: -f FILE, or namespace NAME".to_owned()));
            }
            None => self.files.read(context).await?,
        };
        for manifest in manifests {
            let about = manifest.place.clone();
            if let Err(error) = self.create(manifest, context).await {
                let error = error.about(about);
                if !refused(&error) {
                    return Err(error);
                }
                context.fail(&error);
            }
        }
        Ok(())
    }

    async fn create(&self, manifest: Manifest, context: &mut Context) -> Result<(), Error> {
        let name = resource(manifest.kind).object(manifest.namespace(), manifest.name());
        let created = context.raw()?.dry_run(self.dry_run).create(&name, &manifest.object).await?;
        context.warn(&created.warnings);
        let given = created.object["metadata"]["name"].as_str().unwrap_or_else(|| manifest.name());
        let note = if self.dry_run { " (dry run)" } else { "" };
        context.line(format!("{} created{note}", display(manifest.kind, given)))
    }
}
