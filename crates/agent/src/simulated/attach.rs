//! Joining a simulated container's own process: what it writes, and what it answers to its input.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keelson_sessions::{Channel, Frame, Outcome};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::machine::Machine;
use super::{TICK, after, alive_line};
use crate::runtime::Io;

/// A line of input that is longer is answered in pieces.
const LINE_BYTES_MAX: usize = 4096;
/// What a terminal sends for Ctrl-C and Ctrl-D; a client without a terminal ends the session itself.
const LEAVE: [u8; 2] = [3, 4];

/// How long a client may take to read what was said before the end.
const FAREWELL_MAX: Duration = Duration::from_secs(10);

/// Goes on until the container is over or the client leaves.
pub async fn run(machine: Arc<Machine>, io: Io) -> Outcome {
    let mut said = machine.listen();
    let output = io.stdout.then(|| io.output.clone());
    let end = if io.tty { "\r\n" } else { "\n" };
    // Set while the client has not taken it.
    let mut unsent = None;
    tokio::select! {
        biased;
        // Also while the client does not read.
        () = machine.over.cancelled() => {}
        () = live(&machine, io, &mut said, &mut unsent) => return Outcome::Exited(0),
    }
    if let Some(output) = output {
        let rest = std::iter::from_fn(|| next_said(said.try_recv()));
        let rest: String = unsent.into_iter().chain(rest).map(|text| format!("{text}{end}")).collect();
        let _ = tokio::time::timeout(FAREWELL_MAX, output.data(Channel::Stdout, rest.into())).await;
    }
    Outcome::Exited(machine.code())
}

/// A line, or how many are missing; None when there is nothing more.
fn next_said(said: Result<String, TryRecvError>) -> Option<String> {
    match said {
        Ok(text) => Some(text),
        Err(TryRecvError::Lagged(lines)) => Some(left_out(lines)),
        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
    }
}

fn left_out(lines: u64) -> String {
    format!("({lines} lines were left out)")
}

/// Returns when the client leaves.
async fn live(machine: &Machine, io: Io, said: &mut broadcast::Receiver<String>, unsent: &mut Option<String>) {
    let Io { mut input, output, stdin, stdout, tty, .. } = io;
    let mut line = Vec::new();
    let mut now = Timestamp::now();
    let end = if tty { "\r\n" } else { "\n" };
    loop {
        let ticks = now.duration_since(machine.since).unsigned_abs().as_secs() / TICK.as_secs() + 1;
        let tick_at = after(machine.since, TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)));
        let pause = Duration::try_from(tick_at.duration_since(now)).unwrap_or_default();
        let text = tokio::select! {
            () = tokio::time::sleep(pause) => {
                now = tick_at;
                Some(alive_line(ticks))
            }
            text = said.recv() => match text {
                Ok(text) => Some(text),
                Err(RecvError::Lagged(lines)) => Some(left_out(lines)),
                Err(RecvError::Closed) => None,
            },
            frame = input.next() => match frame {
                Some(Frame::Data(_, data)) if stdin => {
                    for &byte in data.iter() {
                        if tty && LEAVE.contains(&byte) {
                            return;
                        }
                        let ends = byte == b'\n' || (tty && byte == b'\r');
                        if !ends {
                            line.push(byte);
                        }
                        if ends || line.len() == LINE_BYTES_MAX {
                            let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                            machine.say(format!("read from standard input: {text}"), Timestamp::now());
                        }
                    }
                    None
                }
                Some(Frame::End(_)) | None => return,
                Some(_) => None,
            },
        };
        *unsent = text.filter(|_| stdout);
        if let Some(text) = &*unsent
            && output.data(Channel::Stdout, format!("{text}{end}").into()).await.is_err()
        {
            return;
        }
        *unsent = None;
    }
}
