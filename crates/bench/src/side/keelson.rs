//! Keelson's own members, as `keelson dev` runs them: real processes with all that a member does, but no nodes.

use std::net::SocketAddr;
use std::time::Duration;

use keelson::dev::{Process, Scratch, Spec};

use super::certificates::ClientFiles;
use crate::options::Options;

/// A running cluster that is ended and erased when dropped.
pub struct Keelson {
    scratch: Scratch,
}

impl Keelson {
    /// Starts the members.
    ///
    /// # Errors
    /// When the program is missing or they do not become ready.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let spec = Spec { members: options.members, nodes: 0, insecure_store: !options.tls, ..Spec::default() };
        Ok(Self { scratch: Scratch::start_program(&options.keelson_program()?, spec).await? })
    }

    /// Where its members serve etcd's clients.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let spec = self.scratch.spec();
        (0..spec.members).map(|index| spec.store_address(index)).collect()
    }

    /// What clients need if TLS is on.
    pub fn client_files(&self) -> Option<ClientFiles> {
        let (authority, certificate, key) = self.scratch.store_certificate();
        (!self.scratch.spec().insecure_store).then_some(ClientFiles { authority, certificate, key })
    }

    /// Where its members serve the API.
    pub fn api_addresses(&self) -> Vec<SocketAddr> {
        let spec = self.scratch.spec();
        (0..spec.members).map(|index| spec.api_address(index)).collect()
    }

    /// What an administrator shows to the API.
    pub fn api_files(&self) -> ClientFiles {
        let (authority, certificate, key) = self.scratch.api_certificate("admin");
        ClientFiles { authority, certificate, key }
    }

    /// Its processes.
    pub fn members(&self) -> impl Iterator<Item = Process> {
        self.scratch.members()
    }

    /// Resident memory of each member.
    pub fn resident_bytes(&self) -> Vec<u64> {
        self.scratch.members().filter_map(|member| member.resident_bytes()).collect()
    }

    /// The processor time that all members together have taken so far.
    pub fn processor_time(&self) -> Duration {
        self.scratch.members().filter_map(|member| member.processor_time()).sum()
    }
}
