//! `run`: one pod of an image.

use clap::Args;
use serde_json::{Value, json};

use crate::Error;
use crate::context::{Context, resource};
use crate::target;

const EXAMPLES: &str = "\
Examples:
  keelctl run web --image nginx:1 --port 80
  keelctl run once --image busybox --restart Never --env A=1 -- echo hello";

/// Start a pod
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    /// The pod's name
    name: String,

    /// What it runs
    #[arg(long)]
    image: String,

    /// A port that it offers
    #[arg(long)]
    port: Option<u16>,

    /// A variable of its environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// Its labels; run=NAME without any
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',')]
    labels: Vec<String>,

    /// When it is started again
    #[arg(long, default_value = "Always", value_parser = ["Always", "OnFailure", "Never"])]
    restart: String,

    /// What follows -- is the program rather than its arguments
    #[arg(long)]
    command: bool,

    /// Let the API check everything, but write nothing
    #[arg(long)]
    dry_run: bool,

    /// Its arguments, after --
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

impl Run {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let pod = self.pod()?;
        let namespace = context.namespace()?;
        let name = resource(target::by_name("pods")?).object(namespace, &*self.name);
        let created = context.raw()?.dry_run(self.dry_run).create(&name, &pod).await?;
        context.warn(&created.warnings);
        let how = if self.dry_run { " (server dry run)" } else { "" };
        context.line(format!("pod/{} created{how}", self.name))
    }

    fn pod(&self) -> Result<Value, Error> {
        let labels: Vec<(&str, &str)> = self.labels.iter().map(|pair| pair_of(pair)).collect::<Result<_, _>>()?;
        let labels: Vec<_> = if labels.is_empty() { vec![("run", self.name.as_str())] } else { labels };
        let labels: serde_json::Map<String, Value> =
            labels.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        let mut container = json!({"name": self.name, "image": self.image});
        if let Some(port) = self.port {
            container["ports"] = json!([{"containerPort": port}]);
        }
        if !self.env.is_empty() {
            let variables =
                self.env.iter().map(|pair| pair_of(pair).map(|(name, value)| json!({"name": name, "value": value})));
            container["env"] = variables.collect::<Result<Vec<Value>, _>>()?.into();
        }
        if !self.arguments.is_empty() {
            container[if self.command { "command" } else { "args" }] = json!(self.arguments);
        }
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {"containers": [container], "restartPolicy": self.restart},
        }))
    }
}

fn pair_of(pair: &str) -> Result<(&str, &str), Error> {
    let found = pair.split_once('=').filter(|(name, _)| !name.is_empty());
    found.ok_or_else(|| Error::Usage(format!("{pair:?} is not NAME=VALUE")))
}
