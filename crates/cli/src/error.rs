//! What can go wrong, in words for the person at the terminal, and what to do next.

use std::error::Error as _;
use std::path::PathBuf;

use keelson_client::Error as ClientError;
use keelson_types::status::Reason;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    #[error("no cluster is configured{place}")]
    Unconfigured { place: String },
    #[error("cannot read {}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is not valid: {detail}", path.display())]
    InvalidFile { path: PathBuf, detail: String },
    #[error("{file}, document {document}{}: {message}", at(*line))]
    Manifest { file: String, document: usize, line: Option<usize>, message: String },
    #[error("there is no kind of resource called {name:?}{}", did_you_mean(suggestions))]
    UnknownKind { name: String, suggestions: Vec<String> },
    /// The API refused, or could not be asked. `about` names the object or the file, or is empty.
    #[error("{}{}", prefix(about), told(source))]
    Client {
        about: String,
        #[source]
        source: Box<ClientError>,
    },
    /// A program in a container ended with this code, which becomes ours.
    #[error("command terminated with exit code {0}")]
    Exited(i32),
    /// The command ran and its answer is no.
    #[error("{0}")]
    Failed(String),
    #[error("cannot write the output: {0}")]
    Output(#[source] std::io::Error),
}

impl From<ClientError> for Error {
    fn from(source: ClientError) -> Self {
        Self::Client { about: String::new(), source: Box::new(source) }
    }
}

impl Error {
    /// The same, with what it is about.
    pub fn about(self, about: impl Into<String>) -> Self {
        match self {
            Self::Client { source, .. } => Self::Client { about: about.into(), source },
            other => other,
        }
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Unconfigured { .. } | Self::UnknownKind { .. } => 2,
            Self::Exited(code) => u8::try_from(*code).unwrap_or(1),
            _ => 1,
        }
    }

    /// What to do next, if anything can be said.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Usage(_) => "see `keelctl --help`, or `keelctl COMMAND --help`",
            Self::Unconfigured { .. } => {
                "start a local cluster with `keelson dev up`, or give --endpoints, --cacert, --cert and --key"
            }
            Self::UnknownKind { suggestions, .. } if suggestions.is_empty() => {
                "`keelctl api-resources` lists all kinds, with those that users have defined"
            }
            Self::Client { source, .. } => return client_hint(source),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn client_hint(error: &ClientError) -> Option<String> {
    let hint = match error {
        ClientError::Unavailable { .. } if is_about_certificates(error) => {
            "the certificates do not belong to this cluster: check --cacert, --cert and --key, or run \
             `eval \"$(keelson dev env)\"` again"
        }
        ClientError::Unavailable { .. } => "is the cluster up? try `keelson dev status`",
        ClientError::Unknown { .. } => "it may have happened or not: look with `keelctl get` before you try again",
        ClientError::Endpoint { .. } => "an endpoint is host:port, such as 127.0.0.1:6443",
        ClientError::Tls { .. } => "--cacert, --cert and --key are PEM files",
        ClientError::Api(status) => match status.reason {
            Reason::Conflict => "somebody else changed it meanwhile: read it again and repeat",
            Reason::Unauthorized => "your certificate is not one of this cluster's: check --cert and --key",
            Reason::RequestEntityTooLarge => "an object may have 1.5 MiB",
            Reason::TooManyRequests => "the cluster is busy: try again in a moment",
            Reason::ServiceUnavailable | Reason::Timeout => "the members may be electing: see `keelctl cluster status`",
            _ => return None,
        },
        _ => return None,
    };
    Some(hint.to_owned())
}

fn chain(error: &ClientError) -> Vec<String> {
    let mut texts = Vec::new();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        source = error.source();
    }
    texts
}

fn is_about_certificates(error: &ClientError) -> bool {
    chain(error).iter().any(|text| text.to_ascii_lowercase().contains("certificate"))
}

/// What the API said, as kubectl tells it; otherwise the error with its deepest cause.
fn told(error: &ClientError) -> String {
    match error {
        ClientError::Api(status) if status.reason == Reason::Unknown => {
            format!("error from server: {}", status.message)
        }
        ClientError::Api(status) => format!("error from server ({}): {}", status.reason, status.message),
        error => match chain(error).pop() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

fn prefix(about: &str) -> String {
    if about.is_empty() { String::new() } else { format!("{about}: ") }
}

fn at(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

fn did_you_mean(suggestions: &[String]) -> String {
    if suggestions.is_empty() { String::new() } else { format!("; did you mean {}?", suggestions.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use keelson_types::status::Status;

    use super::*;

    #[test]
    fn each_error_says_what_to_do_next() {
        let refused = ClientError::Unavailable { endpoints: "127.0.0.1:1".into(), source: None };
        let error = Error::from(refused);
        assert_eq!(error.to_string(), "no member of the control plane is available at 127.0.0.1:1");
        assert!(error.hint().expect("it has a hint").contains("keelson dev status"));
        assert_eq!(error.exit_code(), 1);

        let missing = Status::new(Reason::NotFound, "pods \"x\" not found");
        let error = Error::from(ClientError::Api(missing)).about("app.yaml");
        assert_eq!(error.to_string(), "app.yaml: error from server (NotFound): pods \"x\" not found");

        let unknown = Error::UnknownKind { name: "pdos".into(), suggestions: vec!["pods".into()] };
        assert_eq!(unknown.to_string(), "there is no kind of resource called \"pdos\"; did you mean pods?");
        assert_eq!(unknown.exit_code(), 2);
    }
}
