//! URLs as Go reads those of requests: absolute, or a path from the root.

use std::collections::HashMap;

/// The parts of a URL, decoded where they are read by rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub text: String,
    pub scheme: String,
    /// With the port.
    pub host: String,
    /// With its escapes.
    pub path: String,
    pub query: String,
}

impl Url {
    pub(crate) fn hostname(&self) -> &str {
        let host = self.host.as_str();
        match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        }
    }

    pub(crate) fn port(&self) -> &str {
        let after_name = self.host.rsplit_once(']').map_or(self.host.as_str(), |(_, rest)| rest);
        after_name.rsplit_once(':').map_or("", |(_, port)| port)
    }

    /// The names in the query with all their values, in order.
    pub(crate) fn query_values(&self) -> Vec<(String, Vec<String>)> {
        let mut values: Vec<(String, Vec<String>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| unescape(&text.replace('+', " "));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else { continue };
            let at = *places.entry(name.clone()).or_insert(values.len());
            match values.get_mut(at) {
                Some((_, list)) => list.push(value),
                None => values.push((name, vec![value])),
            }
        }
        values
    }
}

/// `None` for what is no absolute URL and no path from the root.
pub(crate) fn parse(text: &str) -> Option<Url> {
    if text.is_empty() || text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return None;
    }
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), text),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !rest.starts_with('/') {
        // Such as `urn:a:b`; without a scheme it is no URL.
        return (!scheme.is_empty()).then(|| Url {
            text: text.to_owned(),
            scheme,
            host: String::new(),
            path: String::new(),
            query: query.to_owned(),
        });
    }
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) if !scheme.is_empty() => {
            let end = rest.find('/').unwrap_or(rest.len());
            rest.split_at(end)
        }
        _ => ("", rest),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if !is_host(host) || unescape(path).is_none() {
        return None;
    }
    Some(Url { text: text.to_owned(), scheme, host: host.to_owned(), path: path.to_owned(), query: query.to_owned() })
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port))
                if address.split('%').next().is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok()) =>
            {
                ("", port)
            }
            _ => return false,
        },
        None => host.split_at(host.rfind(':').unwrap_or(host.len())),
    };
    let port_fits =
        port.is_empty() || (port.starts_with(':') && port.bytes().skip(1).all(|byte| byte.is_ascii_digit()));
    port_fits && name.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:%<>\"".contains(c))
}

/// Without escapes; `None` when one is broken.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
