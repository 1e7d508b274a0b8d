//! Keelson's own members, as `keelson dev` runs them: real processes with all that a member does, but no nodes.

use keelson::dev::{Scratch, Spec};

use crate::options::Options;
use crate::wire::{self, Endpoint};

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
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn endpoints(&self) -> anyhow::Result<Vec<Endpoint>> {
        let spec = self.scratch.spec();
        let tls = if spec.insecure_store {
            None
        } else {
            let (authority, certificate, key) = self.scratch.store_certificate();
            Some(wire::client_tls(&authority, &certificate, &key)?)
        };
        let endpoint = |index| Endpoint { address: spec.store_address(index), tls: tls.clone() };
        Ok((0..spec.members).map(endpoint).collect())
    }

    /// Resident memory of each member.
    pub fn resident_bytes(&self) -> Vec<u64> {
        self.scratch.members().filter_map(|member| member.resident_bytes()).collect()
    }
}
