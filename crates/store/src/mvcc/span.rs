//! Ranges of user keys, as etcd's requests give them.

use bytes::Bytes;

/// A set of consecutive user keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Span {
    One(Bytes),
    /// From the first key up to, not including, the second.
    Between(Bytes, Bytes),
    /// From the key on.
    From(Bytes),
}

impl Span {
    /// Reads etcd's pair: an empty `range_end` means the one key, and `"\0"` means everything from `key` on.
    pub(crate) fn new(key: &Bytes, range_end: &Bytes) -> Self {
        match range_end.as_ref() {
            b"" => Span::One(key.clone()),
            b"\0" => Span::From(key.clone()),
            _ => Span::Between(key.clone(), range_end.clone()),
        }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match self {
            Span::One(only) => only == key,
            Span::Between(start, end) => start.as_ref() <= key && key < end.as_ref(),
            Span::From(start) => start.as_ref() <= key,
        }
    }

    /// The lowest key that can be in the span.
    pub(crate) fn start(&self) -> &Bytes {
        match self {
            Span::One(start) | Span::Between(start, _) | Span::From(start) => start,
        }
    }

    /// Whether nothing can be in the span.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Span::Between(start, end) if start >= end)
    }

    /// Everything.
    pub(crate) fn all() -> Self {
        Span::From(Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(key: &'static str, end: &'static str) -> Span {
        Span::new(&Bytes::from_static(key.as_bytes()), &Bytes::from_static(end.as_bytes()))
    }

    #[test]
    fn pairs_mean_what_they_mean_in_etcd() {
        assert!(span("a", "").contains(b"a") && !span("a", "").contains(b"ab"));
        assert!(span("a", "b").contains(b"ab") && !span("a", "b").contains(b"b"));
        assert!(span("b", "\0").contains(b"zz") && !span("b", "\0").contains(b"a"));
        assert!(span("\0", "\0").contains(b"\0") && span("\0", "\0").contains(b"x"));
        assert!(span("b", "a").is_empty() && !span("b", "a").contains(b"a"));
    }
}
