//! `top`: what nodes and pods use.

mod nodes;
mod pods;

use std::cmp::Reverse;

use clap::{Args, Subcommand, ValueEnum};
use keelson_client::ListOptions;
use keelson_types::Kind;
use keelson_types::quantity::Quantity;
use serde_json::Value;

use super::Selection;
use crate::Error;
use crate::context::{Context, resource};
use crate::render::table::Table;

const EXAMPLES: &str = "\
Examples:
  keelctl top nodes
  keelctl top pods -A --sort-by memory
  keelctl top pods -l app=web --containers";

/// Show what nodes and pods use, as the nodes measure it
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Top {
    /// Show what nodes use, and how much that is of what they have for pods
    #[command(after_help = EXAMPLES, visible_aliases = ["node", "no"])]
    Nodes(nodes::Nodes),
    /// Show what pods use
    #[command(after_help = EXAMPLES, visible_aliases = ["pod", "po"])]
    Pods(pods::Pods),
}

impl Top {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        match self {
            Top::Nodes(nodes) => nodes.run(context).await,
            Top::Pods(pods) => pods.run(context).await,
        }
    }
}

/// What both have in common.
#[derive(Debug, Args)]
struct Look {
    /// Only this one
    name: Option<String>,

    #[command(flatten)]
    selection: Selection,

    /// Show first what uses most; without it, they are sorted by name
    #[arg(long, value_name = "RESOURCE")]
    sort_by: Option<Measure>,

    /// Leave the header out
    #[arg(long)]
    no_headers: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Measure {
    Cpu,
    Memory,
}

impl Look {
    /// What is named or selected of a kind, in a namespace or in all.
    async fn fetch(&self, kind: &'static Kind, namespace: &str, context: &mut Context) -> Result<Vec<Value>, Error> {
        let raw = context.raw()?;
        match &self.name {
            Some(_) if !self.selection.selector.is_empty() => {
                Err(Error::Usage("a name and a selector exclude each other".to_owned()))
            }
            Some(name) => Ok(vec![raw.get(&resource(kind).object(namespace, name)).await?]),
            None => {
                let options = ListOptions::default().labels(&*self.selection.selector);
                Ok(raw.list(&resource(kind).object(namespace, ""), &options).await?.items)
            }
        }
    }

    /// Brings rows into order: by their names, or what uses most first.
    fn sort(&self, rows: &mut [Row]) {
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        match self.sort_by {
            None => {}
            Some(Measure::Cpu) => rows.sort_by_key(|row| Reverse(row.used.cpu)),
            Some(Measure::Memory) => rows.sort_by_key(|row| Reverse(row.used.memory)),
        }
    }

    fn table(&self, header: &[&str]) -> Table {
        let table = Table::new(header.iter().copied());
        if self.no_headers { table.without_header() } else { table }
    }
}

/// What something uses, with the cells that name it.
struct Row {
    name: Vec<String>,
    used: Used,
}

/// Amounts of both resources; none when they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    cpu: Option<Quantity>,
    memory: Option<Quantity>,
}

impl Used {
    /// Of a list of quantities, by the resource's name.
    fn of(amounts: &Value) -> Used {
        let amount = |resource: &str| amounts[resource].as_str()?.parse().ok();
        Used { cpu: amount("cpu"), memory: amount("memory") }
    }

    fn plus(self, other: Used) -> Used {
        let sum = |one: Option<Quantity>, other: Option<Quantity>| match (one, other) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Used { cpu: sum(self.cpu, other.cpu), memory: sum(self.memory, other.memory) }
    }

    /// `250m`
    fn cores(&self) -> String {
        self.cpu.map_or_else(unknown, |cpu| format!("{}m", cpu.millis()))
    }

    /// `64Mi`
    fn mebibytes(&self) -> String {
        self.memory.map_or_else(unknown, |memory| format!("{}Mi", memory.units() >> 20))
    }
}

fn unknown() -> String {
    "<unknown>".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_shown_in_thousandths_of_a_core_and_in_mebibytes() {
        let used = Used::of(&json!({"cpu": "1500000n", "memory": "1.5Gi"}));
        assert_eq!((used.cores(), used.mebibytes()), ("2m".to_owned(), "1536Mi".to_owned()));
        let both = used.plus(Used::of(&json!({"cpu": "1", "memory": "1023Ki"}))).plus(Used::default());
        assert_eq!((both.cores(), both.mebibytes()), ("1002m".to_owned(), "1536Mi".to_owned()));
        assert_eq!(Used::default().cores(), "<unknown>");
    }
}
