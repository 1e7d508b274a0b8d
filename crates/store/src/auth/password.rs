//! Passwords: hashed and compared on the member that serves the request, never in the log.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::{Error, machine};

/// A hash takes a core for some 60 ms, on purpose; with more at one time, guessing would starve the store.
const AT_ONE_TIME: usize = 2;
/// Requests that may wait for their turn: some seconds' worth.
const WAITING_MAX: usize = 128;
/// bcrypt looks at no more than this; Go's refuses longer ones, and so do we.
const PASSWORD_BYTES_MAX: usize = 72;

/// The workshop of password hashes, bounded.
#[derive(Debug)]
pub(crate) struct Passwords {
    cost: u32,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new(cost: u32) -> Self {
        let (turns, places) = (Semaphore::new(AT_ONE_TIME), Semaphore::new(WAITING_MAX));
        Self { cost, turns: Arc::new(turns), places: Arc::new(places) }
    }

    /// # Errors
    /// [`Error::PasswordTooLong`], [`Error::TooManyRequests`], [`Error::Internal`].
    pub(crate) async fn hash(&self, password: String) -> Result<String, Error> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(Error::PasswordTooLong);
        }
        let cost = self.cost;
        self.work(move || bcrypt::hash(password, cost)).await
    }

    /// Whether `password` has this hash.
    ///
    /// # Errors
    /// [`Error::TooManyRequests`], [`Error::Internal`].
    pub(crate) async fn matches(&self, password: String, hash: String) -> Result<bool, Error> {
        // A hash that is none (etcd takes any text for one) matches nothing.
        self.work(move || Ok(bcrypt::verify(password, &hash).unwrap_or(false))).await
    }

    /// Does the work of comparing, for a password that is not good anyway.
    ///
    /// # Errors
    /// As for [`Self::matches`].
    pub(crate) async fn refuse(&self, password: String) -> Result<(), Error> {
        let cost = self.cost;
        let compare =
            move || bcrypt::hash(&password.as_bytes()[..password.len().min(PASSWORD_BYTES_MAX)], cost).map(drop);
        self.work(compare).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Error::TooManyRequests)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::Stopped)?;
        // The work keeps its turn to its end, also when the client goes away meanwhile.
        let work = move || {
            let _held = (place, turn);
            work()
        };
        let done = machine::spawn_blocking(work).await.map_err(|error| Error::Internal(error.to_string()))?;
        done.map_err(|error| Error::Internal(error.to_string()))
    }
}
