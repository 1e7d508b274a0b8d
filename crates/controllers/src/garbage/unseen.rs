//! Dependents that no cache has: of kinds that are defined and not served, that this member cannot serve, or that it has only begun
//! to follow.
//!
//! Whether an owner must wait for such a kind is decided by the store, not by what conditions say of the kind: whoever may write them
//! can make them say anything. It must wait when the store has objects of the kind that could be its dependents, and only then:
//!
//! - An owner in a namespace has its dependents there. What is in another namespace, or in none, and names it means another object, or
//!   nobody can say which, and is never deleted for it ([`super::owner::Kind::meant`]).
//! - An owner in no namespace may have dependents everywhere.
//! - A kind without such objects has no dependents, whoever serves it. One that is created after the count names an owner that is being
//!   deleted already, as it could when its kind were served.
//!
//! So a definition that nobody serves holds up what is deleted beside its own objects, and nothing else.

use keelson_client::Error;

use crate::custom::{Reader, Unseen};

/// Those of the kinds that could have dependents of an owner in `namespace`, or of one in none.
///
/// **Invariant**: what is `unseen` was found together with the dependents that are seen, before this is called: a kind that is served
/// meanwhile is counted, or was seen.
///
/// # Errors
/// The API's. They say that nothing is known of dependents.
pub(super) async fn of(reader: &impl Reader, unseen: Vec<Unseen>, namespace: &str) -> Result<Vec<Unseen>, Error> {
    if unseen.is_empty() {
        return Ok(unseen);
    }
    let mut found = Vec::new();
    for some in unseen.chunks(ASKED_MAX) {
        let names: Vec<String> = some.iter().map(|unseen| unseen.name.clone()).collect();
        let counts = reader.count(&names, namespace).await?;
        found.extend(some.iter().filter(|unseen| counts.iter().any(|(name, _)| *name == unseen.name)).cloned());
    }
    Ok(found)
}

/// Definitions that the API counts at once.
const ASKED_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::custom::tests::{Fake, definition};

    #[tokio::test]
    async fn only_kinds_with_objects_beside_an_owner_hold_it_up_whatever_their_conditions_say() {
        let mut api = Fake::default();
        let mut refused = definition("Namespaced", "CronTab", false);
        let conditions =
            json!([{"type": "NamesAccepted", "status": "False"}, {"type": "Established", "status": "False"}]);
        refused["status"]["conditions"] = conditions;
        api.put("customresourcedefinitions", "crontabs.example.com", refused);
        let unseen = |served| vec![Unseen { name: "crontabs.example.com".to_owned(), served }];
        for served in [true, false] {
            assert_eq!(of(&api, unseen(served), "").await.expect("counts"), [], "there is none");
        }
        api.put("crontabs", "a", json!({"metadata": {"name": "a", "namespace": "blue"}}));
        for served in [true, false] {
            assert_eq!(of(&api, unseen(served), "blue").await.expect("counts"), unseen(served));
            assert_eq!(of(&api, unseen(served), "green").await.expect("counts"), [], "it is elsewhere");
            assert_eq!(of(&api, unseen(served), "").await.expect("counts"), unseen(served), "it may be anywhere");
        }
    }
}
