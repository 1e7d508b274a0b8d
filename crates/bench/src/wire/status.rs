//! How a call ends that does not end well.

use http::HeaderMap;
use percent_encoding::percent_decode;
use prost::DecodeError;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server answered with an error; the connection is as good as before.
    #[error("status {code}: {message}")]
    Status {
        /// The gRPC code, or that of HTTP.
        code: u32,
        /// The server's words.
        message: String,
    },
    /// The connection broke, or the server spoke something else than gRPC.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// The server answered well, but not with what must be there.
    #[error("wrong answer: {0}")]
    Answer(&'static str),
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        Self::Connection(error.to_string())
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Connection(error.to_string())
    }
}

/// UNIMPLEMENTED.
const NOT_IMPLEMENTED: u32 = 12;

impl Failure {
    /// Whether the server does not know the method.
    pub fn is_unimplemented(&self) -> bool {
        matches!(self, Self::Status { code: NOT_IMPLEMENTED, .. })
    }
}

/// Reads the end of a call from its trailers, or from the headers of an answer that has nothing else.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Failure> {
    let code = headers.get("grpc-status").map(http::HeaderValue::as_bytes);
    if code == Some(b"0") {
        return Ok(());
    }
    let text = |name: &str| {
        let value = headers.get(name)?;
        Some(percent_decode(value.as_bytes()).decode_utf8_lossy().into_owned())
    };
    match code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok()) {
        Some(code) => Err(Failure::Status { code, message: text("grpc-message").unwrap_or_default() }),
        None => Err(Failure::Connection("the answer ended without a status".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn only_status_zero_is_success() {
        assert!(check(&trailers(&[("grpc-status", "0")])).is_ok());
        let refused = check(&trailers(&[("grpc-status", "12"), ("grpc-message", "no%20such method")]));
        assert!(matches!(&refused, Err(Failure::Status { code: 12, message }) if message == "no such method"));
        assert!(refused.is_err_and(|failure| failure.is_unimplemented()));
        assert!(matches!(check(&trailers(&[])), Err(Failure::Connection(_))));
    }
}
