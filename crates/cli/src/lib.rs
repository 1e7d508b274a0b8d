//! keelctl, the command line of Keelson.
//!
//! [`Arguments`] is the whole command line; [`run`] does what it says and returns the exit code: 0, 1 after an error, 2
//! when the command line itself is wrong. Everything goes through the gRPC API, by [`keelson_client`]; nothing here knows
//! the store. What is printed is made by pure functions in [`render`] and beside the commands.

mod arguments;
mod commands;
mod config;
mod context;
mod error;
mod follow;
mod kinds;
mod manifest;
mod pod;
mod render;
mod sessions;
mod target;

use std::process::ExitCode;

pub use arguments::Arguments;
pub use error::Error;

use context::Context;

/// Does what the command line says.
pub async fn run(arguments: Arguments) -> ExitCode {
    let mut context = Context::new(&arguments);
    let result = commands::run(arguments, &mut context).await;
    let failed = match result {
        Ok(()) => context.failed(),
        // Whoever read our output has seen enough.
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => None,
        Err(error) => {
            context.report(&error);
            Some(error.exit_code())
        }
    };
    failed.map_or(ExitCode::SUCCESS, ExitCode::from)
}
