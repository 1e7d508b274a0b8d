//! Which of the kinds that users define have objects, by the store: what a status says of a definition, and what a member can serve
//! or read of it, does not count.

use std::collections::HashSet;

use bytes::Bytes;
use keelson_proto::etcdserverpb::RangeRequest;
use keelson_types::status::Status;

use super::Pipeline;
use super::authorize::Verb;
use super::request::{ReadVersion, User};
use crate::rbac::Action;
use crate::{custom, keys, status_code};

impl Pipeline {
    /// How many objects the store has of each of these definitions, or of all when none is named, in the order of their names;
    /// only of those that have some. Linearizable.
    ///
    /// # Errors
    /// Forbidden for who may not list one of them.
    pub async fn count_stored(
        &self,
        user: &User,
        definitions: &[String],
        namespace: &str,
    ) -> Result<Vec<(String, i64)>, Status> {
        // Neither takes a request out of the prefix of a kind.
        if namespace.contains('/') {
            return Err(Status::bad_request("a namespace has no slash in its name"));
        }
        let wanted: HashSet<&str> = definitions.iter().map(String::as_str).collect();
        let counts = self.count_defined(
            namespace,
            |name| wanted.is_empty() || wanted.contains(name),
            |group, resource| {
                let (verb, subresource, name) = (Verb::List.as_str(), "", "");
                self.check(user, &Action::Resource { verb, group, resource, subresource, name, namespace })
            },
        );
        counts.await
    }

    /// Counts what is stored of every definition in the caches, once they are as new as the store is now. This member's own store is,
    /// too, since the caches follow it: a thousand kinds cost one barrier.
    pub(super) async fn count_defined(
        &self,
        namespace: &str,
        wanted: impl Fn(&str) -> bool,
        check: impl Fn(&str, &str) -> Result<(), Status>,
    ) -> Result<Vec<(String, i64)>, Status> {
        self.await_version(ReadVersion::MostRecent).await?;
        let (definitions, _) = self.caches.snapshot(self.kinds.definitions);
        let mut counts = Vec::new();
        for (_, definition) in definitions {
            // Definitions are called so; whatever else they say now, this is where their objects are.
            let Some((plural, group)) = definition.name().split_once('.') else { continue };
            if custom::is_own(group) || !wanted(definition.name()) {
                continue;
            }
            check(group, plural)?;
            let mut prefix = keys::custom(group, plural);
            if !namespace.is_empty() {
                prefix.push_str(namespace);
                prefix.push('/');
            }
            let objects = self.count_below(&prefix, true).await?;
            if objects > 0 {
                counts.push((definition.name().to_owned(), objects));
            }
        }
        Ok(counts)
    }

    /// How many objects the store has below a prefix, whether or not this member serves them or can read them.
    pub(super) async fn stored(&self, prefix: &str) -> Result<usize, Status> {
        let count = self.count_below(prefix, false).await?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    async fn count_below(&self, prefix: &str, serializable: bool) -> Result<i64, Status> {
        let request = RangeRequest {
            range_end: Bytes::from(keys::range_end(prefix)),
            key: Bytes::from(prefix.to_owned()),
            count_only: true,
            serializable,
            ..RangeRequest::default()
        };
        Ok(self.store.range(request).await.map_err(status_code::of_read)?.count)
    }
}
