//! What callers choose: how to connect, what to list and watch, how to delete.

use std::time::Duration;

use keelson_proto::keelson::api::v1 as proto;

/// How long a request may take altogether, over all endpoints, unless [`Options::request_timeout`] says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach the API.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of every member, or `http://host:port`/`https://host:port`. At least one.
    pub endpoints: Vec<String>,
    /// Absent means plain text, which members serve in tests only.
    pub tls: Option<Tls>,
    /// How long one request may take altogether, over all endpoints. Watches have no limit.
    pub request_timeout: Duration,
    /// How long to keep trying while no endpoint can be reached at all; at most `request_timeout`.
    pub unreachable_timeout: Duration,
    /// Sent as the HTTP user agent.
    pub user_agent: String,
    /// Recorded with every write, at most 128 characters.
    pub field_manager: String,
}

impl Options {
    /// The defaults for `endpoints`, without TLS.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { endpoints: endpoints.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            tls: None,
            request_timeout: REQUEST_TIMEOUT,
            unreachable_timeout: REQUEST_TIMEOUT,
            user_agent: concat!("keelson-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            field_manager: "keelson".to_owned(),
        }
    }
}

/// The PEM texts of a TLS connection.
#[derive(Clone)]
pub struct Tls {
    /// The CA that signed the members' certificates.
    pub ca_pem: Vec<u8>,
    /// The client's certificate; its common name is the user. Empty means none.
    pub cert_pem: Vec<u8>,
    pub key_pem: Vec<u8>,
}

/// Without the key: options are logged.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Which objects to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// `app=web,tier in (a,b)`; empty means all.
    pub label_selector: String,
    /// `spec.nodeName=node-1`; empty means all.
    pub field_selector: String,
    /// Zero means no limit.
    pub limit: i64,
    /// Where a limited list goes on.
    pub continue_token: String,
    /// Empty for the most recent state, "0" for any state that the member asked has.
    pub resource_version: String,
}

impl ListOptions {
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.label_selector = selector.into();
        self
    }

    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.field_selector = selector.into();
        self
    }
}

/// Which changes to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchOptions {
    pub label_selector: String,
    pub field_selector: String,
    /// Empty: start with what exists. Otherwise: resume right after this revision.
    pub resource_version: String,
}

impl WatchOptions {
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.label_selector = selector.into();
        self
    }

    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.field_selector = selector.into();
        self
    }

    pub fn resource_version(mut self, resource_version: impl Into<String>) -> Self {
        self.resource_version = resource_version.into();
        self
    }
}

/// What happens to the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They are collected afterwards.
    #[default]
    Background,
    /// They are collected first; the object stays until they are gone.
    Foreground,
    /// They stay, without an owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub propagation: Propagation,
    /// Absent means the kind's default (a pod's own terminationGracePeriodSeconds); 0 means at once.
    pub grace_period_seconds: Option<i64>,
    /// Delete only this very object; empty means whichever has the name.
    pub uid: String,
    /// Delete only this very state; empty means any.
    pub resource_version: String,
}

impl DeleteOptions {
    /// Deletes only the object with this UID.
    pub fn uid(uid: impl Into<String>) -> Self {
        Self { uid: uid.into(), ..Self::default() }
    }

    pub(crate) fn to_proto(&self) -> proto::DeleteOptions {
        let propagation = match self.propagation {
            Propagation::Background => proto::Propagation::Background,
            Propagation::Foreground => proto::Propagation::Foreground,
            Propagation::Orphan => proto::Propagation::Orphan,
        };
        proto::DeleteOptions {
            propagation: propagation.into(),
            grace_period_seconds: self.grace_period_seconds,
            uid: self.uid.clone(),
            resource_version: self.resource_version.clone(),
        }
    }
}
