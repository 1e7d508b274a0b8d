//! `diff`: what an apply would change.

use std::path::Path;
use std::process::Command;

use clap::Args;
use serde_json::Value;

use super::Files;
use crate::Error;
use crate::context::{Context, resource};
use crate::render::objects::{document, yaml_text};

const EXAMPLES: &str = "\
Examples:
  keelctl diff -f app.yaml

Exits with 1 when there are differences, with 2 after an error. KUBECTL_EXTERNAL_DIFF names another program than `diff -u -N`.";

/// Exit codes: there are differences; it cannot be said.
const FOUND: u8 = 1;
const FAILED: u8 = 2;

/// Show what apply would change
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Diff {
    #[command(flatten)]
    files: Files,
}

impl Diff {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        match self.compare(context).await {
            // 1 would say that there are differences.
            Err(error) if error.exit_code() == FOUND && !matches!(error, Error::Output(_)) => {
                context.report(&error);
                context.exit_with(FAILED);
                Ok(())
            }
            compared => compared,
        }
    }

    async fn compare(self, context: &mut Context) -> Result<(), Error> {
        if self.files.is_empty() {
            return Err(Error::Usage("say what to compare: -f FILE".to_owned()));
        }
        let folder = tempfile::Builder::new().prefix("keelctl-diff-").tempdir();
        let folder = folder.map_err(|error| Error::Failed(format!("cannot make a temporary folder: {error}")))?;
        let (live, merged) = (folder.path().join("LIVE"), folder.path().join("MERGED"));
        for path in [&live, &merged] {
            std::fs::create_dir(path).map_err(|source| Error::File { path: path.clone(), source })?;
        }
        for manifest in self.files.read(context).await? {
            let name = resource(manifest.kind).object(manifest.namespace(), manifest.name());
            let present = match context.raw()?.get(&name).await {
                Ok(object) => Some(object),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(Error::from(error).about(manifest.place.clone())),
            };
            let applied = context.raw()?.dry_run(true).apply(&name, &manifest.object).await;
            let applied = applied.map_err(|error| Error::from(error).about(manifest.place.clone()))?;
            context.warn(&applied.warnings);
            let kind = manifest.kind;
            let file = format!(
                "{}.{}.{}.{}",
                kind.api_version().replace('/', "."),
                kind.kind,
                manifest.namespace(),
                manifest.name()
            );
            if let Some(present) = present {
                write(&live.join(&file), present)?;
            }
            write(&merged.join(&file), applied.object)?;
        }
        let program = std::env::var("KUBECTL_EXTERNAL_DIFF").ok().filter(|program| !program.is_empty());
        let program = program.unwrap_or_else(|| "diff -u -N".to_owned());
        let mut words = program.split_whitespace();
        let run = Command::new(words.next().unwrap_or("diff")).args(words).arg(&live).arg(&merged).output();
        let output = run.map_err(|error| Error::Failed(format!("failed to run {program:?}: {error}")))?;
        context.bytes(&output.stdout)?;
        context.error_bytes(&output.stderr)?;
        match output.status.code() {
            Some(0) => Ok(()),
            Some(1) => {
                context.exit_with(FOUND);
                Ok(())
            }
            _ => Err(Error::Failed(format!("{program:?} failed: {}", output.status))),
        }
    }
}

fn write(path: &Path, object: Value) -> Result<(), Error> {
    let text = yaml_text(&document(vec![object], true))?;
    std::fs::write(path, text).map_err(|source| Error::File { path: path.to_owned(), source })
}
