//! A namespace keeps its finalizer while the store has objects of users' kinds in it.
//!
//! Its controller deletes what it can reach. What it cannot (a kind none of whose versions is served, or that nobody established)
//! would stay behind, and belong to whoever makes a namespace of that name.

use keelson_types::status::Status;

use super::Pipeline;
use super::plan::Prepared;
use super::request::Subresource;
use crate::value;

/// The finalizer that keeps a namespace until it is empty.
const FINALIZER: &str = "kubernetes";

impl Pipeline {
    /// # Errors
    /// Conflict, when a namespace would lose its finalizer and is not empty.
    pub(super) async fn check_emptied(&self, prepared: &[Prepared]) -> Result<(), Status> {
        for operation in prepared {
            let Prepared::Update { target, object, .. } = operation else { continue };
            let keeps = value::spec_finalizers(object).iter().any(|finalizer| finalizer == FINALIZER);
            if target.subresource != Subresource::Finalize || keeps {
                continue;
            }
            let left = self.count_defined(&target.name, |_| true, |_, _| Ok(())).await?;
            if let Some((kind, left)) = left.first() {
                let why = format!("the namespace still has {left} {kind}, which may not be served now");
                return Err(Status::conflict(target.kind.group, target.kind.plural, &target.name, &why));
            }
        }
        Ok(())
    }
}
