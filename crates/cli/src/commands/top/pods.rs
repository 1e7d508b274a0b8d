//! `top pods`.

use clap::Args;
use keelson_types::kinds::pod_metrics;
use serde_json::Value;

use super::{Look, Row, Used};
use crate::Error;
use crate::context::Context;
use crate::render::text;

#[derive(Debug, Args)]
pub(crate) struct Pods {
    #[command(flatten)]
    look: Look,

    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,

    /// Show the containers of the pods
    #[arg(long)]
    containers: bool,
}

impl Pods {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let namespace = context.namespace_for(&pod_metrics::KIND, self.all_namespaces)?;
        let measured = self.look.fetch(&pod_metrics::KIND, &namespace, context).await?;
        if measured.is_empty() {
            context.note(if self.all_namespaces {
                "No resources found".to_owned()
            } else {
                format!("No resources found in {namespace} namespace.")
            });
            return Ok(());
        }
        let mut rows: Vec<Row> = measured.iter().flat_map(|pod| self.rows(pod)).collect();
        self.look.sort(&mut rows);
        let names: &[&str] = if self.containers { &["POD", "NAME"] } else { &["NAME"] };
        let namespaces: &[&str] = if self.all_namespaces { &["NAMESPACE"] } else { &[] };
        let mut table = self.look.table(&[namespaces, names, &["CPU(cores)", "MEMORY(bytes)"]].concat());
        for Row { name, used } in rows {
            table.row(name.into_iter().chain([used.cores(), used.mebibytes()]));
        }
        context.text(&table.render(context.color))
    }

    /// One of a pod, or of each of its containers.
    fn rows(&self, pod: &Value) -> Vec<Row> {
        let metadata = &pod["metadata"];
        let mut name = vec![text(&metadata["name"])];
        if self.all_namespaces {
            name.insert(0, text(&metadata["namespace"]));
        }
        let containers = pod["containers"].as_array().into_iter().flatten();
        let used = containers.map(|container| (text(&container["name"]), Used::of(&container["usage"])));
        if self.containers {
            let rows = used.map(|(container, used)| Row { name: [&name[..], &[container]].concat(), used });
            rows.collect()
        } else {
            vec![Row { name, used: used.map(|(_, used)| used).fold(Used::default(), Used::plus) }]
        }
    }
}
