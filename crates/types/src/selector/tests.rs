use std::collections::BTreeMap;

use keelson_fuzzing::{Texts, fuzz};
use proptest::prelude::*;

use super::*;
use crate::names;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn label_selectors_select() {
    let web = labels(&[("app", "web"), ("tier", "front"), ("n", "5")]);
    for (text, selected) in [
        ("", true),
        ("app=web", true),
        ("app==web", true),
        ("app!=web", false),
        ("absent!=x", true),
        ("app", true),
        ("!app", false),
        ("! absent", true),
        ("app in (web, db),tier", true),
        ("app in (db)", false),
        ("app notin (db,cache)", true),
        ("absent notin (x)", true),
        ("app = web , tier = front", true),
        ("n>4", true),
        ("n<5", false),
        ("app=", false),
    ] {
        let selector = LabelSelector::parse(text).expect("a selector");
        assert_eq!(selector.matches(&web), selected, "{text}");
        assert_eq!(LabelSelector::parse(&selector.to_string()).expect("prints itself"), selector, "{text}");
    }
}

#[test]
fn what_is_no_selector_is_refused() {
    for text in ["=", "a=b=c", "a in b", "a in (b", "a b", ",", "a,", "!", "a=!", "-a=b", "a=b c", "a in ()x", "a>x"] {
        assert!(LabelSelector::parse(text).is_err(), "{text}");
    }
    assert!(!LabelSelector::nothing().matches(&labels(&[])));
}

#[test]
fn field_selectors_select() {
    let lookup = |field: &str| match field {
        "spec.nodeName" => Some("n1".to_owned()),
        "status.phase" => Some("Running".to_owned()),
        _ => None,
    };
    for (text, selected) in [
        ("", true),
        ("spec.nodeName=n1", true),
        ("spec.nodeName==n1,status.phase!=Failed", true),
        ("spec.nodeName!=n1", false),
        ("spec.nodeName=", false),
    ] {
        let selector = FieldSelector::parse(text).expect("a selector");
        assert_eq!(selector.matches(lookup), selected, "{text}");
        assert_eq!(FieldSelector::parse(&selector.to_string()).expect("prints itself"), selector);
    }
    assert!(FieldSelector::parse("spec.nodeName").is_err());
    assert_eq!(FieldSelector::parse("metadata.name=x").expect("a selector").required("metadata.name"), Some("x"));
    assert_eq!(FieldSelector::parse(r"a=b\,c\=d").expect("a selector").required("a"), Some("b,c=d"));
}

proptest! {
    #[test]
    fn in_and_not_in_are_opposites(value in "[a-c]", key in "[a-c]", chosen in prop::collection::vec("[a-c]", 1..3)) {
        let set = labels(&[(key.as_str(), value.as_str())]);
        let list = chosen.join(",");
        let within = LabelSelector::parse(&format!("a in ({list})")).expect("a selector");
        let without = LabelSelector::parse(&format!("a notin ({list})")).expect("a selector");
        prop_assert_ne!(within.matches(&set), without.matches(&set));
    }
}

#[test]
fn what_is_a_label_selector_is_printed_and_read_again() {
    let seeds =
        ["app=web,tier!=cache", "env in (a, b),!legacy", "x notin (1,)", "a", "n>4,n<9", "example.com/a == b", ""];
    let some = labels(&[("app", "web"), ("env", "a"), ("n", "5"), ("example.com/a", "b")]);
    fuzz!(Texts::new(&seeds, &["in", "notin", "(", ")", "!", "!=", "==", ",", ">", "<", " ", "app", "()"]), |text| {
        let Ok(selector) = LabelSelector::parse(text) else { return false };
        let printed = selector.to_string();
        let again = LabelSelector::parse(&printed);
        assert_eq!(again.as_ref(), Ok(&selector), "{printed}");
        assert_eq!(again.map(|again| again.matches(&some)), Ok(selector.matches(&some)));
        for requirement in &selector.requirements {
            assert_eq!(names::qualified_name(&requirement.key), Vec::<String>::new());
        }
        true
    });
}

#[test]
fn what_is_a_field_selector_is_printed_and_read_again() {
    let seeds = ["spec.nodeName=n1,status.phase!=Failed", r"a=b\,c\=d\\", "metadata.name==x", "a=", ""];
    fuzz!(Texts::new(&seeds, &["=", "==", "!=", ",", "\\", "\\,", "\\=", "!"]), |text| {
        let Ok(selector) = FieldSelector::parse(text) else { return false };
        let printed = selector.to_string();
        assert_eq!(FieldSelector::parse(&printed), Ok(selector), "{printed}");
        true
    });
}
