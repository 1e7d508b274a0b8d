//! A session between a client of any protocol and its container: two pumps, one each way, until the container's side is over or the
//! client is gone.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use keelson_sessions::{Channel, Frame, Outcome};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::outcome;
use crate::node_tunnel::{Reader, Writer};
use crate::pipeline::PodSession;

/// A session in which nothing moves for so long is ended, as a kubelet does.
const IDLE_MAX: Duration = Duration::from_secs(4 * 3600);
/// So often something is written to a client, which fails some time after it died.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long a client may take to read the end of a session and go.
pub(super) const FAREWELL_MAX: Duration = Duration::from_secs(10);

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Stdin(Bytes),
    /// Nothing follows on standard input.
    StdinLast,
    Resize {
        columns: u32,
        rows: u32,
    },
}

/// The client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// The half of a client that speaks.
pub(super) trait Source: Send {
    /// What it says next; None when it went away. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Option<Said>> + Send;
}

/// The half of a client that listens.
pub(super) trait Sink: Send {
    /// Waits while the client does not read.
    fn write(&mut self, channel: Channel, data: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Writes something that means nothing.
    fn ping(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Tells how it ended, by the text of a Status.
    fn finish(&mut self, status: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// A client, whichever protocol it speaks.
pub(super) trait Client: Send {
    type Source: Source;
    type Sink: Sink;
    /// What remains to be done when all is told: to see it off.
    type Rest: Future<Output = ()> + Send;

    fn split(self) -> (Self::Source, Self::Sink, Self::Rest);
}

/// Runs the session to its end.
pub(super) async fn run<C: Client>(client: C, session: PodSession) {
    let PodSession { session, shutdown, place } = session;
    let (mut source, mut sink, rest) = client.split();
    let moved = Arc::new(Mutex::new(Instant::now()));
    let told = {
        let input = listen(&mut source, &session.writer, &moved);
        let output = tell(session.reader, &mut sink, &moved);
        tokio::select! {
            outcome = output => Some(outcome),
            () = input => None,
            () = idle(&moved) => Some(Ok(Outcome::Failed("nothing was said for four hours".to_owned()))),
            () = shutdown.cancelled() => Some(Ok(Outcome::Failed("this member is stopping; connect again".to_owned()))),
        }
    };
    // The container's side ends with it.
    drop(session.writer);
    if let Some(Ok(outcome)) = told {
        let farewell = async {
            if sink.finish(outcome::status(&outcome)).await.is_ok() {
                drop(sink);
                let until_gone = async { while source.next().await.is_some() {} };
                tokio::join!(until_gone, rest);
            }
        };
        let _ = tokio::time::timeout(FAREWELL_MAX, farewell).await;
    }
    drop(place);
}

/// Returns when the client is gone.
async fn listen(source: &mut impl Source, writer: &Writer, moved: &Mutex<Instant>) {
    while let Some(said) = source.next().await {
        *moved.lock() = Instant::now();
        let taken = match said {
            Said::Stdin(data) => writer.data(Channel::Stdin, data).await,
            Said::StdinLast => writer.last(Channel::Stdin).await,
            Said::Resize { columns, rows } => writer.resize(columns, rows).await,
        };
        if taken.is_err() {
            // The container's side is over, which the other pump tells.
            std::future::pending::<()>().await;
        }
    }
}

/// Returns when the container's side is over.
async fn tell(mut reader: Reader, sink: &mut impl Sink, moved: &Mutex<Instant>) -> Result<Outcome, Gone> {
    loop {
        let frame = tokio::select! {
            frame = reader.next() => frame,
            () = silence(sink) => return Err(Gone),
        };
        match frame {
            Some(Ok(Frame::Data(channel, data))) => sink.write(channel, data).await?,
            Some(Ok(Frame::Last(_) | Frame::Resize { .. })) => {}
            Some(Ok(Frame::End(outcome))) => return Ok(outcome),
            Some(Err(status)) => return Ok(Outcome::Failed(status.message)),
            None => return Ok(Outcome::Failed("the session is over".to_owned())),
        }
        *moved.lock() = Instant::now();
    }
}

/// Keeps a sign of life going while there is nothing else to write; returns when the client is gone.
async fn silence(sink: &mut impl Sink) {
    loop {
        tokio::time::sleep(PING_INTERVAL).await;
        if sink.ping().await.is_err() {
            return;
        }
    }
}

async fn idle(moved: &Mutex<Instant>) {
    loop {
        let until = *moved.lock() + IDLE_MAX;
        if until <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_tunnel::Tunnels;
    use keelson_proto::keelson::node::v1::session_open::What;
    use keelson_proto::keelson::node::v1::{Announce, Exec, TunnelRequest, tunnel_request};

    /// A client that dies after some pings.
    struct Dying {
        left: u32,
    }

    impl Sink for Dying {
        async fn write(&mut self, _: Channel, _: Bytes) -> Result<(), Gone> {
            Ok(())
        }

        async fn ping(&mut self) -> Result<(), Gone> {
            self.left = self.left.checked_sub(1).ok_or(Gone)?;
            Ok(())
        }

        async fn finish(&mut self, _: Bytes) -> Result<(), Gone> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_dead_is_noticed_though_nothing_is_said() {
        let tunnels = Tunnels::default();
        let (tunnel, _outgoing) = tunnels.open();
        let announce = Announce { nodes: vec!["a".to_owned()] };
        let announced = TunnelRequest { message: Some(tunnel_request::Message::Announce(announce)) };
        tunnels.receive(&tunnel, announced).expect("announces");
        let session = tunnels.session("a", What::Exec(Exec::default())).expect("opens");
        let before = Instant::now();
        let told = tell(session.reader, &mut Dying { left: 3 }, &Mutex::new(before)).await;
        assert_eq!(told, Err(Gone));
        assert_eq!(before.elapsed().as_secs(), 4 * PING_INTERVAL.as_secs());
    }
}
