//! Joining a simulated container's own process: what it writes, and what it answers to its input.

use std::sync::Arc;

use jiff::Timestamp;
use keelson_sessions::{Channel, Frame, Outcome};
use tokio::sync::broadcast::error::RecvError;

use super::machine::Machine;
use super::{KILLED, TICK, after, alive_line};
use crate::runtime::Io;

/// A line of input that is longer is answered in pieces.
const LINE_BYTES_MAX: usize = 4096;
/// What a terminal sends for Ctrl-C and Ctrl-D; a client without a terminal ends the session itself.
const LEAVE: [u8; 2] = [3, 4];

/// Goes on until the container is over or the client leaves.
pub async fn run(machine: Arc<Machine>, io: Io) -> Outcome {
    let Io { mut input, output, stdin, stdout, tty, .. } = io;
    let mut said = machine.listen();
    let mut line = Vec::new();
    let mut now = Timestamp::now();
    let end = if tty { "\r\n" } else { "\n" };
    loop {
        let ticks = now.duration_since(machine.since).unsigned_abs().as_secs() / TICK.as_secs() + 1;
        let tick_at = after(machine.since, TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX)));
        let pause = std::time::Duration::try_from(tick_at.duration_since(now)).unwrap_or_default();
        let text = tokio::select! {
            () = tokio::time::sleep(pause) => {
                now = tick_at;
                Some(alive_line(ticks))
            }
            text = said.recv() => match text {
                Ok(text) => Some(text),
                Err(RecvError::Lagged(lines)) => Some(format!("({lines} lines were left out)")),
                Err(RecvError::Closed) => None,
            },
            frame = input.next() => match frame {
                Some(Frame::Data(_, data)) if stdin => {
                    for &byte in data.iter() {
                        if tty && LEAVE.contains(&byte) {
                            return Outcome::Exited(0);
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
                Some(Frame::End(_)) | None => return Outcome::Exited(0),
                Some(_) => None,
            },
            () = machine.over.cancelled() => return Outcome::Exited(KILLED),
        };
        if let Some(text) = text
            && stdout
            && output.data(Channel::Stdout, format!("{text}{end}").into()).await.is_err()
        {
            return Outcome::Exited(0);
        }
    }
}
