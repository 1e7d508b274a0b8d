//! `api-resources`: the kinds that there are.

use clap::Args;
use keelson_types::registry;

use crate::context::Context;
use crate::render::table::Table;
use crate::{Error, kinds};

/// Show the kinds of objects
#[derive(Debug, Args)]
pub(crate) struct ApiResources {
    /// Only those of this group; an empty one is the core group
    #[arg(long, value_name = "GROUP")]
    api_group: Option<String>,

    /// Only those with, or without, a namespace
    #[arg(long, value_name = "true|false")]
    namespaced: Option<bool>,

    /// Leave the header out
    #[arg(long)]
    no_headers: bool,

    /// Only names
    #[arg(short, long, value_name = "name", value_parser = ["name"])]
    output: Option<String>,
}

impl ApiResources {
    pub async fn run(&self, context: &mut Context) -> Result<(), Error> {
        let custom = match kinds::custom(context, "").await {
            // What is part of the program can be told without a cluster.
            Err(Error::Unconfigured { .. }) => Vec::new(),
            custom => custom?,
        };
        let mut kinds: Vec<_> = registry::all()
            .iter()
            .chain(&custom)
            .filter(|kind| self.api_group.as_ref().is_none_or(|group| kind.group == group))
            .filter(|kind| self.namespaced.is_none_or(|namespaced| kind.namespaced == namespaced))
            .collect();
        kinds.sort_by_key(|kind| (kind.group, kind.plural));
        if self.output.is_some() {
            for kind in kinds {
                let group = if kind.group.is_empty() { String::new() } else { format!(".{}", kind.group) };
                context.line(format!("{}{group}", kind.plural))?;
            }
            return Ok(());
        }
        let mut table = Table::new(["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]);
        for kind in kinds {
            let namespaced = kind.namespaced.to_string();
            table.row([kind.plural, &kind.short_names.join(","), &kind.api_version(), &namespaced, kind.kind]);
        }
        let table = if self.no_headers { table.without_header() } else { table };
        context.text(&table.render(context.color))
    }
}
