//! Suffixes of generated names that are a function of what a plan was made from.

use keelson_types::names;
use sha2::{Digest, Sha256};

/// An endless supply of names `prefix` + five characters. Equal owners and equal `seen` (in any order) give equal names.
pub(crate) fn names<'a>(
    prefix: &'a str,
    owner_uid: &'a str,
    seen: impl IntoIterator<Item = &'a str>,
) -> impl Iterator<Item = String> + 'a {
    let mut seen: Vec<&str> = seen.into_iter().collect();
    seen.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(owner_uid.as_bytes());
    for item in seen {
        hash.update([0]);
        hash.update(item.as_bytes());
    }
    let seed = hash.finalize();
    (0u64..).map(move |ordinal| {
        let digest = Sha256::new().chain_update(seed).chain_update(ordinal.to_be_bytes()).finalize();
        let word = |at: usize| u32::from_be_bytes([digest[at], digest[at + 1], digest[at + 2], digest[at + 3]]);
        names::generated(prefix, [word(0), word(4), word(8), word(12), word(16)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_view_gives_the_same_names_and_another_view_others() {
        let take = |seen: &[&'static str]| names("web-", "uid", seen.iter().copied()).take(3).collect::<Vec<_>>();
        assert_eq!(take(&["a", "b"]), take(&["b", "a"]));
        assert_ne!(take(&["a"]), take(&["a", "b"]));
        let names = take(&[]);
        assert!(names[0] != names[1] && names[1] != names[2]);
        assert_eq!(names[0].len(), "web-".len() + 5);
    }
}
