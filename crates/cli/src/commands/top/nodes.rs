//! `top nodes`.

use std::collections::HashMap;

use clap::Args;
use keelson_types::kinds::{node, node_metrics};
use keelson_types::quantity::Quantity;
use serde_json::Value;

use super::{Look, Row, Used, unknown};
use crate::Error;
use crate::context::Context;
use crate::render::text;

#[derive(Debug, Args)]
pub(crate) struct Nodes {
    #[command(flatten)]
    look: Look,

    /// Compare with all that nodes have, not only with what they have for pods
    #[arg(long)]
    show_capacity: bool,
}

impl Nodes {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let measured = self.look.fetch(&node_metrics::KIND, "", context).await?;
        let nodes = self.look.fetch(&node::KIND, "", context).await?;
        if nodes.is_empty() {
            context.note("No resources found");
            return Ok(());
        }
        let measured: HashMap<String, Used> =
            measured.iter().map(|measured| (name(measured), Used::of(&measured["usage"]))).collect();
        // A node that does not answer is there all the same.
        let row = |node: &Value| {
            let name = name(node);
            let used = measured.get(&name).copied().unwrap_or_default();
            Row { name: vec![name], used }
        };
        let mut rows: Vec<Row> = nodes.iter().map(row).collect();
        self.look.sort(&mut rows);
        let has = if self.show_capacity { "capacity" } else { "allocatable" };
        let available: HashMap<String, Used> =
            nodes.iter().map(|node| (name(node), Used::of(&node["status"][has]))).collect();
        let mut table = self.look.table(&["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]);
        for Row { name, used } in rows {
            let all = available.get(&name[0]).copied().unwrap_or_default();
            let (cpu, memory) = (share(used.cpu, all.cpu), share(used.memory, all.memory));
            table.row([name[0].clone(), used.cores(), cpu, used.mebibytes(), memory]);
        }
        context.text(&table.render(context.color))
    }
}

fn name(object: &Value) -> String {
    text(&object["metadata"]["name"])
}

/// In whole percent.
fn share(used: Option<Quantity>, all: Option<Quantity>) -> String {
    match (used, all) {
        (Some(used), Some(all)) if all.units() > 0 => {
            // Thousandths of cores matter; of bytes they would not fit.
            let (used, all) = match all.units() {
                ..1_000_000 => (used.millis(), all.millis()),
                units => (used.units(), units),
            };
            format!("{}%", i128::from(used) * 100 / i128::from(all))
        }
        _ => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_in_whole_percent_and_only_of_what_is_known() {
        let amount = |text: &str| Some(text.parse::<Quantity>().expect("a quantity"));
        assert_eq!(share(amount("250m"), amount("8")), "3%");
        assert_eq!(share(amount("16Gi"), amount("32Gi")), "50%");
        assert_eq!(share(None, amount("8")), "<unknown>");
        assert_eq!(share(amount("250m"), None), "<unknown>");
        assert_eq!(share(amount("250m"), amount("0")), "<unknown>");
    }
}
