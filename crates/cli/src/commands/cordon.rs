//! `cordon`, `uncordon` and `drain`: taking a node out of use and back.

use std::time::Duration;

use clap::Args;
use keelson_client::{ListOptions, Patch};
use serde_json::{Value, json};

use super::evict::{self, Eviction};
use super::{Selection, chosen};
use crate::Error;
use crate::arguments::parse_duration;
use crate::context::{Context, resource};
use crate::render::{items, text};
use crate::target;

/// Let no more pods be put on nodes
#[derive(Debug, Args)]
pub(crate) struct Cordon {
    #[command(flatten)]
    nodes: Nodes,
}

/// Let pods be put on nodes again
#[derive(Debug, Args)]
pub(crate) struct Uncordon {
    #[command(flatten)]
    nodes: Nodes,
}

/// Cordon nodes and evict their pods, as disruption budgets allow, so that they run elsewhere
#[derive(Debug, Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    nodes: Nodes,

    /// Also pods that nothing will make again
    #[arg(long)]
    force: bool,

    /// Leave pods of DaemonSets where they are
    #[arg(long)]
    ignore_daemonsets: bool,

    /// Also pods with emptyDir volumes, whose data is lost
    #[arg(long)]
    delete_emptydir_data: bool,

    /// How long pods may take to end; their own by default
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u32>,

    /// How long it may take, budgets that forbid evictions for a while included; 0 is without limit
    #[arg(long, default_value = "0", value_parser = parse_duration, value_name = "DURATION")]
    timeout: Duration,
}

#[derive(Debug, Args)]
struct Nodes {
    /// The nodes' names
    #[arg(value_name = "NODE")]
    names: Vec<String>,

    #[command(flatten)]
    selection: Selection,
}

impl Cordon {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        self.nodes.mark(true, context).await.map(|_| ())
    }
}

impl Uncordon {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        self.nodes.mark(false, context).await.map(|_| ())
    }
}

impl Nodes {
    /// The names of the nodes, which are marked then.
    async fn mark(&self, cordoned: bool, context: &mut Context) -> Result<Vec<String>, Error> {
        let mut resources = vec!["nodes".to_owned()];
        // `node/a` and `a` mean the same here.
        resources.extend(self.names.iter().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()));
        let word = if cordoned { "cordoned" } else { "uncordoned" };
        let mut names = Vec::new();
        for node in chosen::objects(&resources, &self.selection, false, context).await? {
            let already = (node.object["spec"]["unschedulable"] == true) == cordoned;
            if !already {
                let patch = json!({"spec": {"unschedulable": if cordoned { json!(true) } else { Value::Null }}});
                context.raw()?.patch(&node.name, &Patch::Strategic(patch)).await?;
            }
            context.line(format!("{} {}{word}", node.shown, if already { "already " } else { "" }))?;
            names.push(node.name.name.clone());
        }
        Ok(names)
    }
}

/// Why a pod stays, or keeps the node from being drained.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Goes,
    Stays,
    Hinders(&'static str),
}

impl Drain {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        for node in self.nodes.mark(true, context).await? {
            self.drain(&node, context).await.map_err(|error| match error {
                Error::Failed(why) => Error::Failed(format!("unable to drain node {node:?} due to error: {why}")),
                other => other,
            })?;
            context.line(format!("node/{node} drained"))?;
        }
        Ok(())
    }

    async fn drain(&self, node: &str, context: &mut Context) -> Result<(), Error> {
        let pods = resource(target::by_name("pods")?);
        let options = ListOptions::default().fields(format!("spec.nodeName={node}"));
        let list = context.raw()?.list(&pods.object("", ""), &options).await?;
        let mut going = Vec::new();
        let mut hindering = Vec::new();
        for pod in list.items {
            let place = format!("{}/{}", text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
            match self.fate(&pod) {
                Fate::Goes => going.push(pod),
                Fate::Stays => context.note(format!("Warning: ignoring DaemonSet-managed Pods: {place}")),
                Fate::Hinders(why) => hindering.push(format!("cannot delete {why}: {place}")),
            }
        }
        if !hindering.is_empty() {
            return Err(Error::Failed(hindering.join(", ")));
        }
        let grace_period = self.grace_period.map(i64::from);
        let going = going.iter().map(|pod| Eviction::of(pod, &pods, grace_period)).collect();
        evict::all(going, self.timeout, context).await
    }

    fn fate(&self, pod: &Value) -> Fate {
        let owner = items(&pod["metadata"]["ownerReferences"]).iter().find(|owner| owner["controller"] == true);
        let over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let scratch = items(&pod["spec"]["volumes"]).iter().any(|volume| volume.get("emptyDir").is_some());
        match owner.map(|owner| text(&owner["kind"])) {
            Some(kind) if kind == "DaemonSet" && !over => match self.ignore_daemonsets {
                true => Fate::Stays,
                false => Fate::Hinders("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"),
            },
            None if !self.force && !over => Fate::Hinders("Pods that declare no controller (use --force to override)"),
            _ if scratch && !over && !self.delete_emptydir_data => {
                Fate::Hinders("Pods with local storage (use --delete-emptydir-data to override)")
            }
            _ => Fate::Goes,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        drain: Drain,
    }

    #[test]
    fn what_would_be_lost_keeps_a_node_from_being_drained() {
        let owned = |kind: &str| json!({"metadata": {"ownerReferences": [{"kind": kind, "controller": true}]}});
        let fate = |flags: &[&str], pod: &Value| Line::parse_from([&["x", "n"], flags].concat()).drain.fate(pod);
        assert_eq!(fate(&[], &owned("ReplicaSet")), Fate::Goes);
        assert!(matches!(fate(&[], &json!({})), Fate::Hinders(_)));
        assert_eq!(fate(&["--force"], &json!({})), Fate::Goes);
        assert_eq!(fate(&[], &json!({"status": {"phase": "Succeeded"}})), Fate::Goes);
        assert!(matches!(fate(&["--force"], &owned("DaemonSet")), Fate::Hinders(_)));
        assert_eq!(fate(&["--ignore-daemonsets"], &owned("DaemonSet")), Fate::Stays);
        let mut scratch = owned("ReplicaSet");
        scratch["spec"] = json!({"volumes": [{"name": "x", "emptyDir": {}}]});
        assert!(matches!(fate(&[], &scratch), Fate::Hinders(_)));
        assert_eq!(fate(&["--delete-emptydir-data"], &scratch), Fate::Goes);
    }
}
