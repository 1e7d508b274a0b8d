//! The endpoints and the way from one to the next.
//!
//! One lazily connected HTTP/2 channel an endpoint. A request goes to the endpoint that answered last; when that one
//! cannot serve it the next is tried, in a ring. What may be tried again depends on what the request does: a read may
//! always be, a write only while it surely was not done.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::backoff::Backoff;
use crate::error::{Refusal, decode, refusal};
use crate::{Error, Options};

/// A member that does not accept a connection, TLS included, for so long counts as dead.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// With the timeout below: a member that stops answering is noticed in about a second, also by open watches. The timeout
/// leaves room for a busy machine, since a write that was on its way ends as unknown.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(400);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(800);
/// How long a read waits for one member when others are left to ask.
const READ_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two rounds over all endpoints: an election takes a few hundred milliseconds.
const ROUND_BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
/// A stream's and a connection's receive windows: large lists and initial watches are not slowed by round trips, and one
/// stream that is not read holds at most the first.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// A message that the API may send: a batch of objects (8 MiB) with room for its envelope.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Whether doing the request twice is the same as doing it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safety {
    Read,
    /// A read whose attempt watches its own time, because it may rightly take long.
    LongRead,
    Write,
}

pub(crate) struct Transport {
    endpoints: Vec<(String, Channel)>,
    /// Index of the endpoint that answered last.
    preferred: AtomicUsize,
    request_timeout: Duration,
    unreachable_timeout: Duration,
}

impl Transport {
    /// Connects to nothing yet. Must be called inside a tokio runtime.
    pub fn new(options: &Options) -> Result<Self, Error> {
        if options.endpoints.is_empty() {
            return Err(Error::Endpoint { endpoint: String::new(), detail: "no endpoint is given".to_owned() });
        }
        let endpoints =
            options.endpoints.iter().map(|endpoint| connect(endpoint, options)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            endpoints,
            preferred: AtomicUsize::new(0),
            request_timeout: options.request_timeout,
            unreachable_timeout: options.unreachable_timeout.min(options.request_timeout),
        })
    }

    /// The endpoints, comma-separated, for messages.
    pub fn addresses(&self) -> String {
        let addresses: Vec<&str> = self.endpoints.iter().map(|(address, _)| address.as_str()).collect();
        addresses.join(", ")
    }

    /// Runs `attempt` on one endpoint after another until one answers or the time is up.
    pub async fn call<T, F>(&self, safety: Safety, attempt: impl Fn(Channel) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, tonic::Status>>,
    {
        let started = Instant::now();
        let deadline = started + self.request_timeout;
        let mut reached = false;
        let mut last;
        let mut round = 0;
        loop {
            let first = self.preferred.load(Ordering::Relaxed);
            let mut retry_after = Duration::ZERO;
            last = None;
            for offset in 0..self.endpoints.len() {
                let index = (first + offset) % self.endpoints.len();
                let (address, channel) = &self.endpoints[index];
                let until = match safety {
                    Safety::Read if self.endpoints.len() > 1 => deadline.min(Instant::now() + READ_ATTEMPT_TIMEOUT),
                    Safety::Read | Safety::LongRead | Safety::Write => deadline,
                };
                let status = match tokio::time::timeout_at(until, attempt(channel.clone())).await {
                    Ok(Ok(value)) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(value);
                    }
                    Ok(Err(status)) => status,
                    Err(_) if safety == Safety::Write => {
                        return Err(Error::Unknown { detail: format!("{address} did not answer in time") });
                    }
                    Err(_) => tonic::Status::deadline_exceeded(format!("{address} did not answer in time")),
                };
                match (refusal(&status), safety) {
                    (Refusal::Final, _) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Err(Error::Api(decode(&status)));
                    }
                    (Refusal::Unknown, Safety::Write) => {
                        self.prefer_after(index);
                        return Err(Error::Unknown { detail: format!("{address}: {}", status.message()) });
                    }
                    (Refusal::Unreachable, _) => {}
                    (Refusal::NotDone | Refusal::Unknown, _) => {
                        reached = true;
                        let details = decode(&status).details;
                        let seconds = details.map_or(0, |details| details.retry_after_seconds);
                        retry_after = retry_after.max(Duration::from_secs(seconds.into()));
                    }
                }
                tracing::debug!(endpoint = %address, code = ?status.code(), message = status.message(), "next endpoint");
                last = Some(status);
            }
            let give_up = if reached { deadline } else { started + self.unreachable_timeout };
            let resume = Instant::now() + ROUND_BACKOFF.delay(round, rand::random()).max(retry_after);
            if resume >= give_up {
                return Err(Error::Unavailable { endpoints: self.addresses(), source: last });
            }
            tokio::time::sleep_until(resume).await;
            round = round.saturating_add(1);
        }
    }

    /// The next request starts behind the endpoint that just broke.
    fn prefer_after(&self, index: usize) {
        let next = (index + 1) % self.endpoints.len();
        let _moved = self.preferred.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Told by a stream that broke after it had been opened: do not start with that member again.
    pub fn broken(&self) {
        self.prefer_after(self.preferred.load(Ordering::Relaxed));
    }
}

fn connect(address: &str, options: &Options) -> Result<(String, Channel), Error> {
    let invalid = |detail: String| Error::Endpoint { endpoint: address.to_owned(), detail };
    let uri = match (address.contains("://"), &options.tls) {
        (true, _) => address.to_owned(),
        (false, Some(_)) => format!("https://{address}"),
        (false, None) => format!("http://{address}"),
    };
    let mut endpoint = Endpoint::from_shared(uri)
        .and_then(|endpoint| endpoint.user_agent(options.user_agent.clone()))
        .map_err(|error| invalid(error.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(false)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    if endpoint.uri().host().is_none() || endpoint.uri().port_u16().is_none() {
        return Err(invalid("expected host:port".to_owned()));
    }
    if let Some(tls) = &options.tls {
        let mut config =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.ca_pem)).timeout(CONNECT_TIMEOUT);
        if !tls.cert_pem.is_empty() {
            config = config.identity(Identity::from_pem(&tls.cert_pem, &tls.key_pem));
        }
        endpoint = endpoint.tls_config(config).map_err(|source| Error::Tls { source })?;
    }
    Ok((address.to_owned(), endpoint.connect_lazy()))
}
