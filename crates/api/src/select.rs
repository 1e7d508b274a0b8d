//! Which objects a list or a watch is about: a namespace, labels and fields, and what a change means to somebody who sees
//! only what matches.

use std::sync::Arc;

use keelson_types::Kind;
use keelson_types::selector::{FieldSelector, LabelSelector, Labels};
use keelson_types::status::Status;

use crate::cache::{Change, ChangeKind, Object};
use crate::keys;

impl Labels for Object {
    fn label(&self, key: &str) -> Option<&str> {
        Object::label(self, key)
    }
}

/// A parsed selection of one kind's objects.
#[derive(Debug)]
pub struct Selection {
    /// As which objects are seen: selectors name its fields.
    kind: &'static Kind,
    /// Empty for all.
    namespace: String,
    labels: LabelSelector,
    fields: FieldSelector,
    everything: bool,
    /// The one object that can match, when the selection names it.
    only: Option<String>,
}

impl Selection {
    /// # Errors
    /// BadRequest for a selector that cannot be parsed or names a field that the kind does not offer.
    pub fn parse(kind: &'static Kind, namespace: &str, labels: &str, fields: &str) -> Result<Selection, Status> {
        let everything = labels.trim().is_empty() && fields.trim().is_empty();
        let labels = LabelSelector::parse(labels).map_err(|error| Status::bad_request(error.to_string()))?;
        let fields = FieldSelector::parse(fields).map_err(|error| Status::bad_request(error.to_string()))?;
        for field in fields.fields() {
            let offered = matches!(field, "metadata.name" | "metadata.namespace")
                || kind.selectable_fields.iter().any(|(name, _)| *name == field);
            if !offered {
                return Err(Status::bad_request(format!("field label not supported: {field}")));
            }
        }
        let only = fields
            .required("metadata.name")
            .filter(|_| kind.namespaced != namespace.is_empty())
            .map(|name| keys::path(namespace, name));
        Ok(Selection { kind, namespace: namespace.to_owned(), labels, fields, everything, only })
    }

    /// Empty for all.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The path of the one object that can match, when the selection names it.
    pub fn only(&self) -> Option<&str> {
        self.only.as_deref()
    }

    /// Whether all the objects of the namespace are selected.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    pub fn matches(&self, object: &Object) -> bool {
        (self.namespace.is_empty() || self.namespace == object.namespace())
            && (self.everything || self.labels.matches(object) && self.fields.matches(|field| object.field(field)))
    }

    /// A stored object as it is seen, if it is selected.
    pub fn take(&self, object: &Arc<Object>) -> Option<Arc<Object>> {
        // What is in another namespace need not be converted to know that.
        if !self.kind.is_shown_as_stored() && !self.namespace.is_empty() && self.namespace != object.namespace() {
            return None;
        }
        Some(object.shown_as(self.kind)).filter(|object| self.matches(object))
    }

    /// What a change is to a watcher of this selection: an object that comes to match is added, one that ceases to is
    /// deleted (as it was, at the revision of the change), and what matched neither before nor after is nothing.
    pub fn see(&self, change: &Change) -> Option<(ChangeKind, Arc<Object>)> {
        let deleted = change.kind == ChangeKind::Deleted;
        let after = if deleted { None } else { self.take(&change.object) };
        let before = change.previous.as_ref().and_then(|previous| self.take(previous));
        match (before, after) {
            (None, None) => None,
            (None, Some(object)) => Some((ChangeKind::Added, object)),
            (Some(_), Some(object)) => Some((ChangeKind::Modified, object)),
            (Some(_), None) if deleted => Some((ChangeKind::Deleted, change.object.shown_as(self.kind))),
            (Some(previous), None) => {
                Some((ChangeKind::Deleted, Arc::new(previous.at_revision(change.object.revision()))))
            }
        }
    }
}
