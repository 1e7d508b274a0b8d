//! `set`: what is often changed of things that have containers.

use clap::{Args, Subcommand};
use keelson_client::Patch;
use serde_json::{Map, Value, json};

use super::{Selection, chosen};
use crate::Error;
use crate::context::Context;
use crate::render::{items, text};

/// Change images, variables or resources of containers
#[derive(Debug, Subcommand)]
pub(crate) enum Set {
    Image(Image),
    Env(Env),
    Resources(Resources),
}

/// The images of containers: CONTAINER=IMAGE…, where * is all
#[derive(Debug, Args)]
pub(crate) struct Image {
    /// KIND/NAME… or KIND NAME…, then CONTAINER=IMAGE…
    #[arg(required = true, value_name = "KIND")]
    arguments: Vec<String>,
    #[command(flatten)]
    which: Which,
}

/// Variables of containers: NAME=VALUE…, or NAME- to remove one
#[derive(Debug, Args)]
pub(crate) struct Env {
    /// KIND/NAME… or KIND NAME…, then NAME=VALUE… or NAME-
    #[arg(required = true, value_name = "KIND")]
    arguments: Vec<String>,
    /// Only in this container
    #[arg(short, long, default_value = "*", value_name = "NAME")]
    containers: String,
    /// Show the variables instead
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    which: Which,
}

/// What containers ask for and may use at most
#[derive(Debug, Args)]
pub(crate) struct Resources {
    /// KIND/NAME… or KIND NAME…
    #[arg(required = true, value_name = "KIND")]
    arguments: Vec<String>,
    /// Only of this container
    #[arg(short, long, default_value = "*", value_name = "NAME")]
    containers: String,
    /// At most: cpu=1,memory=512Mi
    #[arg(long, value_delimiter = ',', value_name = "NAME=QUANTITY")]
    limits: Vec<String>,
    /// At least: cpu=100m,memory=256Mi
    #[arg(long, value_delimiter = ',', value_name = "NAME=QUANTITY")]
    requests: Vec<String>,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    selection: Selection,
    /// All of the kind in the namespace
    #[arg(long)]
    all: bool,
}

impl Set {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        match self {
            Set::Image(command) => command.run(context).await,
            Set::Env(command) => command.run(context).await,
            Set::Resources(command) => command.run(context).await,
        }
    }
}

impl Image {
    async fn run(self, context: &mut Context) -> Result<(), Error> {
        let (resources, pairs) = split(&self.arguments);
        if pairs.is_empty() {
            return Err(Error::Usage("at least one image update is required: CONTAINER=IMAGE".to_owned()));
        }
        let pairs = pairs.iter().map(|pair| pair_of(pair)).collect::<Result<Vec<_>, _>>()?;
        let change = |name: &str, _: &Value| {
            let image = pairs.iter().rev().find(|(wanted, _)| *wanted == "*" || *wanted == name)?;
            Some(json!({"image": image.1}))
        };
        let wanted: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
        change_all(resources, &self.which, &wanted, "image updated", change, context).await
    }
}

impl Env {
    async fn run(self, context: &mut Context) -> Result<(), Error> {
        let (resources, pairs) = split(&self.arguments);
        if self.list {
            return self.list(resources, context).await;
        }
        if pairs.is_empty() {
            return Err(Error::Usage(
                "at least one environment variable must be provided: NAME=VALUE, or NAME-".to_owned(),
            ));
        }
        let mut variables = Vec::new();
        for pair in pairs {
            match pair.strip_suffix('-') {
                Some(name) if !pair.contains('=') => variables.push(json!({"name": name, "$patch": "delete"})),
                _ => {
                    let (name, value) = pair_of(pair)?;
                    // What came from elsewhere before is replaced.
                    variables.push(json!({"name": name, "value": value, "valueFrom": null}));
                }
            }
        }
        let containers = self.containers.as_str();
        let change =
            |name: &str, _: &Value| (containers == "*" || containers == name).then(|| json!({"env": variables}));
        change_all(resources, &self.which, &[containers], "env updated", change, context).await
    }

    async fn list(&self, resources: &[String], context: &mut Context) -> Result<(), Error> {
        for object in chosen::objects(resources, &self.which.selection, self.which.all, context).await? {
            for container in items(&pod_spec(&object.object)?.0["containers"]) {
                context.line(format!("# {}, container {}", object.shown, text(&container["name"])))?;
                for variable in items(&container["env"]) {
                    let from = if variable["valueFrom"].is_object() { "# from elsewhere: " } else { "" };
                    context.line(format!("{from}{}={}", text(&variable["name"]), text(&variable["value"])))?;
                }
            }
        }
        Ok(())
    }
}

impl Resources {
    async fn run(self, context: &mut Context) -> Result<(), Error> {
        let quantities = |pairs: &[String]| -> Result<Map<String, Value>, Error> {
            pairs.iter().map(|pair| pair_of(pair).map(|(name, value)| (name.to_owned(), value.into()))).collect()
        };
        let mut resources = Map::new();
        for (field, pairs) in [("limits", &self.limits), ("requests", &self.requests)] {
            if !pairs.is_empty() {
                resources.insert(field.to_owned(), quantities(pairs)?.into());
            }
        }
        if resources.is_empty() {
            return Err(Error::Usage(
                "you must specify an update to requests or limits (in the form of --requests/--limits)".to_owned(),
            ));
        }
        let containers = self.containers.as_str();
        let change =
            |name: &str, _: &Value| (containers == "*" || containers == name).then(|| json!({"resources": resources}));
        change_all(&self.arguments, &self.which, &[containers], "resource requirements updated", change, context).await
    }
}

/// Kinds and names, then pairs.
fn split(arguments: &[String]) -> (&[String], &[String]) {
    let place = arguments.iter().position(|argument| argument.contains('=') || argument.ends_with('-'));
    arguments.split_at(place.unwrap_or(arguments.len()))
}

fn pair_of(pair: &str) -> Result<(&str, &str), Error> {
    let found = pair.split_once('=').filter(|(name, _)| !name.is_empty());
    found.ok_or_else(|| Error::Usage(format!("{pair:?} is not NAME=VALUE")))
}

/// The spec of an object's pods, and whether it is a template's.
fn pod_spec(object: &Value) -> Result<(&Value, bool), Error> {
    let template = &object["spec"]["template"]["spec"];
    match (template.is_object(), object["spec"]["containers"].is_array()) {
        (true, _) => Ok((template, true)),
        (false, true) => Ok((&object["spec"], false)),
        _ => Err(Error::Usage(format!("{} has no containers", text(&object["kind"])))),
    }
}

/// Patches the containers that `change` has something for. Each of `wanted` must be there, unless it is `*`.
async fn change_all(
    resources: &[String],
    which: &Which,
    wanted: &[&str],
    done: &str,
    change: impl Fn(&str, &Value) -> Option<Value>,
    context: &mut Context,
) -> Result<(), Error> {
    for object in chosen::objects(resources, &which.selection, which.all, context).await? {
        let patch = patch(&object.object, wanted, &change)?;
        let patched = context.raw()?.patch(&object.name, &Patch::Strategic(patch)).await?;
        context.warn(&patched.warnings);
        // As kubectl, nothing is said of what was so already.
        if patched.object["metadata"]["resourceVersion"] != object.object["metadata"]["resourceVersion"] {
            context.line(format!("{} {done}", object.shown))?;
        }
    }
    Ok(())
}

fn patch(object: &Value, wanted: &[&str], change: impl Fn(&str, &Value) -> Option<Value>) -> Result<Value, Error> {
    let (spec, template) = pod_spec(object)?;
    let mut lists = Map::new();
    let mut known: Vec<String> = Vec::new();
    for field in ["initContainers", "containers"] {
        let mut changed = Vec::new();
        for container in items(&spec[field]) {
            let name = text(&container["name"]);
            if let Some(mut fields) = change(&name, container) {
                fields["name"] = name.clone().into();
                changed.push(fields);
            }
            known.push(name);
        }
        if !changed.is_empty() {
            lists.insert(field.to_owned(), changed.into());
        }
    }
    if let Some(missing) = wanted.iter().find(|name| **name != "*" && !known.iter().any(|known| known == *name)) {
        return Err(Error::Failed(format!("unable to find container named {missing:?}")));
    }
    let spec = Value::from(lists);
    Ok(if template { json!({"spec": {"template": {"spec": spec}}}) } else { json!({"spec": spec}) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_the_containers_that_change() {
        let web = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}}});
        let image = |name: &str, _: &Value| (name == "b").then(|| json!({"image": "x"}));
        let made = patch(&web, &["b"], image).expect("is made");
        assert_eq!(made, json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "x"}]}}}}));
        assert!(patch(&web, &["c"], image).is_err());
        let pod = json!({"kind": "Pod", "spec": {"containers": [{"name": "b"}]}});
        assert_eq!(
            patch(&pod, &["*"], image).expect("is made"),
            json!({"spec": {"containers": [{"name": "b", "image": "x"}]}})
        );
        assert!(patch(&json!({"kind": "ConfigMap"}), &["*"], image).is_err());
    }
}
