//! How long a server may take. What takes longer is a difference by the name of its case, and the suite goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tonic::Status;

/// Longer than anything takes on a busy machine; reached only by a server that hangs.
pub const CASE_LIMIT: Duration = Duration::from_secs(60);
/// A server that lets so many cases wait in vain is asked for nothing more, so that the suite ends in any case.
const LATE_MAX: usize = 3;

pub const TOO_LATE: &str = "no answer in time";
/// What a server has for a case that it did not come to, too.
pub const NOT_ASKED: &str = "not asked";

/// Of one server. Clones count together.
#[derive(Clone, Default)]
pub struct Patience {
    late: Arc<AtomicUsize>,
}

impl Patience {
    /// What `answer` gives.
    ///
    /// # Errors
    /// When it does not come, or was not waited for.
    pub async fn wait<F: Future>(&self, answer: F) -> Result<F::Output, Status> {
        if self.is_over() {
            return Err(Status::unknown(NOT_ASKED));
        }
        tokio::time::timeout(CASE_LIMIT, answer).await.map_err(|_| {
            self.late.fetch_add(1, Ordering::Relaxed);
            Status::unknown(TOO_LATE)
        })
    }

    /// Whether the server is not asked any more.
    pub fn is_over(&self) -> bool {
        self.late.load(Ordering::Relaxed) >= LATE_MAX
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_told_and_then_given_up() {
    let patience = Patience::default();
    assert_eq!(patience.wait(std::future::ready(1)).await.expect("it is there"), 1);
    for _ in 0..LATE_MAX {
        assert!(!patience.is_over());
        let late = patience.clone().wait(std::future::pending::<()>()).await.expect_err("it never comes");
        assert_eq!(late.message(), TOO_LATE);
    }
    let begun = tokio::time::Instant::now();
    let given_up = patience.wait(std::future::pending::<()>()).await.expect_err("nobody waits");
    assert_eq!((given_up.message(), begun.elapsed()), (NOT_ASKED, Duration::ZERO));
}
