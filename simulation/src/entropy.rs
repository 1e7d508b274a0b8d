//! What libraries draw from the operating system, taken from the seed: the keys of hash maps, openraft's election timeouts,
//! the order in which tokio wakes those who wait for one channel.
//!
//! This defines the C library's `getrandom` for the whole program. Threads that were not seeded still ask the kernel.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on this thread draws from `seed`. Call it before anything on the thread draws: what was drawn stays.
pub fn seed_this_thread(seed: u64) {
    STATE.set(Some(seed));
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn next(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state, mixed ^ (mixed >> 31))
}

/// The C library's function of this name.
///
/// # Safety
/// As there: `buffer` can be written for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut libc::c_void, length: libc::size_t, flags: libc::c_uint) -> isize {
    let Ok(Some(mut state)) = STATE.try_with(Cell::get) else {
        // SAFETY: the arguments are the caller's.
        let read = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
        return isize::try_from(read).unwrap_or(-1);
    };
    // SAFETY: the caller promises as much.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        let (after, drawn) = next(state);
        state = after;
        chunk.copy_from_slice(&drawn.to_le_bytes()[..chunk.len()]);
    }
    STATE.set(Some(state));
    isize::try_from(length).unwrap_or(isize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    fn drawn(seed: u64) -> (u64, Vec<u32>) {
        let draw = move || {
            super::seed_this_thread(seed);
            let map: HashMap<u32, ()> = (0..100).map(|key| (key, ())).collect();
            (rand::random(), map.into_keys().collect())
        };
        std::thread::spawn(draw).join().expect("the thread ends")
    }

    #[test]
    fn a_seeded_thread_draws_the_same_again() {
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }
}
