//! keelctl.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = keelson_cli::Arguments::parse();
    // One thread does: a command waits for the network, and little else.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(keelson_cli::run(arguments)),
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}
