//! Commands in a simulated container: a handful of programs, and a shell to combine them.

mod archive;
mod commands;
mod io;
mod script;
mod terminal;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use keelson_sessions::{Channel, Outcome};

use super::KILLED;
use super::machine::Machine;
use crate::runtime::Io;
use io::{Input, Output, Streams};
use script::Shell;

/// Where programs are, for those who say so.
const FOLDERS: [&str; 3] = ["/bin/", "/usr/bin/", "/usr/local/bin/"];
const SHELLS: [&str; 3] = ["sh", "bash", "ash"];

/// Whether there is such a program.
///
/// # Errors
/// In a runtime's words.
pub fn find(command: &[String]) -> Result<(), String> {
    let name = command.first().map_or("", String::as_str);
    if program(name).is_some() {
        return Ok(());
    }
    let why = if name.contains('/') { "no such file or directory" } else { "executable file not found in $PATH" };
    Err(format!("failed to exec in container: unable to start container process: exec: {name:?}: {why}"))
}

/// The program's plain name, if there is one.
fn program(name: &str) -> Option<&str> {
    let plain = FOLDERS.iter().find_map(|folder| name.strip_prefix(folder)).unwrap_or(name);
    (SHELLS.contains(&plain) || commands::exists(plain)).then_some(plain)
}

/// Runs a command to its end, or to the container's.
pub async fn run(machine: Arc<Machine>, command: Vec<String>, io: Io) -> Outcome {
    let Io { input, output, stdin, stdout, stderr, tty } = io;
    let out = |wanted, channel| match wanted {
        true => Output::Session { sender: output.clone(), channel, tty },
        false => Output::Nowhere,
    };
    let stdout = out(stdout, Channel::Stdout);
    // A terminal has one output.
    let stderr = if tty { stdout.clone() } else { out(stderr, Channel::Stderr) };
    let (pump, stdin, interrupt) = terminal::pump(input, stdin, tty.then(|| stdout.clone()));
    let mut shell = Shell::new(machine.clone());
    let mut streams = Streams { stdin: Input::session(stdin), stdout, stderr };
    let run = async {
        match command.as_slice() {
            [name] if program(name).is_some_and(|name| SHELLS.contains(&name)) => {
                shell.interact(&mut streams, tty, &interrupt).await
            }
            _ => tokio::select! {
                code = shell.command(&command, &mut streams) => code,
                () = interrupt.notified() => script::INTERRUPTED,
            },
        }
    };
    tokio::select! {
        code = run => Outcome::Exited(code),
        () = pump => Outcome::Exited(KILLED),
        () = machine.over.cancelled() => Outcome::Exited(KILLED),
    }
}
