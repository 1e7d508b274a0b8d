//! Lets what is ready at the same time leave a connection together.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// A connection's future that, when it is woken, first lets everything run that can run already.
///
/// Each stream of a connection is a task, and wakes the connection when it has a frame to send. The runtime would run the
/// connection at once and so write one frame at a time, with a system call and a segment for each: what a commit
/// answers, and what an event brings to the watches of a connection, are dozens of frames that are ready together.
/// Waking itself puts the connection behind them. When nothing else can run, that costs a look at an empty queue.
///
/// A runtime of several workers would wake another one for what one puts back, to take the connection from it: there it is
/// left as it is.
pub(super) struct Batched<F> {
    connection: Pin<Box<F>>,
    stands_back: bool,
    stood_back: bool,
}

impl<F> Batched<F> {
    /// On a tokio runtime.
    pub(super) fn new(connection: F) -> Self {
        let stands_back = Handle::current().metrics().num_workers() == 1;
        Self { connection: Box::pin(connection), stands_back, stood_back: false }
    }
}

impl<F: Future> Future for Batched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.stood_back = self.stands_back && !self.stood_back;
        if self.stood_back {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.connection.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::task::AtomicWaker;
    use parking_lot::Mutex;

    use super::*;

    const STREAMS: usize = 10;

    /// Takes all frames that are there, and ends with the last.
    struct Connection {
        frames: Arc<Mutex<Vec<usize>>>,
        waker: Arc<AtomicWaker>,
        written: Vec<usize>,
    }

    impl Future for Connection {
        type Output = Vec<usize>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<usize>> {
            self.waker.register(context.waker());
            let ready = std::mem::take(&mut *self.frames.lock()).len();
            if ready > 0 {
                self.written.push(ready);
            }
            let all = self.written.iter().sum::<usize>() == STREAMS;
            if all { Poll::Ready(std::mem::take(&mut self.written)) } else { Poll::Pending }
        }
    }

    /// How many frames each write had, of streams that are ready at the same time.
    fn writes<F>(wrap: impl FnOnce(Connection) -> F + Send + 'static) -> Vec<usize>
    where
        F: Future<Output = Vec<usize>> + Send + 'static,
    {
        // One worker, as in a member on a small machine.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let outcome = runtime.block_on(async {
            let all = tokio::spawn(async move {
                let (frames, waker) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicWaker::new()));
                let connection = Connection { frames: frames.clone(), waker: waker.clone(), written: Vec::new() };
                let connection = tokio::spawn(wrap(connection));
                for stream in 0..STREAMS {
                    let (frames, waker) = (frames.clone(), waker.clone());
                    tokio::spawn(async move {
                        frames.lock().push(stream);
                        waker.wake();
                    });
                }
                connection.await.expect("no panic")
            });
            all.await
        });
        outcome.expect("no panic")
    }

    #[test]
    fn frames_that_are_ready_together_are_written_together() {
        assert_eq!(writes(Batched::new), [STREAMS]);
        assert!(writes(|connection| connection).len() > 1, "the runtime does it by itself now: this wrapper is idle");
    }
}
