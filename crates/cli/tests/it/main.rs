//! The program as people run it: arguments in, text and exit code out, against a small API in this process.

mod api;
mod custom;
mod objects;
mod top;
mod trouble;
mod verbs;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What a run left behind.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs keelctl with nothing of this machine's configuration.
async fn keelctl(api: Option<SocketAddr>, arguments: &[&str], input: &str) -> Run {
    keelctl_with(api, arguments, input, &[]).await
}

/// The same with some variables.
async fn keelctl_with(api: Option<SocketAddr>, arguments: &[&str], input: &str, variables: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keelctl"));
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    if let Some(api) = api {
        command.env("KEELCTL_ENDPOINTS", api.to_string());
    }
    let mut child = command.spawn().expect("keelctl starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that reads nothing closes its end.
    let _unread = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(Duration::from_secs(120), child.wait_with_output()).await;
    let output = output.expect("keelctl ends").expect("its output is read");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}
