//! Certificates that are read again when their files change, so that they can be replaced while the member serves.
//!
//! There is no task: whoever needs them looks, at most once a second. **Invariant**: files that cannot be used leave in
//! place what was there before, with one warning for each such change.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// Between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

type Load<T, E> = Box<dyn Fn() -> Result<T, E> + Send + Sync>;

/// What is made of some small files.
pub struct Reloading<T, E> {
    files: Vec<PathBuf>,
    load: Load<T, E>,
    current: ArcSwap<T>,
    seen: Mutex<Seen>,
}

/// The last look.
struct Seen {
    at: Instant,
    digest: [u8; 32],
}

impl<T: Clone, E: Error + 'static> Reloading<T, E> {
    /// Makes it for the first time.
    ///
    /// # Errors
    /// What `load` returns.
    pub fn new(files: Vec<PathBuf>, load: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Result<Self, E> {
        // The digest first: what changes while loading is then a change.
        let seen = Seen { at: Instant::now(), digest: digest(&files) };
        let current = ArcSwap::from_pointee(load()?);
        Ok(Self { files, load: Box::new(load), current, seen: Mutex::new(seen) })
    }

    /// What the files hold, or held when they could be used for the last time.
    pub fn get(&self) -> T {
        self.look(INTERVAL);
        T::clone(&self.current.load())
    }

    /// Looks at the files when the last look is `interval` ago. Whoever comes while another looks does not wait.
    fn look(&self, interval: Duration) {
        let Some(mut seen) = self.seen.try_lock() else { return };
        if seen.at.elapsed() < interval {
            return;
        }
        seen.at = Instant::now();
        let digest = digest(&self.files);
        if digest == seen.digest {
            return;
        }
        seen.digest = digest;
        match (self.load)() {
            Ok(loaded) => {
                self.current.store(std::sync::Arc::new(loaded));
                tracing::info!(files = ?self.files, "certificates were replaced");
            }
            Err(error) => {
                let error: &(dyn Error + 'static) = &error;
                tracing::warn!(files = ?self.files, error, "certificates cannot be replaced: the old ones stay");
            }
        }
    }
}

/// Of all contents. A file that cannot be read differs from any that can.
fn digest(files: &[PathBuf]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for file in files {
        match std::fs::read(file) {
            Ok(content) => {
                hasher.update((content.len() as u64).to_be_bytes());
                hasher.update(content);
            }
            Err(_) => hasher.update(u64::MAX.to_be_bytes()),
        }
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_up_and_a_broken_one_leaves_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "1").expect("writes");
        let path = file.clone();
        let load = move || std::fs::read_to_string(&path).unwrap_or_default().parse::<u32>();
        let reloading = Reloading::new(vec![file.clone()], load).expect("a number");
        let seen = |content: Option<&str>| {
            match content {
                Some(content) => std::fs::write(&file, content).expect("writes"),
                None => std::fs::remove_file(&file).expect("removes"),
            }
            reloading.look(Duration::ZERO);
            *reloading.current.load_full()
        };
        assert_eq!(seen(Some("1")), 1);
        assert_eq!(seen(Some("2")), 2);
        assert_eq!(seen(Some("broken")), 2);
        assert_eq!(seen(None), 2);
        assert_eq!(seen(Some("3")), 3);
        // Not more often than allowed.
        std::fs::write(&file, "4").expect("writes");
        reloading.look(Duration::from_secs(3600));
        assert_eq!(*reloading.current.load_full(), 3);
    }
}
