//! The commands: one file each.

mod api_resources;
mod apply;
mod archive;
mod attach;
mod chosen;
mod cluster;
mod completion;
mod cordon;
mod cp;
mod create;
mod defining;
mod delete;
mod describe;
mod diff;
mod edit;
mod events;
mod evict;
mod exec;
mod explain;
mod expose;
mod get;
mod label;
pub(crate) mod logs;
mod patch;
mod port_forward;
mod rollout;
mod run;
mod scale;
mod set;
mod store;
mod top;
mod version;
mod wait;
mod watch;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::manifest::{self, Document, Manifest};
use crate::{Arguments, Error, kinds};

/// What keelctl can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Get(get::Get),
    Apply(apply::Apply),
    Create(create::Create),
    Delete(delete::Delete),
    Describe(describe::Describe),
    Scale(scale::Scale),
    Run(run::Run),
    Expose(expose::Expose),
    #[command(subcommand)]
    Set(set::Set),
    Label(label::Label),
    Annotate(label::Annotate),
    Patch(patch::Patch),
    Edit(edit::Edit),
    Diff(diff::Diff),
    Wait(wait::Wait),
    Cordon(cordon::Cordon),
    Uncordon(cordon::Uncordon),
    Drain(cordon::Drain),
    Explain(explain::Explain),
    ApiResources(api_resources::ApiResources),
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    Watch(watch::Watch),
    Logs(logs::Logs),
    Exec(exec::Exec),
    Attach(attach::Attach),
    PortForward(port_forward::PortForward),
    Cp(cp::Cp),
    Events(events::Events),
    #[command(subcommand)]
    Top(top::Top),
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    Store(store::Store),
    Completion(completion::Completion),
    Version(version::Version),
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context) -> Result<(), Error> {
    match arguments.command {
        Command::Get(command) => command.run(context).await,
        Command::Apply(command) => command.run(context).await,
        Command::Create(command) => command.run(context).await,
        Command::Delete(command) => command.run(context).await,
        Command::Describe(command) => command.run(context).await,
        Command::Scale(command) => command.run(context).await,
        Command::Run(command) => command.run(context).await,
        Command::Expose(command) => command.run(context).await,
        Command::Set(command) => command.run(context).await,
        Command::Label(command) => command.run(context).await,
        Command::Annotate(command) => command.run(context).await,
        Command::Patch(command) => command.run(context).await,
        Command::Edit(command) => command.run(context).await,
        Command::Diff(command) => command.run(context).await,
        Command::Wait(command) => command.run(context).await,
        Command::Cordon(command) => command.run(context).await,
        Command::Uncordon(command) => command.run(context).await,
        Command::Drain(command) => command.run(context).await,
        Command::Explain(command) => command.run(context).await,
        Command::ApiResources(command) => command.run(context).await,
        Command::Rollout(command) => command.run(context).await,
        Command::Watch(command) => command.run(context).await,
        Command::Logs(command) => command.run(context).await,
        Command::Exec(command) => command.run(context).await,
        Command::Attach(command) => command.run(context).await,
        Command::PortForward(command) => command.run(context).await,
        Command::Cp(command) => command.run(context).await,
        Command::Events(command) => command.run(context).await,
        Command::Top(command) => command.run(context).await,
        Command::Cluster(command) => command.run(context).await,
        Command::Store(command) => command.run(),
        Command::Completion(command) => command.run(context),
        Command::Version(command) => command.run(context).await,
    }
}

/// Which objects of a kind.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Selection {
    /// Only objects with these labels: app=web,tier!=a,env in (x,y)
    #[arg(short = 'l', long, value_name = "LABELS", default_value = "", hide_default_value = true)]
    pub selector: String,
}

/// The files of -f.
#[derive(Clone, Debug, Args)]
pub(crate) struct Files {
    /// A file, a folder, or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE", value_delimiter = ',')]
    pub files: Vec<PathBuf>,

    /// Also read the folders below a given folder
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

impl Files {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The objects in the files, each in the namespace that it belongs to.
    pub async fn read(&self, context: &mut Context) -> Result<Vec<Manifest>, Error> {
        let documents = manifest::read(&self.files, self.recursive)?;
        // Asked for only when it is needed: files of the program's kinds can be read without a cluster.
        let custom = match documents.iter().any(Document::is_of_a_custom_kind) {
            true => kinds::custom(context, "").await?,
            false => Vec::new(),
        };
        let mut manifests =
            documents.into_iter().map(|document| document.resolve(&custom)).collect::<Result<Vec<_>, _>>()?;
        for manifest in &mut manifests {
            settle_namespace(manifest, context)?;
        }
        Ok(manifests)
    }
}

fn settle_namespace(manifest: &mut Manifest, context: &mut Context) -> Result<(), Error> {
    if !manifest.kind.namespaced {
        return Ok(());
    }
    let own = manifest.namespace().to_owned();
    match context.given_namespace() {
        Some(given) if !own.is_empty() && own != given => Err(Error::Failed(format!(
            "{}: the object's namespace {own:?} is not {given:?}, which -n names; leave one of them out",
            manifest.place
        ))),
        _ if !own.is_empty() => Ok(()),
        _ => {
            let namespace = context.namespace()?;
            if let Some(metadata) = metadata(&mut manifest.object) {
                metadata.insert("namespace".to_owned(), namespace.into());
            }
            Ok(())
        }
    }
}

/// The object's metadata, made when it has none; absent when it is not a map, which the API will tell.
fn metadata(object: &mut serde_json::Value) -> Option<&mut serde_json::Map<String, serde_json::Value>> {
    let metadata = object.as_object_mut()?.entry("metadata");
    metadata.or_insert_with(|| serde_json::Value::Object(serde_json::Map::new())).as_object_mut()
}
