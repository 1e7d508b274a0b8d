//! `scale`: more or fewer replicas.

use clap::Args;
use keelson_client::Patch;
use serde_json::json;

use crate::Error;
use crate::context::{Context, resource};
use crate::target::{self, display};

const EXAMPLES: &str = "\
Examples:
  keelctl scale deployment/web --replicas 5
  keelctl scale rs web-5d9c --replicas 0 --current-replicas 3";

/// Set how many replicas there shall be
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Scale {
    /// KIND/NAME…, or KIND NAME…
    #[arg(required = true, value_name = "KIND")]
    resources: Vec<String>,

    /// How many there shall be
    #[arg(long)]
    replicas: u32,

    /// Only if there shall be so many now
    #[arg(long)]
    current_replicas: Option<i64>,
}

impl Scale {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        for target in target::parse(&self.resources, context).await? {
            if !target.kind.scale {
                return Err(Error::Usage(format!("{} cannot be scaled", target.kind.plural)));
            }
            if target.names.is_empty() {
                return Err(Error::Usage(format!("say which of the {} to scale", target.kind.plural)));
            }
            let namespace = context.namespace_for(target.kind, false)?;
            for name in &target.names {
                let scale = resource(target.kind).object(&*namespace, name).subresource("scale");
                let shown = display(target.kind, name);
                let mut patch = json!({"spec": {"replicas": self.replicas}});
                if let Some(expected) = self.current_replicas {
                    let current = context.raw()?.get(&scale).await?;
                    let replicas = current["spec"]["replicas"].as_i64().unwrap_or_default();
                    if replicas != expected {
                        return Err(Error::Failed(format!("{shown} has {replicas} replicas, not {expected}")));
                    }
                    // The check and the change are one: a change in between makes a conflict.
                    patch["metadata"] = json!({"resourceVersion": current["metadata"]["resourceVersion"]});
                }
                let patched = context.raw()?.patch(&scale, &Patch::Merge(patch)).await?;
                context.warn(&patched.warnings);
                context.line(format!("{shown} scaled"))?;
            }
        }
        Ok(())
    }
}
