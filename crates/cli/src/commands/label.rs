//! `label` and `annotate`: pairs in an object's metadata.

use clap::Args;
use keelson_client::Patch;
use serde_json::{Map, Value, json};

use super::{Selection, chosen};
use crate::Error;
use crate::context::Context;

const LABEL_EXAMPLES: &str = "\
Examples:
  keelctl label pods web-1 tier=front
  keelctl label nodes --all zone=a --overwrite
  keelctl label pod/web-1 tier-                 removes it";
const ANNOTATE_EXAMPLES: &str = "\
Examples:
  keelctl annotate deployment/web owner=shop
  keelctl annotate deployment/web owner-        removes it";

/// Set or remove labels
#[derive(Debug, Args)]
#[command(after_help = LABEL_EXAMPLES)]
pub(crate) struct Label {
    #[command(flatten)]
    pairs: Pairs,
}

/// Set or remove annotations
#[derive(Debug, Args)]
#[command(after_help = ANNOTATE_EXAMPLES)]
pub(crate) struct Annotate {
    #[command(flatten)]
    pairs: Pairs,
}

#[derive(Debug, Args)]
struct Pairs {
    /// KIND/NAME… or KIND NAME…, then KEY=VALUE… or KEY-
    #[arg(required = true, value_name = "KIND")]
    arguments: Vec<String>,

    #[command(flatten)]
    selection: Selection,

    /// All of the kind in the namespace
    #[arg(long)]
    all: bool,

    /// Also replace values that are there
    #[arg(long)]
    overwrite: bool,
}

impl Label {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        self.pairs.run("labels", context).await
    }
}

impl Annotate {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        self.pairs.run("annotations", context).await
    }
}

impl Pairs {
    async fn run(self, field: &'static str, context: &mut Context) -> Result<(), Error> {
        let split = self.arguments.iter().position(|argument| argument.contains('=') || argument.ends_with('-'));
        let (resources, pairs) = self.arguments.split_at(split.unwrap_or(self.arguments.len()));
        if pairs.is_empty() {
            return Err(Error::Usage(format!("at least one of the {field} is required: KEY=VALUE, or KEY-")));
        }
        let changes = changes(pairs)?;
        for object in chosen::objects(resources, &self.selection, self.all, context).await? {
            let present = object.object["metadata"][field].clone();
            if !self.overwrite
                && let Some((key, value)) = taken(&present, &changes)
            {
                return Err(Error::Failed(refusal(field, key, value)));
            }
            for key in changes.iter().filter(|(key, value)| value.is_none() && present.get(key).is_none()) {
                context.line(format!("{} {:?} not found.", field.trim_end_matches('s'), key.0))?;
            }
            let outcome = outcome(field, &present, &changes);
            if outcome != NOT_LABELED {
                let map: Map<String, Value> = changes.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
                let mut patch = json!({"metadata": {}});
                patch["metadata"][field] = map.into();
                let patched = context.raw()?.patch(&object.name, &Patch::Merge(patch)).await?;
                context.warn(&patched.warnings);
            }
            context.line(format!("{} {outcome}", object.shown))?;
        }
        Ok(())
    }
}

const NOT_LABELED: &str = "not labeled";

type Change = (String, Option<String>);

fn changes(pairs: &[String]) -> Result<Vec<Change>, Error> {
    let mut changes: Vec<Change> = Vec::new();
    for pair in pairs {
        let change = match (pair.split_once('='), pair.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => (key.to_owned(), Some(value.to_owned())),
            (None, Some(key)) if !key.is_empty() => (key.to_owned(), None),
            _ => return Err(Error::Usage(format!("{pair:?} is neither KEY=VALUE nor KEY-"))),
        };
        if changes.iter().any(|(key, value)| *key == change.0 && value.is_some() != change.1.is_some()) {
            return Err(Error::Usage("can not both modify and remove a label in the same command".to_owned()));
        }
        changes.push(change);
    }
    Ok(changes)
}

/// The first value that would be replaced by another.
fn taken<'a>(present: &'a Value, changes: &'a [Change]) -> Option<(&'a str, &'a str)> {
    changes.iter().find_map(|(key, value)| {
        let there = present.get(key)?.as_str()?;
        value.as_deref().filter(|value| *value != there).map(|_| (key.as_str(), there))
    })
}

fn refusal(field: &str, key: &str, value: &str) -> String {
    if field == "labels" {
        format!("'{key}' already has a value ({value}), and --overwrite is false")
    } else {
        format!(
            "--overwrite is false but found the following declared annotation(s): '{key}' already has a value ({value})"
        )
    }
}

fn outcome(field: &str, present: &Value, changes: &[Change]) -> &'static str {
    if field == "annotations" {
        return "annotated";
    }
    let sets = changes
        .iter()
        .any(|(key, value)| value.is_some() && present.get(key).and_then(Value::as_str) != value.as_deref());
    let removes = changes.iter().any(|(key, value)| value.is_none() && present.get(key).is_some());
    match (sets, removes) {
        (true, _) => "labeled",
        (false, true) => "unlabeled",
        (false, false) => NOT_LABELED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_is_worded_as_kubectl_words_it() {
        let present = json!({"app": "web", "tier": "a"});
        let of = |pairs: &[&str]| {
            changes(&pairs.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>()).expect("are pairs")
        };
        assert_eq!(outcome("labels", &present, &of(&["new=1", "tier-"])), "labeled");
        assert_eq!(outcome("labels", &present, &of(&["tier-"])), "unlabeled");
        assert_eq!(outcome("labels", &present, &of(&["app=web", "none-"])), "not labeled");
        assert_eq!(taken(&present, &of(&["app=db"])), Some(("app", "web")));
        assert_eq!(taken(&present, &of(&["app=web", "x=y"])), None);
        assert!(changes(&["=x".to_owned()]).is_err() && changes(&["a=1".to_owned(), "a-".to_owned()]).is_err());
    }
}
