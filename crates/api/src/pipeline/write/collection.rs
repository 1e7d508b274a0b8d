//! Deletes the objects of a collection, each on its own.

use futures::{StreamExt as _, TryStreamExt as _};
use keelson_types::status::{Reason, Status};

use super::check_options;
use crate::pipeline::Pipeline;
use crate::pipeline::authorize::Verb;
use crate::pipeline::list::List;
use crate::pipeline::request::{DeleteOptions, ListOptions, Operation, ReadVersion, Target, User, WriteOptions};

/// Deletions of a collection that are under way at once.
const DELETIONS_AT_ONCE: usize = 16;

/// What became of a collection.
#[derive(Debug)]
pub struct Deleted {
    /// How many were deleted or marked: those that somebody else deleted first do not count.
    pub count: usize,
    /// What was selected, as it was before.
    pub list: List,
}

impl Pipeline {
    /// Deletes or marks what is selected, each object on its own, and says what that was. Of `selectors`, only the two
    /// selectors count.
    ///
    /// # Errors
    /// The first deletion that failed; others may have happened.
    pub async fn delete_collection(
        &self,
        user: &User,
        target: Target,
        selectors: ListOptions,
        delete: DeleteOptions,
        options: &WriteOptions,
    ) -> Result<Deleted, Status> {
        self.authorize_collection(user, Verb::DeleteCollection, &target, &selectors.field_selector)?;
        let ListOptions { label_selector, field_selector, .. } = selectors;
        let version = ReadVersion::MostRecent;
        let list = ListOptions { label_selector, field_selector, version, ..ListOptions::default() };
        check_options(user, options)?;
        // Who may delete a collection need not be allowed to list it, nor to delete one by one.
        let list = self.list_allowed(&target, list).await?;
        let deletions = list.items.clone().map(|object| {
            let target =
                Target { namespace: object.namespace().to_owned(), name: object.name().to_owned(), ..target.clone() };
            let operation = Operation::Delete { target, options: delete.clone() };
            async move {
                match self.write_own(&[operation], options).await {
                    Ok(()) => Ok(1),
                    // Somebody else was faster.
                    Err(status) if status.reason == Reason::NotFound => Ok(0),
                    Err(status) => Err(status),
                }
            }
        });
        let count = futures::stream::iter(deletions)
            .buffer_unordered(DELETIONS_AT_ONCE)
            .try_fold(0, |sum, deleted| async move { Ok(sum + deleted) })
            .await?;
        Ok(Deleted { count, list })
    }
}
