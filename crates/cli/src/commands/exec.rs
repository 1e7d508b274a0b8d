//! `exec`: a command in a container.

use clap::Args;
use keelson_client::proto;

use super::logs::choose_container;
use crate::Error;
use crate::context::Context;
use crate::render::text;
use crate::{pod, sessions};

const EXAMPLES: &str = "\
Examples:
  keelctl exec web-1 -- date
  keelctl exec -it deployment/web -c main -- sh
  keelctl exec -i web-1 -- tar xmf - -C /tmp < archive.tar";

/// Run a command in a container
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Exec {
    #[command(flatten)]
    joined: Joined,

    /// The command, after --
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let session = self.joined.session(context).await?;
        let (stdin, tty) = (session.stdin, session.tty);
        let start = proto::ExecStart { session: Some(session), command: self.command };
        let opened = context.client()?.pods_exec(start).await?;
        sessions::run(context, opened, stdin, tty).await
    }
}

/// A container, and how a session with it looks from here.
#[derive(Debug, Args)]
pub(super) struct Joined {
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

impl Joined {
    /// What to ask for. A terminal is used only when there is one.
    pub(super) async fn session(&self, context: &mut Context) -> Result<proto::SessionStart, Error> {
        let there = self.stdin && sessions::is_terminal();
        if self.tty && self.stdin && !there {
            context.note("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
        let tty = self.tty && (there || !self.stdin);
        start(&self.pod, self.container.as_deref(), (self.stdin, tty), context).await
    }
}

/// Which container of which pod, with which streams.
pub(super) async fn start(
    name: &str,
    container: Option<&str>,
    (stdin, tty): (bool, bool),
    context: &mut Context,
) -> Result<proto::SessionStart, Error> {
    let pod = pod::find(name, context).await?;
    let phase = text(&pod["status"]["phase"]);
    if matches!(phase.as_str(), "Succeeded" | "Failed") {
        return Err(Error::Failed(format!(
            "cannot exec into a container in a completed pod; current phase is {phase}"
        )));
    }
    let container = match container {
        Some(container) => container.to_owned(),
        None => {
            let (container, others) = choose_container(&pod);
            if others > 0 {
                context.note(format!("Defaulted container {container:?}; -c chooses one of {others} others."));
            }
            container
        }
    };
    Ok(proto::SessionStart {
        namespace: text(&pod["metadata"]["namespace"]),
        pod: text(&pod["metadata"]["name"]),
        container,
        stdin,
        stdout: true,
        stderr: !tty,
        tty,
    })
}
