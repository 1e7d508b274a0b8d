use keelson_fuzzing::{Objects, Texts, fuzz};
use serde_json::json;

use super::*;

#[test]
fn templates_print_what_kubectl_prints() {
    let pods = json!({"kind": "List", "items": [
        {"metadata": {"name": "a", "labels": {"app.io/x": "1"}}, "status": {"phase": "Running", "n": 3}},
        {"metadata": {"name": "b", "labels": {}}, "status": {"phase": "Pending", "n": 10}},
    ]});
    for (template, printed) in [
        ("{.kind}", "List"),
        ("{$.kind}: {@.kind}", "List: List"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0].metadata.name}", "a"),
        ("{.items[-1].metadata.name}", "b"),
        ("{.items[-1:].metadata.name}", "b"),
        ("{.items[0:2:2].metadata.name}", "a"),
        ("{.items[0].metadata.labels.app\\.io/x}", "1"),
        ("{.items[0].metadata.labels['app.io/x']}", "1"),
        ("{.items[0].metadata['name','labels']}", "a {\"app.io/x\":\"1\"}"),
        ("{..name}", "a b"),
        ("{.items[?(@.status.phase==\"Pending\")].metadata.name}", "b"),
        ("{.items[?(@.status.phase!='Pending')].metadata.name}", "a"),
        ("{.items[?(@.status.n>5)].metadata.name}", "b"),
        ("{.items[?(@.nothing)].metadata.name}", ""),
        ("{range .items[*]}{.metadata.name}{\"\\t\"}{.status.phase}{\"\\n\"}{end}", "a\tRunning\nb\tPending\n"),
        ("{range .items[*]}[{.metadata.name}]{end} of {.kind}", "[a][b] of List"),
        ("{.nothing.at.all}", ""),
        ("{.items[*]['metadata']['name']}", "a b"),
        ("plain", "plain"),
    ] {
        assert_eq!(Template::parse(template).and_then(|read| read.print(&pods)), Ok(printed.to_owned()), "{template}");
    }
    let relaxed = |path: &str| Template::relaxed(path).and_then(|read| read.print(&pods));
    for path in ["kind", ".kind", "{.kind}", "{kind}"] {
        assert_eq!(relaxed(path), Ok("List".to_owned()), "{path}");
    }
    assert!(Template::parse("{.items[7]}").expect("reads").print(&pods).is_err());
}

#[test]
fn what_is_no_template_is_told() {
    for template in [
        "{",
        "{.a",
        "{.a[}",
        "{.a[1}",
        "{range .a}",
        "{end}",
        "{.a[?(@.b==)]}",
        "{.a[?(@.b]}",
        "{'open}",
        "{.a b}",
        "{.a[x]}",
    ] {
        assert!(Template::parse(template).is_err(), "{template}");
    }
}

#[test]
fn a_path_of_any_length_and_depth_is_answered() {
    for (path, why) in [
        (format!(".a{}", "[?(@".repeat(100_000)), "too many filters in one another"),
        (format!(".a{}", ".a".repeat(100_000)), "a path of more than 128 steps"),
    ] {
        assert_eq!(Template::relaxed(&path).map(|_| ()), Err(why.to_owned()));
    }
    let filters = |count: usize| format!(".a{}{}", "[?(@.a".repeat(count), ")]".repeat(count));
    assert!(Template::relaxed(&filters(16)).is_ok());
    assert!(Template::relaxed(&filters(17)).is_err());
    assert!(Template::relaxed(".a} and {.b").is_err(), "two paths are no path");
}

#[test]
fn the_first_value_is_found_without_a_look_at_the_others() {
    let many = json!({"items": (0..WORK_MAX * 2).map(|n| json!({"n": n, "s": {"a": [n]}})).collect::<Vec<_>>()});
    let first = |path: &str| {
        Template::relaxed(path).expect("reads").first(&many, &mut WORK_MAX.clone()).map(|found| found.cloned())
    };
    assert_eq!(first(".items[*].n"), Ok(Some(json!(0))));
    assert_eq!(first("..n"), Ok(Some(json!(0))));
    assert_eq!(first(".items[?(@.n>3)].s.a[0]"), Ok(Some(json!(4))));
    assert_eq!(first(".items[?(@.n==19999)].n"), Err("the path looks at too many values".to_owned()));
    assert_eq!(first("..nothing"), Err("the path looks at too many values".to_owned()));
    assert_eq!(first(".items[19999].n"), Ok(Some(json!(19_999))));
}

#[test]
fn what_multiplies_is_given_up() {
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({ "a": deep });
    }
    for path in [format!("..a{}..b", "..a".repeat(40)), format!(".a{}.b", "['a','a']".repeat(40))] {
        let template = Template::relaxed(&path).expect("reads");
        assert!(template.first(&deep, &mut WORK_MAX.clone()).is_err(), "{path}");
    }
    let list = json!({"items": vec!["x".repeat(100_000); 5_000]});
    let same = Template::relaxed(".items[?(@!=$.items[0])]").expect("reads");
    assert!(same.first(&list, &mut WORK_MAX.clone()).is_err(), "long texts are compared again and again");
}

#[test]
fn descents_are_counted_wherever_they_are() {
    for (path, count) in [(".a.b", 0), ("..a", 1), ("..a..b", 2), (".a[?(@..b==$..c)]", 2), (".a[?(@.b[?(..c)])]", 1)] {
        assert_eq!(Template::relaxed(path).map(|template| template.descents()), Ok(count), "{path}");
    }
}

#[test]
fn the_deepest_search_that_a_column_may_ask_for_fits_on_a_stack() {
    let mut deep = json!([{}]);
    for _ in 0..97 {
        deep = json!({ "a": deep });
    }
    let down = ".a".repeat(97);
    let path = format!("{down}{}.b{}", format!("[?(${down}").repeat(4), ")]".repeat(4));
    assert!((900..1024).contains(&path.len()), "{}", path.len());
    let found =
        Template::relaxed(&path).expect("reads").first(&deep, &mut WORK_MAX.clone()).map(|found| found.cloned());
    assert_eq!(found, Ok(None));
}

#[test]
fn a_long_text_is_cut_and_a_large_value_is_not_written_for_it() {
    assert_eq!(text_within(&json!("häuser"), 2), "h…", "not within a letter");
    assert_eq!(text_within(&json!("ab"), 2), "ab");
    assert_eq!(text_within(&json!({"a": [1, 2]}), 11), "{\"a\":[1,2]}");
    assert_eq!(text_within(&json!({"a": [1, 2]}), 6), "{\"a\":[…");
    assert_eq!(beginning(&json!(vec!["x".repeat(1000); 1000]), 100).len(), 100);
    assert_eq!(text_within(&json!(null), 1), "");
}

#[test]
fn no_template_and_no_value_takes_more_looks_than_it_may() {
    let templates = [
        "{.items[*].metadata.name}",
        "{range .items[*]}{.metadata.name}{\"\\t\"}{end}",
        "{.items[?(@.status.n>5)].metadata['name','labels']}",
        "{..name}{$.kind} {.items[-1:].x} {.items[0:2:2]}",
        "{.items[?(@.metadata.labels[?(@.a==1)])]}",
    ];
    let words =
        ["[", "]", "[?(", "@", ")", "..", ".*", "[-1]", "[::-1]", "[::0]", "{end}", "{range .items[*]}", "'", "=="];
    let pod = |name: &str| json!({"metadata": {"name": name, "labels": {"a": 1}}, "status": {"n": 7}});
    let value = json!({"kind": "List", "items": [pod("a"), pod("b")]});
    let values = Objects::new(vec![value; templates.len()], &["items", "metadata", "name"]);
    fuzz!((Texts::new(&templates, &words), values), |(template, value)| {
        let Ok(template) = Template::parse(template) else { return false };
        let mut work = WORK_MAX;
        let first = template.first(value, &mut work);
        assert!(work <= WORK_MAX);
        // What looks at values for values that it found is bounded where others write it, and costs whoever does for himself.
        if template.descents() < 2 {
            let printed = template.print(value);
            if let (Ok(first), Ok(values)) = (first, template.values(value)) {
                assert_eq!(first, values.first().copied(), "what comes first comes first, {printed:?}");
            }
        }
        true
    });
}
