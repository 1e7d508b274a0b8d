//! `attach`: the input and output of a container's own process.

use clap::Args;

use super::exec::Joined;
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
    #[command(flatten)]
    joined: Joined,
}

impl Attach {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let session = self.joined.session(context).await?;
        let (stdin, tty) = (session.stdin, session.tty);
        let opened = context.client()?.pods_attach(session).await?;
        sessions::run(context, opened, stdin, tty).await
    }
}
