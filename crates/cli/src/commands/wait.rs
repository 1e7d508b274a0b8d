//! `wait`: until objects are as they shall be.

use std::time::Duration;

use clap::Args;
use keelson_client::Event;
use serde_json::Value;
use tokio::time::Instant;

use super::{Selection, chosen};
use crate::Error;
use crate::arguments::parse_duration;
use crate::context::{Context, resource};
use crate::follow::Follow;
use crate::render::{items, text};
use crate::target::{self, display};
use keelson_types::jsonpath::Template;

const EXAMPLES: &str = "\
Examples:
  keelctl wait pod/web-1 --for condition=Ready
  keelctl wait deployment --all --for condition=Available --timeout 2m
  keelctl wait pod/web-1 --for delete
  keelctl wait pod/web-1 --for jsonpath='{.status.phase}'=Running";

/// Wait for a condition, a value or the end of objects
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Wait {
    /// KIND/NAME…, or KIND NAME…
    #[arg(required = true, value_name = "KIND")]
    resources: Vec<String>,

    #[command(flatten)]
    selection: Selection,

    /// All of the kind in the namespace
    #[arg(long)]
    all: bool,

    /// delete, create, condition=NAME[=STATUS] or jsonpath={PATH}[=VALUE]
    #[arg(long = "for", value_name = "WHAT", value_parser = parse_goal)]
    goal: Goal,

    /// How long for each object
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "DURATION")]
    timeout: Duration,
}

#[derive(Clone, Debug, PartialEq)]
enum Goal {
    Delete,
    Create,
    Condition { name: String, status: String },
    Path { path: Template, value: Option<String> },
}

fn parse_goal(text: &str) -> Result<Goal, String> {
    match text.split_once('=') {
        None if text.eq_ignore_ascii_case("delete") => Ok(Goal::Delete),
        None if text.eq_ignore_ascii_case("create") => Ok(Goal::Create),
        Some(("condition", condition)) if !condition.is_empty() => {
            let (name, status) = condition.split_once('=').unwrap_or((condition, "true"));
            Ok(Goal::Condition { name: name.to_owned(), status: status.to_owned() })
        }
        Some(("jsonpath", rest)) => {
            // The path may have a `=` of its own, in a filter.
            let end = rest.rfind('}').map_or(rest.find('=').unwrap_or(rest.len()), |end| end + 1);
            let (path, value) = rest.split_at(end);
            let value = value.strip_prefix('=').map(|value| value.trim_matches(['\'', '"']).to_owned());
            Ok(Goal::Path { path: Template::relaxed(path)?, value })
        }
        _ => Err(format!("unrecognized condition: {text:?}")),
    }
}

impl Goal {
    /// Whether an object, None when there is none, is as it shall be.
    fn is_met(&self, object: Option<&Value>) -> Result<bool, Error> {
        let Some(object) = object else { return Ok(*self == Goal::Delete) };
        Ok(match self {
            Goal::Delete => false,
            Goal::Create => true,
            Goal::Condition { name, status } => {
                let conditions = items(&object["status"]["conditions"]);
                let found = conditions.iter().find(|found| text(&found["type"]).eq_ignore_ascii_case(name));
                found.is_some_and(|found| text(&found["status"]).eq_ignore_ascii_case(status))
            }
            Goal::Path { path, value } => {
                let found = path.values(object).unwrap_or_default();
                match value {
                    Some(value) => found.len() == 1 && text(found[0]) == *value,
                    None => !found.is_empty(),
                }
            }
        })
    }
}

impl Wait {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let selects = self.all || !self.selection.selector.is_empty();
        let mut names = Vec::new();
        if selects {
            for object in chosen::objects(&self.resources, &self.selection, self.all, context).await? {
                names.push((object.kind, object.name, object.shown));
            }
            if names.is_empty() {
                return Err(Error::Failed("no matching resources found".to_owned()));
            }
        } else {
            for target in target::parse(&self.resources, context).await? {
                if target.names.is_empty() {
                    let plural = target.kind.plural;
                    return Err(Error::Usage(format!("say which {plural}: names, -l LABELS, or --all")));
                }
                let namespace = context.namespace_for(target.kind, false)?;
                for name in target.names {
                    let shown = display(target.kind, &name);
                    names.push((target.kind, resource(target.kind).object(&*namespace, name), shown));
                }
            }
        }
        for (kind, name, shown) in names {
            if !matches!(self.goal, Goal::Delete | Goal::Create) {
                // What is not there does not become anything.
                context.raw()?.get(&name).await?;
            }
            let deadline = Instant::now() + self.timeout;
            match tokio::time::timeout_at(deadline, self.until_met(context, &name)).await {
                Ok(met) => met?,
                Err(_) => {
                    let plural = kind.plural;
                    let place = format!("{plural}/{}", name.name);
                    return Err(Error::Failed(format!("timed out waiting for the condition on {place}")));
                }
            }
            context.line(format!("{shown} condition met"))?;
        }
        Ok(())
    }

    async fn until_met(&self, context: &mut Context, name: &keelson_client::ObjectName) -> Result<(), Error> {
        let mut follow = Follow::object(context.raw()?, name);
        let mut last: Option<Value> = None;
        loop {
            let batch = follow.next().await?;
            let ends = batch.initial_events_end;
            let mut changed = ends;
            for event in batch.events {
                last = match event {
                    Event::Deleted(_) => None,
                    Event::Added(object) | Event::Modified(object) => Some(object),
                };
                changed = true;
                if (last.is_some() || self.goal != Goal::Delete) && self.goal.is_met(last.as_ref())? {
                    return Ok(());
                }
                if last.is_none() && self.goal == Goal::Delete {
                    return Ok(());
                }
            }
            if changed && ends && self.goal.is_met(last.as_ref())? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn goals_are_met_by_what_an_object_says() {
        let pod = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        for (goal, met) in [
            ("condition=Ready", true),
            ("condition=ready=true", true),
            ("condition=Ready=False", false),
            ("condition=Other", false),
            ("jsonpath={.status.phase}=Running", true),
            ("jsonpath={.status.phase}='Running'", true),
            ("jsonpath={.status.phase}=Pending", false),
            ("jsonpath={.status.phase}", true),
            ("jsonpath={.status.conditions[?(@.type==\"Ready\")].status}=True", true),
            ("jsonpath=.status.phase=Running", true),
            ("delete", false),
            ("create", true),
        ] {
            let read = parse_goal(goal).expect("is a goal");
            assert_eq!(read.is_met(Some(&pod)).expect("is known"), met, "{goal}");
        }
        assert!(Goal::Delete.is_met(None).expect("is known") && !Goal::Create.is_met(None).expect("is known"));
        for goal in ["", "ready", "condition=", "jsonpath={.a"] {
            assert!(parse_goal(goal).is_err(), "{goal}");
        }
    }
}
