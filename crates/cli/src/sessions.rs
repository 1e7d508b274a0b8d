//! A session between this terminal and a container.

use std::io::Read as _;

use bytes::Bytes;
use keelson_client::{SessionEvent, SessionInput, SessionOutput};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::Error;
use crate::context::Context;

/// Pieces of standard input that the member has not taken.
const QUEUE_MAX: usize = 4;
const READ_BYTES: usize = 16 << 10;

/// Carries input and output until the session ends, then tells its exit code as an error.
pub(crate) async fn run(
    context: &mut Context,
    (input, mut output): (SessionInput, SessionOutput),
    stdin: bool,
    tty: bool,
) -> Result<(), Error> {
    // Restored when this returns. While nobody reads the keys, they stay with the terminal: Ctrl-C ends the command.
    let _raw = if tty && stdin { RawTerminal::enter() } else { None };
    let sending = send(input, stdin, tty);
    tokio::pin!(sending);
    let mut sent = false;
    loop {
        let event = tokio::select! {
            event = output.next() => event?,
            () = &mut sending, if !sent => {
                sent = true;
                continue;
            }
        };
        match event {
            Some(SessionEvent::Stdout(data)) => context.bytes(&data)?,
            Some(SessionEvent::Stderr(data)) => context.error_bytes(&data)?,
            Some(SessionEvent::End(result)) if !result.error.is_empty() => return Err(Error::Failed(result.error)),
            Some(SessionEvent::End(result)) if result.exit_code != 0 => return Err(Error::Exited(result.exit_code)),
            Some(SessionEvent::End(_)) => return Ok(()),
            None => return Err(Error::Failed("the session broke off".to_owned())),
        }
    }
}

async fn send(input: SessionInput, stdin: bool, tty: bool) {
    let mut pieces = stdin.then(read_stdin);
    let mut resized = if tty { signal(SignalKind::window_change()).ok() } else { None };
    if tty && let Some((columns, rows)) = terminal_size() {
        input.resize(columns, rows).await;
    }
    loop {
        tokio::select! {
            piece = next(&mut pieces), if pieces.is_some() => match piece {
                Some(data) => input.stdin(data).await,
                None => {
                    input.stdin_end().await;
                    pieces = None;
                }
            },
            () = changed(&mut resized), if resized.is_some() => {
                if let Some((columns, rows)) = terminal_size() {
                    input.resize(columns, rows).await;
                }
            }
            else => break,
        }
    }
    // The session goes on without further input.
    std::future::pending::<()>().await;
}

async fn next(pieces: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    pieces.as_mut()?.recv().await
}

async fn changed(signal: &mut Option<tokio::signal::unix::Signal>) {
    if let Some(signal) = signal {
        signal.recv().await;
    }
}

/// By a thread of its own, which ends with the process: a read of a terminal cannot be called off.
pub(crate) fn read_stdin() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    std::thread::spawn(move || {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(length @ 1..) = std::io::stdin().read(&mut buffer) {
            if sender.blocking_send(Bytes::copy_from_slice(&buffer[..length])).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Whether standard input is a terminal.
pub(crate) fn is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
}

fn terminal_size() -> Option<(u32, u32)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdin()).ok()?;
    Some((size.ws_col.into(), size.ws_row.into()))
}

/// The terminal passes keys on as they are; what was before comes back when it is dropped.
struct RawTerminal {
    before: rustix::termios::Termios,
}

impl RawTerminal {
    fn enter() -> Option<RawTerminal> {
        let before = rustix::termios::tcgetattr(rustix::stdio::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(rustix::stdio::stdin(), rustix::termios::OptionalActions::Now, &raw).ok()?;
        Some(RawTerminal { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let now = rustix::termios::OptionalActions::Now;
        let _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), now, &self.before);
    }
}
