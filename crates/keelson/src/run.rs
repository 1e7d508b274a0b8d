//! What the long-running commands share: the runtime, the log, and the signals that end them.

use std::future::Future;
use std::num::NonZeroUsize;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Huge pages behind memory of which little is used made an idle member a third larger, and nothing faster.
fn small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory may be backed by huge pages");
    }
}

/// Starts a runtime of its own for a part that the others must not keep waiting.
///
/// # Errors
/// When the operating system refuses a thread.
pub fn runtime(part: &str, threads: NonZeroUsize) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().worker_threads(threads.get()).thread_name(part);
    builder.build().with_context(|| format!("cannot start the runtime of the {part}"))
}

/// Runs a service until it ends or the process is told to end by SIGTERM or SIGINT. The first signal asks for a graceful
/// end; a second one ends at once.
///
/// # Errors
/// With the service's own error.
pub fn until_signalled<F>(service: impl FnOnce(CancellationToken) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let filter = EnvFilter::try_from_env("KEELSON_LOG").unwrap_or_else(|_| EnvFilter::new("info,openraft=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    small_pages();
    let runtime = Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut interrupted = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
        let signals = {
            let shutdown = shutdown.clone();
            async move {
                loop {
                    tokio::select! {
                        _ = terminated.recv() => {}
                        _ = interrupted.recv() => {}
                    }
                    if shutdown.is_cancelled() {
                        tracing::warn!("told to end a second time: ending at once");
                        std::process::exit(1);
                    }
                    tracing::info!("told to end");
                    shutdown.cancel();
                }
            }
        };
        let signals = tokio::spawn(signals);
        let done = service(shutdown).await;
        signals.abort();
        done
    })
}
