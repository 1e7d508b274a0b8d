//! Sets of key ranges.

use std::collections::BTreeMap;

/// Key ranges, merged where they touch, so that a lookup is logarithmic: a transaction with nested ones may hold
/// thousands of deletes and as many puts.
///
/// Worked example: after inserting `[a, c)` and `[b, d)` it holds the one entry `a → d`; inserting `[0, ∞)` leaves only
/// `0 → ∞`.
#[derive(Default)]
pub(super) struct Intervals<'a> {
    /// Start → end; `None` is without end. Entries are disjoint and do not touch.
    ends: BTreeMap<&'a [u8], Option<End<'a>>>,
}

/// The exclusive end of an interval. A single key ends just behind itself, at the key with a zero byte appended.
#[derive(Clone, Copy)]
enum End<'a> {
    Key(&'a [u8]),
    Behind(&'a [u8]),
}

impl End<'_> {
    /// Whether `key` lies before this end.
    fn is_after(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(end) => key < *end,
            Self::Behind(end) => key <= *end,
        }
    }

    /// Whether this end lies before `other` or at it.
    fn is_covered_by(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key(mine), Self::Key(theirs)) | (Self::Behind(mine), Self::Behind(theirs)) => mine <= theirs,
            // mine ⧺ 0 <= theirs exactly when mine < theirs.
            (Self::Behind(mine), Self::Key(theirs)) => mine < theirs,
            // mine <= theirs ⧺ 0 when mine <= theirs, and when mine is that very successor.
            (Self::Key(mine), Self::Behind(theirs)) => mine <= theirs || mine.strip_suffix(&[0]) == Some(*theirs),
        }
    }
}

impl<'a> Intervals<'a> {
    /// Adds etcd's range: no `range_end` is the single key, `"\0"` is everything from `key` on.
    pub(super) fn insert(&mut self, key: &'a [u8], range_end: &'a [u8]) {
        match range_end {
            [] => self.add(key, Some(End::Behind(key))),
            [0] => self.add(key, None),
            end if end > key => self.add(key, Some(End::Key(end))),
            // An end at or before its start deletes nothing.
            _ => {}
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        for (start, end) in other.ends {
            self.add(start, end);
        }
    }

    fn add(&mut self, mut start: &'a [u8], mut end: Option<End<'a>>) {
        if let Some((&before, before_end)) = self.ends.range(..=start).next_back()
            && before_end.is_none_or(|before_end| before_end.is_after(start))
        {
            start = before;
            end = later(end, *before_end);
        }
        while let Some((&next, next_end)) = self.ends.range(start..).next()
            && end.is_none_or(|end| end.is_after(next))
        {
            end = later(end, *next_end);
            self.ends.remove(next);
        }
        self.ends.insert(start, end);
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.ends.range(..=key).next_back().is_some_and(|(_, end)| end.is_none_or(|end| end.is_after(key)))
    }
}

fn later<'a>(one: Option<End<'a>>, other: Option<End<'a>>) -> Option<End<'a>> {
    let (one, other) = (one?, other?);
    Some(if one.is_covered_by(&other) { other } else { one })
}
