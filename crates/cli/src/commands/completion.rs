//! `completion`: a script for the shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::context::Context;
use crate::{Arguments, Error};

const EXAMPLES: &str = "\
Examples:
  source <(keelctl completion bash)
  keelctl completion zsh > ~/.zfunc/_keelctl
  keelctl completion fish > ~/.config/fish/completions/keelctl.fish";

/// Print a script that completes keelctl's commands in a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completion {
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

impl Completion {
    pub fn run(self, context: &mut Context) -> Result<(), Error> {
        let shell: Shell = self.shell.parse().map_err(Error::Usage)?;
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "keelctl", &mut script);
        context.bytes(&script)
    }
}
