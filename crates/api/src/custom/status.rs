//! What the leader says of a CustomResourceDefinition: whether its names are accepted and the kind is served, and how far its
//! deletion is. Pure.

use keelson_types::kinds::custom_resource_definition::is_true;
use serde_json::{Value, json};

use crate::value;

/// Why a kind that was said to be served is not: there may be objects of it, other than with one that never was.
const SECOND: &str = "KindConflict";

/// The status that a definition should have among `others`; `None` when it has it. Without `room` for it, a kind is not said to be
/// served that was not yet. `now` is RFC 3339 text.
pub fn plan(definition: &Value, others: &[Value], remaining: usize, room: bool, now: &str) -> Option<Value> {
    let mut status = definition["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let before = status.clone();
    if value::is_deleting(definition) {
        terminate(&mut status, remaining, now);
    } else {
        accept(definition, others, room, &mut status, now);
    }
    (status != before).then_some(status)
}

fn terminate(status: &mut Value, remaining: usize, now: &str) {
    if remaining > 0 {
        let message = "CustomResource deletion is in progress";
        condition(status, "Terminating", true, "InstanceDeletionInProgress", message, now);
    } else {
        condition(status, "Terminating", false, "InstanceDeletionCompleted", "removed all instances", now);
    }
}

fn accept(definition: &Value, others: &[Value], room: bool, status: &mut Value, now: &str) {
    let wanted = &definition["spec"]["names"];
    let established = is_true(definition, "Established");
    let second = established && is_second(definition, others);
    let mut accepted = status["acceptedNames"].clone();
    if !accepted.is_object() || second {
        accepted = json!({"plural": "", "kind": ""});
    }
    let taken = Taken::of(definition, others);
    let mut conflict: Option<(&str, String)> = None;
    let mut refuse = |reason, message: String| {
        conflict.get_or_insert((reason, message));
    };
    for (field, reason) in [("plural", "PluralConflict"), ("singular", "SingularConflict")] {
        take(&mut accepted, wanted, field, &taken.resources).unwrap_or_else(|name| refuse(reason, in_use(&name)));
    }
    let short = texts(&wanted["shortNames"]);
    match short.iter().find(|name| taken.resources.contains(name)) {
        Some(name) => refuse("ShortNamesConflict", in_use(name)),
        None => put(&mut accepted, "shortNames", &wanted["shortNames"]),
    }
    for (field, reason) in [("kind", "KindConflict"), ("listKind", "ListKindConflict")] {
        take(&mut accepted, wanted, field, &taken.kinds).unwrap_or_else(|name| refuse(reason, in_use(&name)));
    }
    put(&mut accepted, "categories", &wanted["categories"]);
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let own_group = super::is_own(group);
    if own_group {
        refuse("GroupConflict", format!("the group {group:?} is served by this server itself"));
    }
    status["acceptedNames"] = accepted;
    let was_second =
        items(status, "conditions").iter().any(|found| found["type"] == "Established" && found["reason"] == SECOND);
    match conflict {
        None if !room && !established => {
            condition(status, "NamesAccepted", true, "NoConflicts", "no conflicts found", now);
            let message = "the leading member has no room for further kinds until it starts again";
            // What tells of objects stays told until the kind is served.
            condition(status, "Established", false, if was_second { SECOND } else { "NoRoom" }, message, now);
        }
        None => {
            condition(status, "NamesAccepted", true, "NoConflicts", "no conflicts found", now);
            // Once a kind is served, it stays so whatever becomes of its names.
            condition(status, "Established", true, "InitialNamesAccepted", "the initial names have been accepted", now);
        }
        Some((reason, message)) => {
            condition(status, "NamesAccepted", false, reason, &message, now);
            // A kind that is served stays so, but one that would take the place of the program's own never was, whatever its
            // status says: whoever may write it can say anything there.
            if second {
                let message = "an older definition has the same kind";
                condition(status, "Established", false, SECOND, message, now);
            } else if own_group || (!established && !was_second) {
                condition(status, "Established", false, "NotAccepted", "not all names are accepted", now);
            }
        }
    }
}

/// Whether the kind is served already, of an older definition. A kind is what the specification says, not its status.
fn is_second(definition: &Value, others: &[Value]) -> bool {
    let made = |one: &Value| {
        let text = |field| value::metadata_text(one, field).to_owned();
        (text("creationTimestamp"), text("name"))
    };
    let (group, kind) = (&definition["spec"]["group"], &definition["spec"]["names"]["kind"]);
    others.iter().any(|other| {
        other["spec"]["group"] == *group
            && other["spec"]["names"]["kind"] == *kind
            && is_true(other, "Established")
            && made(other) < made(definition)
    })
}

/// Names of other kinds of the same group.
struct Taken {
    resources: Vec<String>,
    kinds: Vec<String>,
}

impl Taken {
    fn of(definition: &Value, others: &[Value]) -> Taken {
        let own = value::metadata_text(definition, "name");
        let group = &definition["spec"]["group"];
        let mut taken = Taken { resources: Vec::new(), kinds: Vec::new() };
        for other in others {
            if value::metadata_text(other, "name") == own || other["spec"]["group"] != *group {
                continue;
            }
            let names = &other["status"]["acceptedNames"];
            taken.resources.extend([&names["plural"], &names["singular"]].into_iter().filter_map(text));
            taken.resources.extend(texts(&names["shortNames"]));
            taken.kinds.extend([&names["kind"], &names["listKind"]].into_iter().filter_map(text));
        }
        taken
    }
}

fn take(accepted: &mut Value, wanted: &Value, field: &str, taken: &[String]) -> Result<(), String> {
    match text(&wanted[field]).filter(|name| taken.contains(name)) {
        Some(name) => Err(name),
        None => {
            put(accepted, field, &wanted[field]);
            Ok(())
        }
    }
}

fn put(accepted: &mut Value, field: &str, wanted: &Value) {
    if let Some(fields) = accepted.as_object_mut() {
        if wanted.is_null() {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), wanted.clone());
        }
    }
}

fn in_use(name: &str) -> String {
    format!("{name:?} is already in use")
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(text).collect()
}

fn items<'v>(object: &'v Value, field: &str) -> &'v [Value] {
    object[field].as_array().map_or(&[], Vec::as_slice)
}

/// Sets a condition; its time changes with its status.
fn condition(status: &mut Value, kind: &str, holds: bool, reason: &str, message: &str, now: &str) {
    let word = if holds { "True" } else { "False" };
    let old = items(status, "conditions").iter().find(|condition| condition["type"] == kind);
    let since = match old {
        Some(old) if old["status"] == word => old["lastTransitionTime"].clone(),
        _ => now.into(),
    };
    let new = json!({
        "type": kind, "status": word, "reason": reason, "message": message, "lastTransitionTime": since,
    });
    if old == Some(&new) {
        return;
    }
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    if let Some(conditions) = status["conditions"].as_array_mut() {
        match conditions.iter_mut().find(|condition| condition["type"] == kind) {
            Some(old) => *old = new,
            None => conditions.push(new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(plural: &str, kind: &str, short: &[&str]) -> Value {
        json!({
            "metadata": {"name": format!("{plural}.example.com")},
            "spec": {"group": "example.com", "names": {
                "plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List"),
                "shortNames": short,
            }},
        })
    }

    fn conditions(status: &Value) -> Value {
        let of = |condition: &Value| json!([condition["type"], condition["status"], condition["reason"]]);
        items(status, "conditions").iter().map(of).collect()
    }

    #[test]
    fn the_first_to_take_a_name_has_it() {
        let mut first = definition("crons", "Cron", &["cr"]);
        let status = plan(&first, &[], 0, true, "t1").expect("is new");
        assert_eq!(
            conditions(&status),
            json!([["NamesAccepted", "True", "NoConflicts"], ["Established", "True", "InitialNamesAccepted"]])
        );
        assert_eq!(status["acceptedNames"], first["spec"]["names"]);
        first["status"] = status;
        assert_eq!(plan(&first, std::slice::from_ref(&first), 0, true, "t2"), None, "nothing is left to say");

        let second = definition("crontabs", "CronTab", &["cr"]);
        let refused = plan(&second, &[first.clone(), second.clone()], 0, true, "t2").expect("is new");
        assert_eq!(
            conditions(&refused),
            json!([["NamesAccepted", "False", "ShortNamesConflict"], ["Established", "False", "NotAccepted"]])
        );
        let mut elsewhere = first.clone();
        elsewhere["spec"]["group"] = "example.org".into();
        let accepted = plan(&second, &[elsewhere], 0, true, "t2").expect("is new");
        assert_eq!(conditions(&accepted)[1][1], "True", "names are of a group");
    }

    #[test]
    fn a_kind_is_not_said_to_be_served_without_room_for_it() {
        let mut one = definition("crons", "Cron", &[]);
        one["status"] = plan(&one, &[], 0, false, "t1").expect("is new");
        let refused = [["NamesAccepted", "True", "NoConflicts"], ["Established", "False", "NoRoom"]];
        assert_eq!(conditions(&one["status"]), json!(refused));
        assert_eq!(plan(&one, &[], 0, false, "t2"), None, "nothing is left to say");
        one["status"] = plan(&one, &[], 0, true, "t3").expect("there is room");
        assert_eq!(conditions(&one["status"])[1], json!(["Established", "True", "InitialNamesAccepted"]));
        assert_eq!(plan(&one, &[], 0, false, "t4"), None, "what is served stays so");
    }

    #[test]
    fn a_group_of_the_program_is_not_taken() {
        let mut own = definition("policies", "Policy", &[]);
        own["spec"]["group"] = "networking.k8s.io".into();
        let status = plan(&own, &[], 0, true, "t").expect("is new");
        assert_eq!(conditions(&status)[0], json!(["NamesAccepted", "False", "GroupConflict"]));
        own["status"] = status;
        for condition in own["status"]["conditions"].as_array_mut().expect("conditions") {
            condition["status"] = "True".into();
        }
        let again = plan(&own, &[], 0, true, "t").expect("is not so");
        let refused = [["NamesAccepted", "False", "GroupConflict"], ["Established", "False", "NotAccepted"]];
        assert_eq!(conditions(&again), json!(refused), "whatever somebody says of it");
    }

    #[test]
    fn of_two_definitions_of_a_kind_only_the_first_is_served_whatever_the_status_of_the_other_says() {
        let made = |plural: &str, time: &str| {
            let mut made = definition(plural, "Cron", &[]);
            made["metadata"]["creationTimestamp"] = time.into();
            made["status"] = plan(&made, &[], 0, true, "t1").expect("is new");
            made
        };
        let (first, second) = (made("crons", "2026-01-01T00:00:00Z"), made("others", "2026-01-02T00:00:00Z"));
        let both = [first.clone(), second.clone()];
        let refused = plan(&second, &both, 0, true, "t2").expect("is not so");
        let said = json!([["NamesAccepted", "False", "SingularConflict"], ["Established", "False", SECOND]]);
        assert_eq!(conditions(&refused), said);
        let kept = plan(&first, &both, 0, true, "t2").expect("its names are another's, too");
        assert_eq!(conditions(&kept)[1], json!(["Established", "True", "InitialNamesAccepted"]));
        let mut last = second.clone();
        last["status"] = refused;
        let both = [first.clone(), last.clone()];
        assert_eq!(plan(&last, &both, 0, true, "t3"), None, "nothing is left to say");
        assert_eq!(plan(&first, &both, 0, true, "t3"), None, "its names are its own again");

        // The first goes, but there is no room; then another has its names.
        last["status"] = plan(&last, &[last.clone()], 0, false, "t4").expect("its names are free");
        let said = json!([["NamesAccepted", "True", "NoConflicts"], ["Established", "False", SECOND]]);
        assert_eq!(conditions(&last["status"]), said, "its objects are there still");
        let both = [first.clone(), last.clone()];
        last["status"] = plan(&last, &both, 0, false, "t5").expect("they are taken again");
        assert_eq!(conditions(&last["status"])[1], json!(["Established", "False", SECOND]), "and are still");
        last["status"] = plan(&last, &[last.clone()], 0, true, "t6").expect("there is room");
        assert_eq!(conditions(&last["status"])[1], json!(["Established", "True", "InitialNamesAccepted"]));

        let mut other = second;
        other["spec"]["names"]["kind"] = "Other".into();
        let stays = plan(&other, &[first, other.clone()], 0, true, "t2").expect("its singular is another's");
        assert_eq!(conditions(&stays)[1][1], "True", "what is served stays so");
    }

    #[test]
    fn a_deletion_is_told_while_objects_are_left() {
        let mut gone = definition("crons", "Cron", &[]);
        gone["metadata"]["deletionTimestamp"] = "t".into();
        gone["status"] = plan(&gone, &[], 3, true, "t1").expect("is new");
        assert_eq!(conditions(&gone["status"]), json!([["Terminating", "True", "InstanceDeletionInProgress"]]));
        assert_eq!(plan(&gone, &[], 2, true, "t2"), None);
        let done = plan(&gone, &[], 0, true, "t3").expect("differs");
        assert_eq!(conditions(&done), json!([["Terminating", "False", "InstanceDeletionCompleted"]]));
    }
}
