//! Keelson's members as those see them who use the API: where it is, and what their processes take.

use std::time::Duration;

use anyhow::Context;
use keelson::dev::Process;

use super::certificates::ClientFiles;
use super::keelson::Keelson;
use crate::wire::Endpoint;

/// All members, the leader first.
pub struct Members<'a> {
    keelson: &'a Keelson,
    leader: usize,
    endpoints: Vec<Endpoint>,
}

impl<'a> Members<'a> {
    pub(super) fn new(keelson: &'a Keelson, leader: usize) -> anyhow::Result<Self> {
        let tls = Some(ClientFiles::read(&keelson.api_files())?);
        let endpoint = |address| Endpoint { address, tls: tls.clone() };
        let mut endpoints: Vec<_> = keelson.api_addresses().into_iter().map(endpoint).collect();
        endpoints.rotate_left(leader);
        Ok(Self { keelson, leader, endpoints })
    }

    /// Where each serves the API. There is always one.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Resident memory of each in bytes.
    ///
    /// # Errors
    /// When one has ended.
    pub fn resident_bytes(&self) -> anyhow::Result<Vec<u64>> {
        self.each(Process::resident_bytes)
    }

    /// The most that each had since [`Self::forget_peaks`].
    ///
    /// # Errors
    /// When one has ended.
    pub fn peak_resident_bytes(&self) -> anyhow::Result<Vec<u64>> {
        self.each(Process::peak_resident_bytes)
    }

    /// Counts the peaks of memory anew.
    ///
    /// # Errors
    /// When one has ended, or the kernel cannot do that.
    pub fn forget_peaks(&self) -> anyhow::Result<()> {
        for member in self.keelson.members() {
            member.forget_peak()?;
        }
        Ok(())
    }

    /// The processor time that all of them together have taken so far.
    ///
    /// # Errors
    /// When one has ended.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        Ok(self.each(Process::processor_time)?.into_iter().sum())
    }

    fn each<T>(&self, look: impl Fn(&Process) -> Option<T>) -> anyhow::Result<Vec<T>> {
        let mut found = Vec::new();
        for member in self.keelson.members() {
            found.push(look(&member).with_context(|| format!("{} has ended", member.name()))?);
        }
        found.rotate_left(self.leader);
        Ok(found)
    }
}
