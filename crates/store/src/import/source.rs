//! The store that is imported: asked by etcd's API, at whichever of its endpoints answers.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use keelson_proto::etcdserverpb::auth_client::AuthClient;
use keelson_proto::etcdserverpb::kv_client::KvClient;
use keelson_proto::etcdserverpb::lease_client::LeaseClient;
use keelson_proto::etcdserverpb::{
    AuthenticateRequest, LeaseLeasesRequest, LeaseLeasesResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
    RangeRequest, RangeResponse,
};
use parking_lot::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::{Error, Options};

/// The largest answer that is received. Pages are asked for far below it; a single pair may be as large.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
/// Everything from the first key that there can be.
pub(super) const ALL: &[u8] = b"\0";

pub(super) type Token = MetadataValue<Ascii>;

/// Clients of all endpoints.
pub(super) struct Source {
    endpoints: Vec<(String, Channel)>,
    user: Option<(String, String)>,
    now: Mutex<Now>,
    patience: Duration,
    answer_timeout: Duration,
}

#[derive(Default)]
struct Now {
    /// The endpoint that is asked.
    place: usize,
    token: Option<Token>,
}

/// A page, or why there is none.
pub(super) enum Page {
    Pairs(RangeResponse),
    Compacted,
    TooLarge,
}

impl Source {
    /// Makes no connection yet.
    ///
    /// # Errors
    /// When an endpoint is no URL or the TLS files cannot be used.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        if options.endpoints.is_empty() {
            return Err(Error::NoEndpoint);
        }
        let tls = tls(options)?;
        let connect = |given: &String| {
            let secure = options.ca.is_some() || options.certificate.is_some();
            let scheme = if secure { "https" } else { "http" };
            let url = if given.contains("://") { given.clone() } else { format!("{scheme}://{given}") };
            let wrong =
                |source: tonic::transport::Error| Error::Endpoint { endpoint: url.clone(), source: source.into() };
            let mut endpoint = Endpoint::from_shared(url.clone()).map_err(wrong)?.connect_timeout(CONNECT_TIMEOUT);
            if url.starts_with("https://") {
                endpoint = endpoint.tls_config(tls.clone()).map_err(wrong)?;
            }
            Ok((url.clone(), endpoint.connect_lazy()))
        };
        let endpoints = options.endpoints.iter().map(connect).collect::<Result<_, Error>>()?;
        Ok(Self {
            endpoints,
            user: options.user.clone(),
            now: Mutex::default(),
            patience: options.patience,
            answer_timeout: options.answer_timeout,
        })
    }

    /// Who was asked last.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoints[self.now.lock().place].0
    }

    /// The newest revision, linearizably, with the number of keys that live at it.
    pub(super) async fn count(&self) -> Result<RangeResponse, Error> {
        let request =
            || RangeRequest { key: ALL.into(), range_end: ALL.into(), count_only: true, ..Default::default() };
        let ask = async |channel, token: Option<Token>| {
            KvClient::new(channel).range(with(token, request())).await.map(tonic::Response::into_inner)
        };
        let what = "the number of its keys";
        self.call(what, ask).await.map_err(|failed| failed.told(what))
    }

    /// Pairs at `revision` whose keys follow `after`, `limit` at most.
    pub(super) async fn page(&self, revision: i64, after: &Bytes, limit: i64) -> Result<Page, Error> {
        let what = "keys";
        // The first key behind it.
        let key: Bytes = if after.is_empty() { ALL.into() } else { [after, ALL].concat().into() };
        let request =
            || RangeRequest { key: key.clone(), range_end: ALL.into(), revision, limit, ..Default::default() };
        let ask = async |channel, token: Option<Token>| {
            let mut client = KvClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            client.range(with(token, request())).await.map(tonic::Response::into_inner)
        };
        match self.call(what, ask).await {
            Ok(response) => Ok(Page::Pairs(response)),
            Err(failed) if failed.says("required revision has been compacted") => Ok(Page::Compacted),
            // Whichever side finds that.
            Err(failed) if failed.says("message") && failed.says("large") => Ok(Page::TooLarge),
            Err(failed) => Err(failed.told(what)),
        }
    }

    /// The leases that the member has heard of which answers: it asks no other.
    pub(super) async fn leases(&self) -> Result<LeaseLeasesResponse, Error> {
        let what = "its leases";
        let ask = async |channel, token: Option<Token>| {
            let mut client = LeaseClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            client.lease_leases(with(token, LeaseLeasesRequest {})).await.map(tonic::Response::into_inner)
        };
        self.call(what, ask).await.map_err(|failed| failed.told(what))
    }

    /// A lease as the leader has it, whoever is asked; None when there is none.
    pub(super) async fn lease(&self, id: i64) -> Result<Option<LeaseTimeToLiveResponse>, Error> {
        let what = "a lease's time to live";
        let ask = async |channel, token: Option<Token>| {
            let request = LeaseTimeToLiveRequest { id, keys: false };
            LeaseClient::new(channel).lease_time_to_live(with(token, request)).await.map(tonic::Response::into_inner)
        };
        match self.call(what, ask).await {
            Ok(found) => Ok(Some(found)),
            Err(failed) if failed.status.code() == Code::NotFound => Ok(None),
            Err(failed) => Err(failed.told(what)),
        }
    }

    /// Asks the endpoints in turn until one answers or refuses, or each was asked and none has answered for long.
    pub(super) async fn call<T>(
        &self,
        what: &'static str,
        ask: impl AsyncFn(Channel, Option<Token>) -> Result<T, Status>,
    ) -> Result<T, Failed> {
        let begin = Instant::now();
        let (mut logged_in, mut asked) = (false, 0);
        loop {
            let (place, mut token) = {
                let now = self.now.lock();
                (now.place, now.token.clone())
            };
            let (endpoint, channel) = &self.endpoints[place];
            let attempt = async {
                if token.is_none()
                    && let Some((name, password)) = &self.user
                {
                    token = Some(log_in(channel.clone(), name, password).await?);
                    self.now.lock().token.clone_from(&token);
                }
                ask(channel.clone(), token.clone()).await
            };
            let answer = tokio::time::timeout(self.answer_timeout, attempt).await;
            let status = match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time"))) {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            let outdated = status.code() == Code::Unauthenticated || status.message().contains("auth store is old");
            if outdated && self.user.is_some() && !std::mem::replace(&mut logged_in, true) {
                self.now.lock().token = None;
                continue;
            }
            asked += 1;
            if !may_pass(&status) || (begin.elapsed() >= self.patience && asked >= self.endpoints.len()) {
                return Err(Failed { endpoint: endpoint.clone(), status });
            }
            tracing::warn!(endpoint, what, error = status.message(), "asking the next endpoint");
            self.now.lock().place = (place + 1) % self.endpoints.len();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What the last endpoint said that was asked.
pub(super) struct Failed {
    endpoint: String,
    status: Status,
}

impl Failed {
    fn says(&self, words: &str) -> bool {
        self.status.message().contains(words)
    }

    pub(super) fn told(self, what: &'static str) -> Error {
        let message = self.status.message().to_owned();
        match self.endpoint {
            endpoint if may_pass(&self.status) => Error::Unreachable { endpoint, what, message },
            endpoint => Error::Refused { endpoint, what, message },
        }
    }
}

/// Whether another endpoint, or the same one later, may answer.
fn may_pass(status: &Status) -> bool {
    let busy = status.code() == Code::ResourceExhausted && status.message().contains("too many requests");
    // The last two are what a connection's end looks like.
    busy || matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Internal | Code::Unknown
    )
}

async fn log_in(channel: Channel, name: &str, password: &str) -> Result<Token, Status> {
    let request = AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
    let token = AuthClient::new(channel).authenticate(request).await?.into_inner().token;
    token.parse().map_err(|_| Status::unauthenticated("the token that was given is not text"))
}

/// A request with the token in it.
pub(super) fn with<T>(token: Option<Token>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("token", token);
    }
    request
}

fn tls(options: &Options) -> Result<ClientTlsConfig, Error> {
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|source| Error::Io { action: "read", path: path.clone(), source });
    let mut tls = ClientTlsConfig::new();
    if let Some(ca) = &options.ca {
        tls = tls.ca_certificate(Certificate::from_pem(read(ca)?));
    }
    if let Some((certificate, key)) = &options.certificate {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(tls)
}
