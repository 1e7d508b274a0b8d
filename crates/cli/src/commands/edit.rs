//! `edit`: an object in the editor, and back.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use serde_json::Value;

use super::{Selection, chosen};
use crate::Error;
use crate::context::Context;
use crate::render::objects::{document, yaml_text};

const HEAD: &str = "\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit.
#
";

const EXAMPLES: &str = "\
Examples:
  keelctl edit deployment/web
  KUBE_EDITOR=nano keelctl edit configmap settings

The editor is $KUBE_EDITOR, $EDITOR, or vi.";

/// Change an object in an editor
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Edit {
    /// KIND/NAME, or KIND NAME
    #[arg(required = true, value_name = "KIND")]
    resources: Vec<String>,
}

impl Edit {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        for object in chosen::objects(&self.resources, &Selection::default(), false, context).await? {
            let shown = document(vec![object.object.clone()], true);
            let mut text = format!("{HEAD}{}", yaml_text(&shown)?);
            let mut refused = false;
            loop {
                let edited = match edit(&text) {
                    Ok(edited) => edited,
                    Err(error) if refused => return given_up(&text, error, context),
                    Err(error) => return Err(error),
                };
                let content = without_comments(&edited);
                if content == without_comments(&text) || content.trim().is_empty() {
                    if refused {
                        let why = Error::Failed("Edit cancelled, no valid changes were saved.".to_owned());
                        return given_up(&text, why, context);
                    }
                    context.line("Edit cancelled, no changes made.")?;
                    break;
                }
                let outcome = match serde_norway::from_str::<Value>(&edited) {
                    Ok(value) if value == shown => {
                        context.line("Edit cancelled, no changes made.")?;
                        break;
                    }
                    Ok(value) => context.raw()?.update(&object.name, &value).await.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                match outcome {
                    Ok(updated) => {
                        context.warn(&updated.warnings);
                        context.line(format!("{} edited", object.shown))?;
                        break;
                    }
                    // Shown above what was edited, to be put right.
                    Err(why) => {
                        context.note(format!("error: {} is invalid: {why}", object.shown));
                        let why: String = why.lines().map(|line| format!("# {line}\n")).collect();
                        text = format!("{HEAD}{why}#\n{content}");
                        refused = true;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What was refused is kept, so that nobody has to write it again.
fn given_up(text: &str, why: Error, context: &mut Context) -> Result<(), Error> {
    let path = keep(text).map_err(|error| Error::Failed(format!("cannot keep what was edited: {error}")))?;
    context.note(format!("A copy of your changes has been stored to {:?}", path.display().to_string()));
    Err(why)
}

fn keep(text: &str) -> std::io::Result<PathBuf> {
    let mut file = tempfile::Builder::new().prefix("keelctl-edit-").suffix(".yaml").tempfile()?;
    file.write_all(text.as_bytes())?;
    Ok(file.into_temp_path().keep()?)
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// The text after an editor had it.
fn edit(text: &str) -> Result<String, Error> {
    let editor = ["KUBE_EDITOR", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let folder = tempfile::Builder::new().prefix("keelctl-edit-").tempdir();
    let folder = folder.map_err(|error| Error::Failed(format!("cannot make a temporary folder: {error}")))?;
    let path = folder.path().join("object.yaml");
    let failed = |source| Error::File { path: path.clone(), source };
    std::fs::write(&path, text).map_err(failed)?;
    // The editor may have arguments of its own.
    let status = Command::new("sh").args(["-c", &format!("{editor} \"$0\"")]).arg(&path).status();
    match status {
        Ok(status) if status.success() => std::fs::read_to_string(&path).map_err(failed),
        Ok(status) => Err(Error::Failed(format!("there was a problem with the editor {editor:?}: {status}"))),
        Err(error) => Err(Error::Failed(format!("unable to launch the editor {editor:?}: {error}"))),
    }
}
