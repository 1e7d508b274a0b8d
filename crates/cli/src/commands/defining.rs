//! Files that define kinds and have objects of them: the definitions go first, and the objects when their kind is served.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::Instant;

use super::{Files, settle_namespace};
use crate::context::{Context, resource};
use crate::manifest::{self, Document, Manifest};
use crate::{Error, kinds, target};

/// Between two looks whether a kind is served, at first and at last.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct Defining {
    /// How long to wait for a kind that the files define, before their objects of it are written
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::arguments::parse_duration)]
    definition_timeout: Duration,
}

/// What is to be written, in this order.
pub(super) enum Step {
    Ready(Manifest),
    /// An object of a kind that nobody serves yet, and that another step defines.
    After {
        document: Document,
        definition: String,
    },
}

impl Step {
    pub fn place(&self) -> String {
        match self {
            Step::Ready(manifest) => manifest.place.clone(),
            Step::After { document, .. } => document.place(),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Step::Ready(manifest) => manifest.name(),
            Step::After { document, .. } => document.name(),
        }
    }

    /// The definition that it writes.
    fn defines(&self) -> Option<&str> {
        match self {
            Step::Ready(manifest) if is_definition(manifest) => Some(manifest.name()),
            _ => None,
        }
    }
}

impl Files {
    /// As [`Files::read`], with the definitions that other objects need before everything else.
    pub(super) async fn steps(&self, context: &mut Context) -> Result<Vec<Step>, Error> {
        let documents = manifest::read(&self.files, self.recursive)?;
        let custom = match documents.iter().any(Document::is_of_a_custom_kind) {
            true => kinds::custom(context, "").await?,
            false => Vec::new(),
        };
        let defined: Vec<(String, Value)> = documents.iter().filter_map(Document::definition).collect();
        let mut steps = Vec::new();
        for document in documents {
            let unknown = document.is_of_a_custom_kind() && !document.is_of(&custom);
            let definition = defined.iter().find(|(_, spec)| unknown && document.is_defined_by(spec));
            steps.push(match definition {
                Some((definition, _)) => Step::After { document, definition: definition.clone() },
                None => {
                    let mut manifest = document.resolve(&custom)?;
                    settle_namespace(&mut manifest, context)?;
                    Step::Ready(manifest)
                }
            });
        }
        let needed: BTreeSet<String> = steps.iter().filter_map(needs).map(str::to_owned).collect();
        steps.sort_by_key(|step| !step.defines().is_some_and(|name| needed.contains(name)));
        Ok(steps)
    }
}

fn needs(step: &Step) -> Option<&str> {
    match step {
        Step::After { definition, .. } => Some(definition),
        Step::Ready(_) => None,
    }
}

fn is_definition(manifest: &Manifest) -> bool {
    manifest.kind.group == "apiextensions.k8s.io" && manifest.kind.kind == "CustomResourceDefinition"
}

/// Makes steps ready, one after the other.
pub(super) struct Waiting {
    timeout: Duration,
    dry_run: bool,
    /// Definitions that were refused, or whose kinds were waited for in vain.
    without: BTreeSet<String>,
}

impl Waiting {
    pub fn new(options: &Defining, dry_run: bool) -> Waiting {
        Waiting { timeout: options.definition_timeout, dry_run, without: BTreeSet::new() }
    }

    /// What `manifest` would have defined is not waited for.
    pub fn refused(&mut self, manifest: &Manifest) {
        if is_definition(manifest) {
            self.without.insert(manifest.name().to_owned());
        }
    }

    /// Waits for the kind of the object. An [`Error::Failed`] concerns this step alone.
    pub async fn ready(&mut self, step: Step, context: &mut Context) -> Result<Manifest, Error> {
        let (document, definition) = match step {
            Step::Ready(manifest) => return Ok(manifest),
            Step::After { document, definition } => (document, definition),
        };
        let place = document.place();
        if self.dry_run {
            let why = "which a dry run does not make: the object cannot be checked";
            return Err(Error::Failed(format!(
                "{place}: its kind is defined by {definition} in the same files, {why}"
            )));
        }
        if self.without.contains(&definition) {
            return Err(Error::Failed(format!("{place}: its kind is not served: see {definition}")));
        }
        let mut manifest = match self.served(&document, &definition, context).await {
            Ok(kinds) => document.resolve(&kinds)?,
            Err(error) => {
                self.without.insert(definition);
                return Err(error);
            }
        };
        settle_namespace(&mut manifest, context)?;
        Ok(manifest)
    }

    /// The kinds of a definition, once that of the document is among them.
    async fn served(
        &self,
        document: &Document,
        definition: &str,
        context: &mut Context,
    ) -> Result<Vec<&'static keelson_types::Kind>, Error> {
        let deadline = Instant::now() + self.timeout;
        let mut pause = PAUSE;
        loop {
            let kinds = kinds::custom(context, definition).await?;
            if document.is_of(&kinds) {
                return Ok(kinds);
            }
            if Instant::now() >= deadline {
                let said = said(definition, context).await?;
                let (place, waited) = (document.place(), self.timeout);
                return Err(Error::Failed(format!("{place}: {definition} is not served after {waited:?}{said}")));
            }
            if pause == PAUSE {
                context.note(format!("waiting for {definition} to be served, {:?} at most", self.timeout));
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Why a kind is not served, as its definition's conditions say.
async fn said(definition: &str, context: &mut Context) -> Result<String, Error> {
    let name = resource(target::by_name("customresourcedefinitions")?).object("", definition);
    let found = context.raw()?.get(&name).await?;
    let conditions = found["status"]["conditions"].as_array().into_iter().flatten();
    let told = conditions
        .filter(|condition| condition["status"] == "False")
        .filter_map(|condition| Some(format!("{}: {}", condition["type"].as_str()?, condition["message"].as_str()?)));
    let told = told.collect::<Vec<_>>().join("; ");
    Ok(if told.is_empty() { told } else { format!(" ({told})") })
}
