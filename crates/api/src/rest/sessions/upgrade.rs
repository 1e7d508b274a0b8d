//! Which protocol a client asks for, and how its connection leaves HTTP.

use std::future::Future;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use keelson_types::status::{Reason, Status};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Session;

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const CHANNELS_5: &str = "v5.channel.k8s.io";
const CHANNELS_4: &str = "v4.channel.k8s.io";
const FORWARD: &str = "portforward.k8s.io";
const FORWARD_IN_WEBSOCKET: &str = "SPDY/3.1+portforward.k8s.io";

/// What the connection will speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Messages of a WebSocket, by channel.
    Channels {
        /// Version 5: a client can close one channel.
        closes: bool,
    },
    /// The same with forwarded ports.
    ForwardChannels,
    Spdy,
    SpdyInWebSocket,
    /// SPDY with forwarded ports.
    SpdyForward,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Channels { closes: true } => CHANNELS_5,
            Protocol::Channels { closes: false } | Protocol::ForwardChannels | Protocol::Spdy => CHANNELS_4,
            Protocol::SpdyInWebSocket => FORWARD_IN_WEBSOCKET,
            Protocol::SpdyForward => FORWARD,
        }
    }

    fn is_web_socket(self) -> bool {
        matches!(self, Protocol::Channels { .. } | Protocol::ForwardChannels | Protocol::SpdyInWebSocket)
    }
}

/// The first of the client's protocols that is served.
///
/// # Errors
/// BadRequest without an upgrade, Forbidden when none of the protocols is served.
pub(super) fn protocol(headers: &HeaderMap, what: Session) -> Result<Protocol, Status> {
    let upgrades: Vec<&str> = words(headers, &UPGRADE).collect();
    let is = |wanted: &str| upgrades.iter().any(|upgrade| upgrade.eq_ignore_ascii_case(wanted));
    let asked = if is("websocket") { SEC_WEBSOCKET_PROTOCOL } else { STREAM_PROTOCOL };
    let wanted: Vec<&str> = words(headers, &asked).collect();
    let forward = what == Session::PortForward;
    let found = if is("websocket") {
        wanted.iter().find_map(|name| match *name {
            CHANNELS_5 if !forward => Some(Protocol::Channels { closes: true }),
            CHANNELS_4 if forward => Some(Protocol::ForwardChannels),
            CHANNELS_4 => Some(Protocol::Channels { closes: false }),
            FORWARD_IN_WEBSOCKET if forward => Some(Protocol::SpdyInWebSocket),
            _ => None,
        })
    } else if is("SPDY/3.1") {
        // A client of SPDY names all that it can.
        wanted.iter().find_map(|name| match *name {
            CHANNELS_4 if !forward => Some(Protocol::Spdy),
            FORWARD if forward => Some(Protocol::SpdyForward),
            _ => None,
        })
    } else {
        return Err(Status::bad_request("unable to upgrade: missing upgrade headers in request"));
    };
    found.ok_or_else(|| {
        let message = format!("unable to upgrade: the client supports {wanted:?}, and none of them is served here");
        Status::new(Reason::Forbidden, message)
    })
}

fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

/// The answer that switches the protocol, and the connection once it is sent.
///
/// # Errors
/// BadRequest when the connection cannot be taken out of HTTP: one of HTTP/2, or a WebSocket's without a key.
pub(super) fn begin(
    request: &mut Request,
    protocol: Protocol,
) -> Result<(Response, impl Future<Output = Option<TokioIo<Upgraded>>> + Send + 'static), Status> {
    let name = HeaderValue::from_static(protocol.name());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if protocol.is_web_socket() {
        let key = request.headers().get(SEC_WEBSOCKET_KEY);
        let key = key.ok_or_else(|| Status::bad_request("unable to upgrade: Sec-WebSocket-Key is missing"))?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(Status::internal)?;
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, name);
    } else {
        headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
        headers.insert(STREAM_PROTOCOL, name);
    }
    let upgraded = request
        .extensions_mut()
        .remove::<hyper::upgrade::OnUpgrade>()
        .ok_or_else(|| Status::bad_request("unable to upgrade: this needs a connection of HTTP/1.1"))?;
    let connection = async move {
        match upgraded.await {
            Ok(upgraded) => Some(TokioIo::new(upgraded)),
            Err(error) => {
                tracing::debug!(%error, "a client went away before its session began");
                None
            }
        }
    };
    Ok((response, connection))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(
        upgrade: &'static str,
        name: HeaderName,
        protocols: &[&'static str],
        what: Session,
    ) -> Result<Protocol, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static(upgrade));
        for protocol in protocols {
            headers.append(&name, HeaderValue::from_static(protocol));
        }
        protocol(&headers, what).map_err(|status| status.code)
    }

    #[test]
    fn the_first_protocol_that_is_served_is_taken() {
        let web = |protocols: &[&'static str], what| asked("websocket", SEC_WEBSOCKET_PROTOCOL, protocols, what);
        assert_eq!(web(&["v5.channel.k8s.io"], Session::Exec), Ok(Protocol::Channels { closes: true }));
        assert_eq!(
            web(&["v4.channel.k8s.io, v5.channel.k8s.io"], Session::Attach),
            Ok(Protocol::Channels { closes: false })
        );
        assert_eq!(web(&["channel.k8s.io"], Session::Exec), Err(403));
        assert_eq!(web(&["SPDY/3.1+portforward.k8s.io"], Session::PortForward), Ok(Protocol::SpdyInWebSocket));
        assert_eq!(web(&["SPDY/3.1+portforward.k8s.io"], Session::Exec), Err(403));
        // Some clients name all the protocols that they know for anything.
        let any = ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"];
        assert_eq!(web(&any, Session::PortForward), Ok(Protocol::ForwardChannels));
        let spdy = |protocols: &[&'static str], what| asked("SPDY/3.1", STREAM_PROTOCOL, protocols, what);
        assert_eq!(spdy(&["v5.channel.k8s.io", "v4.channel.k8s.io"], Session::Exec), Ok(Protocol::Spdy));
        assert_eq!(spdy(&["portforward.k8s.io"], Session::PortForward), Ok(Protocol::SpdyForward));
        assert_eq!(spdy(&[], Session::Exec), Err(403));
        assert_eq!(asked("h2c", STREAM_PROTOCOL, &[], Session::Exec), Err(400));
    }
}
