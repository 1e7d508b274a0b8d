//! `attach`: the input and output of a container's own process.

use clap::Args;

use super::exec::{start, terminal};
use crate::Error;
use crate::context::Context;
use crate::sessions;

const EXAMPLES: &str = "\
Examples:
  keelctl attach web-1                      what it writes from now on
  keelctl attach -i web-1 -c main           and pass standard input on";

/// Join a container's own process
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Attach {
    /// A pod, or KIND/NAME of something that has pods: one of them is chosen
    #[arg(value_name = "POD")]
    pod: String,

    /// Which container; the first one without it
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,

    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,

    /// As a terminal
    #[arg(short, long)]
    tty: bool,
}

impl Attach {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let tty = terminal(self.tty, self.stdin, context);
        let session = start(&self.pod, self.container.as_deref(), (self.stdin, tty), context).await?;
        let opened = context.client()?.pods_attach(session).await?;
        sessions::run(context, opened, self.stdin, tty).await
    }
}
