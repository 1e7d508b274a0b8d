//! Keys and values, and requests that are encoded before the load begins.

use std::rc::Rc;

use bytes::Bytes;
use keelson_proto::etcdserverpb::{PutRequest, RangeRequest};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::wire::frame;

/// How many different keys are written and read; fewer where only the counting is tested.
pub const KEYS: usize = if cfg!(test) { 1_000 } else { 100_000 };
/// Everything random is drawn from this, the same for both clusters.
const SEED: u64 = 0x6b65_656c_736f_6e00;

/// The key of a number.
pub fn key(prefix: &str, number: usize) -> Bytes {
    format!("{prefix}{number:08}").into()
}

/// The end of the range of all keys that begin with a prefix.
pub fn end_of(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        // Prefixes end with a slash, which is not the last byte there is.
        *last += 1;
    }
    end.into()
}

/// Values that do not compress, so that no store gains by compressing them.
pub fn value(random: &mut SmallRng, bytes: usize) -> Bytes {
    let mut value = vec![0; bytes];
    random.fill_bytes(&mut value);
    value.into()
}

/// Randomness of its own for each number.
pub fn random(number: usize) -> SmallRng {
    SmallRng::seed_from_u64(SEED ^ number as u64)
}

/// Framed puts of [`KEYS`] keys.
pub fn puts(prefix: &str, value_bytes: usize) -> Rc<[Bytes]> {
    let mut random = random(0);
    let put = |number| {
        frame(&PutRequest { key: key(prefix, number), value: value(&mut random, value_bytes), ..PutRequest::default() })
    };
    (0..KEYS).map(put).collect()
}

/// Framed reads of the first keys under a prefix.
pub fn reads(prefix: &str, keys: usize, serializable: bool) -> Rc<[Bytes]> {
    let read = |number| frame(&RangeRequest { key: key(prefix, number), serializable, ..RangeRequest::default() });
    (0..keys).map(read).collect()
}

/// One client's way through a pool of requests: well spread, without an end, the same in each run.
pub struct Walk {
    pool: Rc<[Bytes]>,
    random: SmallRng,
}

impl Walk {
    /// The way of one client.
    pub fn new(pool: Rc<[Bytes]>, client: usize) -> Self {
        Self { pool, random: random(client + 1) }
    }

    /// The next request.
    pub fn next(&mut self) -> Bytes {
        let index = self.random.next_u32() as usize % self.pool.len();
        self.pool[index].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_prefix_and_no_other() {
        let (prefix, end) = ("/bench/list/", end_of("/bench/list/"));
        assert!(key(prefix, 99_999_999) < end);
        assert!(end <= Bytes::from_static(b"/bench/list0"));
    }

    #[test]
    fn a_walk_is_the_same_each_time_and_another_for_each_client() {
        let pool: Rc<[Bytes]> = (0..1_000).map(|number| key("", number)).collect();
        let walk = |client| {
            let mut walk = Walk::new(Rc::clone(&pool), client);
            (0..10).map(|_| walk.next()).collect::<Vec<_>>()
        };
        assert_eq!(walk(3), walk(3));
        assert_ne!(walk(3), walk(4));
    }
}
