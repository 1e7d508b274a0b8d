//! Sets of user keys that are merged where they touch, so that a check is one binary search.

use bytes::Bytes;

/// Disjoint ranges that do not touch, by ascending start.
///
/// Worked example: of `[a, c)`, `[b, d)`, the key `d` and `[x, ∞)` it keeps `[a, d⧺0)` and `[x, ∞)`: the key `d` is the range
/// `[d, d⧺0)`, since no key is between `d` and `d⧺0`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// Start and exclusive end; `None` is without end.
    merged: Vec<(Bytes, Option<Bytes>)>,
}

impl Ranges {
    /// Merges etcd's pairs: no `range_end` is the single key, `"\0"` is everything from the key on, and an end at or before
    /// its start is nothing.
    pub(crate) fn new<'a>(pairs: impl IntoIterator<Item = (&'a Bytes, &'a Bytes)>) -> Self {
        let mut ranges: Vec<(Bytes, Option<Bytes>)> = pairs
            .into_iter()
            .map(|(key, range_end)| match range_end.as_ref() {
                b"" => (key.clone(), Some(behind(key))),
                b"\0" => (key.clone(), None),
                _ => (key.clone(), Some(range_end.clone())),
            })
            .filter(|(start, end)| end.as_ref().is_none_or(|end| start < end))
            .collect();
        ranges.sort_by(|one, other| one.0.cmp(&other.0));
        let mut merged: Vec<(Bytes, Option<Bytes>)> = Vec::with_capacity(ranges.len());
        for (start, end) in ranges {
            match merged.last_mut() {
                Some((_, last)) if last.as_ref().is_none_or(|last| start <= *last) => {
                    *last = last.take().zip(end).map(|(last, end)| last.max(end));
                }
                _ => merged.push((start, end)),
            }
        }
        Self { merged }
    }

    /// Whether every key that etcd's pair names is in the set. A pair that names no key is judged by its start alone.
    pub(crate) fn cover(&self, key: &[u8], range_end: &[u8]) -> bool {
        let place = self.merged.partition_point(|(start, _)| start.as_ref() <= key);
        let Some((_, end)) = place.checked_sub(1).map(|place| &self.merged[place]) else { return false };
        let Some(end) = end else { return true };
        // The end lies behind the key itself, which is all of a single key.
        key < end.as_ref() && range_end != b"\0" && (range_end.is_empty() || range_end <= end.as_ref())
    }

    /// What is not in the set, in order: from a start up to an end, or to the last key without one. Of the worked example:
    /// `["", a)` and `[d⧺0, x)`. At most one more than there are ranges.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let starts = self.merged.iter().map(|(start, _)| Some(start.as_ref())).chain([None]);
        let ends = [Some(&b""[..])].into_iter().chain(self.merged.iter().map(|(_, end)| end.as_deref()));
        ends.zip(starts).filter_map(|(from, to)| Some((from?, to))).filter(|(from, to)| to.is_none_or(|to| *from < to))
    }
}

/// The first key after `key`.
fn behind(key: &Bytes) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(pairs: &[(&'static str, &'static str)]) -> Ranges {
        let pairs: Vec<(Bytes, Bytes)> = pairs.iter().map(|(key, end)| ((*key).into(), (*end).into())).collect();
        Ranges::new(pairs.iter().map(|(key, end)| (key, end)))
    }

    #[test]
    fn ranges_merge_where_they_touch() {
        let ranges = set(&[("x", "\0"), ("b", "d"), ("a", "c"), ("d", ""), ("z", "zz"), ("q", "p")]);
        let expected = [("a", Some("d\0")), ("x", None)];
        let expected = expected.map(|(start, end)| (Bytes::from(start), end.map(Bytes::from)));
        assert_eq!(ranges.merged, expected);
        assert!(ranges.cover(b"a", b"d") && ranges.cover(b"d", b"") && ranges.cover(b"y", b"\0"));
        assert!(!ranges.cover(b"a", b"e") && !ranges.cover(b"d\0", b"") && !ranges.cover(b"a", b"\0"));
        assert!(!set(&[]).cover(b"a", b"") && !set(&[("a", "")]).cover(b"", b""));
    }

    #[test]
    fn a_permission_on_one_key_is_not_one_on_what_follows() {
        let ranges = set(&[("a", "")]);
        assert!(ranges.cover(b"a", b"") && ranges.cover(b"a", b"a\0"));
        assert!(!ranges.cover(b"a", b"\0") && !ranges.cover(b"a", b"b") && !ranges.cover(b"a", b"a\0\0"));
    }

    fn key() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 255]), 1..4).prop_map(Bytes::from)
    }

    fn end() -> impl Strategy<Value = Bytes> {
        prop_oneof![Just(Bytes::new()), Just(Bytes::from_static(b"\0")), key()]
    }

    /// Whether `probe` is in etcd's pair, said as simply as possible.
    fn within(probe: &[u8], (key, range_end): &(Bytes, Bytes)) -> bool {
        match range_end.as_ref() {
            b"" => probe == key,
            b"\0" => probe >= key.as_ref(),
            end => probe >= key.as_ref() && probe < end,
        }
    }

    /// Every key over the alphabet of the strategies, up to one byte longer than they make.
    fn all_keys() -> Vec<Vec<u8>> {
        let mut all = vec![vec![]];
        for length in 0..4 {
            let longest: Vec<Vec<u8>> = all.iter().filter(|key| key.len() == length).cloned().collect();
            for key in longest {
                all.extend([0u8, 1, 2, 255].map(|last| [key.clone(), vec![last]].concat()));
            }
        }
        all.retain(|key| !key.is_empty());
        all
    }

    #[test]
    fn the_gaps_are_what_is_between() {
        let ranges = set(&[("b", "d"), ("d", ""), ("x", "\0")]);
        let expected: [(&[u8], Option<&[u8]>); 2] = [(b"", Some(b"b")), (b"d\0", Some(b"x"))];
        assert!(ranges.gaps().eq(expected));
        let nothing: [(&[u8], Option<&[u8]>); 1] = [(b"", None)];
        assert!(set(&[]).gaps().eq(nothing));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_range_is_covered_exactly_when_each_of_its_keys_is(
            granted in prop::collection::vec((key(), end()), 0..6),
            asked in (key(), end()),
        ) {
            let ranges = Ranges::new(granted.iter().map(|(key, end)| (key, end)));
            let permitted = |probe: &[u8]| granted.iter().any(|pair| within(probe, pair));
            let mut asked_keys = all_keys().into_iter().filter(|probe| within(probe, &asked)).peekable();
            prop_assume!(asked_keys.peek().is_some());
            // Keys longer than those that permissions are made of lie between the same bounds as these.
            let expected = asked_keys.all(|probe| permitted(&probe));
            for probe in all_keys() {
                let in_gap = ranges.gaps().any(|(from, to)| from <= &probe[..] && to.is_none_or(|to| &probe[..] < to));
                prop_assert_eq!(in_gap, !permitted(&probe), "{:?}", probe);
            }
            let unbounded = asked.1.as_ref() == b"\0";
            let above = granted.iter().any(|(_, end)| end.as_ref() == b"\0");
            prop_assert_eq!(ranges.cover(&asked.0, &asked.1), expected && (!unbounded || above));
        }
    }
}
