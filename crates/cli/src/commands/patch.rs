//! `patch`: a change given as JSON or YAML.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use keelson_client::Patch as Change;
use serde_json::Value;

use super::{Selection, chosen};
use crate::Error;
use crate::context::Context;

const EXAMPLES: &str = "\
Examples:
  keelctl patch node node-1 -p '{\"spec\":{\"unschedulable\":true}}'
  keelctl patch deployment/web --type json -p '[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":3}]'
  keelctl patch deployment/web --subresource scale --type merge -p '{\"spec\":{\"replicas\":2}}'";

/// Change fields of an object
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Patch {
    /// KIND/NAME, or KIND NAME
    #[arg(required = true, value_name = "KIND")]
    resources: Vec<String>,

    /// The patch, as JSON or YAML
    #[arg(short, long, value_name = "PATCH", conflicts_with = "patch_file")]
    patch: Option<String>,

    /// A file with the patch
    #[arg(long, value_name = "FILE")]
    patch_file: Option<PathBuf>,

    /// How the patch is merged
    ///
    /// By default strategic; merge for kinds that users define, which have no other.
    #[arg(long = "type", value_enum)]
    kind: Option<Kind>,

    /// Of the object: status or scale
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Json,
    Merge,
    Strategic,
}

impl Patch {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let text = match (&self.patch, &self.patch_file) {
            (Some(patch), _) => patch.clone(),
            (None, Some(path)) => {
                std::fs::read_to_string(path).map_err(|source| Error::File { path: path.clone(), source })?
            }
            (None, None) => {
                return Err(Error::Usage(
                    "must specify --patch or --patch-file containing the contents of the patch".to_owned(),
                ));
            }
        };
        let value: Value = serde_norway::from_str(&text)
            .map_err(|error| Error::Usage(format!("unable to parse {text:?}: {error}")))?;
        for object in chosen::objects(&self.resources, &Selection::default(), false, context).await? {
            let name = match &self.subresource {
                Some(subresource) => object.name.clone().subresource(subresource.as_str()),
                None => object.name.clone(),
            };
            let default = if object.kind.is_custom() { Kind::Merge } else { Kind::Strategic };
            let change = match self.kind.unwrap_or(default) {
                Kind::Json => Change::Json(value.clone()),
                Kind::Merge => Change::Merge(value.clone()),
                Kind::Strategic => Change::Strategic(value.clone()),
            };
            let patched = context.raw()?.patch(&name, &change).await?;
            context.warn(&patched.warnings);
            let before = &object.object["metadata"]["resourceVersion"];
            let same = patched.object["metadata"]["resourceVersion"] == *before;
            context.line(format!("{} patched{}", object.shown, if same { " (no change)" } else { "" }))?;
        }
        Ok(())
    }
}
