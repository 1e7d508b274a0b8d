//! What an apply is refused with: every field that somebody else has with another value, in Kubernetes' words.

use std::collections::BTreeMap;

use keelson_types::status::{Cause, Details, Reason, Status};

use super::fields::Fields;
use super::managers::{Entry, Operation};

/// The conflicts without those about `allowed`.
pub(super) fn beside(conflicts: Vec<Entry>, allowed: &Fields) -> Vec<Entry> {
    let left = conflicts.into_iter().map(|entry| Entry { fields: entry.fields.without(allowed), ..entry });
    left.filter(|entry| !entry.fields.is_empty()).collect()
}

pub(super) fn status(conflicts: &[Entry]) -> Status {
    let mut causes = Vec::new();
    let mut by_manager: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in conflicts {
        let manager = described(entry);
        for path in entry.fields.paths() {
            causes.push(Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {manager}"),
                field: path.clone(),
            });
            by_manager.entry(manager.clone()).or_default().push(path);
        }
    }
    let message = match causes.as_slice() {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        many => {
            let mut lines = Vec::new();
            for (manager, paths) in &by_manager {
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(paths.iter().map(|path| format!("- {path}")));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    let mut status = Status::new(Reason::Conflict, message);
    status.details = Some(Box::new(Details { causes, ..Details::default() }));
    status
}

fn described(entry: &Entry) -> String {
    let mut text = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        text += &format!(" with subresource {:?}", entry.subresource);
    }
    if entry.operation == Operation::Update {
        text += &format!(" using {}", entry.api_version);
    }
    text
}
