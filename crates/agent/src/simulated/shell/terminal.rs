//! A client's input on its way to a command. A terminal's is echoed, can be edited within a line, and Ctrl-C interrupts.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use keelson_proto::keelson::node::v1::TunnelRequest;
use keelson_sessions::{Channel, Frame, Receiver};
use tokio::sync::{Notify, mpsc};

use super::io::Output;

/// Pieces of input that the command has not read.
const QUEUE_MAX: usize = 4;
/// Lines of a terminal that the command has not read; further ones are dropped, as a terminal's driver does.
const LINES_MAX: usize = 256;
/// The longest line of a terminal; what is typed beyond is dropped.
const LINE_BYTES_MAX: usize = 4096;

/// The pump to run beside the command, what it delivers, and its interruptions. The pump ends when the client is gone.
pub fn pump(
    frames: Receiver<TunnelRequest>,
    wanted: bool,
    echo: Option<Output>,
) -> (impl Future<Output = ()>, mpsc::Receiver<Bytes>, Arc<Notify>) {
    let (sender, receiver) = mpsc::channel(if echo.is_some() { LINES_MAX } else { QUEUE_MAX });
    let interrupt = Arc::new(Notify::new());
    let pump = run(frames, wanted.then_some(sender), echo, interrupt.clone());
    (pump, receiver, interrupt)
}

async fn run(
    mut frames: Receiver<TunnelRequest>,
    mut sender: Option<mpsc::Sender<Bytes>>,
    echo: Option<Output>,
    interrupt: Arc<Notify>,
) {
    let mut line = Line::default();
    loop {
        match frames.next().await {
            Some(Frame::Data(Channel::Stdin, data)) => {
                let Some(to) = &sender else { continue };
                let Some(echo) = &echo else {
                    // A command that reads no more leaves the rest unread.
                    let _ = to.send(data).await;
                    continue;
                };
                let Typed { shown, lines, interrupted, ended } = line.type_in(&data);
                let _ = echo.write(shown).await;
                for line in lines {
                    // Not to wait, so that Ctrl-C is seen while the command does not read.
                    let _ = to.try_send(line);
                }
                if interrupted {
                    interrupt.notify_waiters();
                }
                if ended {
                    sender = None;
                }
            }
            Some(Frame::Last(_)) => sender = None,
            Some(Frame::Data(..) | Frame::Resize { .. }) => {}
            Some(Frame::End(_)) | None => return,
        }
    }
}

/// The line that is being typed.
#[derive(Default)]
struct Line {
    text: Vec<u8>,
    after_return: bool,
}

/// What some typing makes.
#[derive(Default)]
struct Typed {
    shown: Vec<u8>,
    lines: Vec<Bytes>,
    interrupted: bool,
    ended: bool,
}

impl Line {
    fn type_in(&mut self, keys: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for &key in keys {
            let after_return = std::mem::take(&mut self.after_return);
            match key {
                b'\n' if after_return => {}
                b'\r' | b'\n' => {
                    self.after_return = key == b'\r';
                    typed.shown.push(b'\n');
                    self.text.push(b'\n');
                    typed.lines.push(std::mem::take(&mut self.text).into());
                }
                3 => {
                    typed.shown.extend_from_slice(b"^C\n");
                    self.text.clear();
                    typed.interrupted = true;
                }
                4 => typed.ended |= self.text.is_empty(),
                8 | 127 if self.text.pop().is_some() => typed.shown.extend_from_slice(b"\x08 \x08"),
                b'\t' | 32.. if self.text.len() < LINE_BYTES_MAX => {
                    self.text.push(key);
                    typed.shown.push(key);
                }
                _ => {}
            }
        }
        typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keelson_proto::keelson::node::v1::session_frame::Frame as Wire;
    use keelson_proto::keelson::node::v1::tunnel_request::Message;
    use keelson_proto::keelson::node::v1::{Data, SessionFrame};
    use keelson_sessions::Sessions;

    #[test]
    fn lines_are_echoed_and_edited() {
        let mut line = Line::default();
        let typed = line.type_in(b"lx\x7fs\r\nid\x03e");
        assert_eq!(typed.lines, [Bytes::from_static(b"ls\n")]);
        assert!(typed.interrupted && !typed.ended);
        assert_eq!(typed.shown, b"lx\x08 \x08s\nid^C\ne");
        assert!(!line.type_in(b"\x04").ended, "only at the beginning of a line");
        assert_eq!(line.type_in(b"cho\n").lines, [Bytes::from_static(b"echo\n")]);
        assert!(line.type_in(b"\x04").ended);
    }

    #[tokio::test]
    async fn ctrl_c_is_seen_while_nobody_reads() {
        let (outgoing, _kept) = mpsc::channel(1);
        let sessions = Sessions::new(outgoing, |frame| TunnelRequest { message: Some(Message::Frame(frame)) }, 1);
        let (_sender, frames) = sessions.open(1).expect("opens");
        for keys in ["ls\n".repeat(2 * LINES_MAX), "\x03".to_owned()] {
            let data = Data { stream: 1, data: keys.into(), last: false };
            sessions.receive(SessionFrame { session_id: 1, frame: Some(Wire::Data(data)) });
        }
        let (pump, _unread, interrupt) = pump(frames, true, Some(Output::Nowhere));
        let interrupted = async {
            tokio::select! {
                () = pump => panic!("the client is still there"),
                () = interrupt.notified() => {}
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(120), interrupted).await.expect("is interrupted");
    }
}
