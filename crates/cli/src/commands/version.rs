//! `version`: of keelctl and of the members.

use clap::Args;

use crate::Error;
use crate::context::Context;

/// Show the versions of keelctl and of the cluster
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// Only keelctl's own, without asking the cluster
    #[arg(long)]
    client: bool,
}

impl Version {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        context.line(format!("keelctl  {}", env!("CARGO_PKG_VERSION")))?;
        if self.client {
            return Ok(());
        }
        let status = context.client()?.cluster().status().await?;
        context.line(format!("cluster  {}", status.version))?;
        for member in status.members.iter().filter(|member| !member.version.is_empty()) {
            if member.version != status.version {
                context.line(format!("  {}  {}", member.name, member.version))?;
            }
        }
        Ok(())
    }
}
