use serde_json::json;

use super::*;

fn definition(columns: &Value) -> Value {
    json!({
        "metadata": {"name": "crontabs.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "crontabs", "singular": "crontab", "kind": "CronTab", "listKind": "CronTabList"},
            "conversion": {"strategy": "None"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}},
                "additionalPrinterColumns": columns,
            }],
        },
    })
}

fn complaints(definition: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    validate(definition, &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

fn column(path: &str) -> Value {
    json!({"name": "Column", "type": "string", "jsonPath": path})
}

#[test]
fn a_column_costs_little_whatever_its_path() {
    for path in [".spec.a", ".spec..a", ".status.conditions[?(@.type==\"Ready\")].status", ".spec.list[0]['a','b']"] {
        assert_eq!(complaints(&definition(&json!([column(path)]))), Vec::<String>::new(), "{path}");
    }
    for (path, why) in [
        (format!(".a{}", "[?(@".repeat(200)), "too many filters in one another"),
        (format!(".a{}", "[?(@".repeat(100_000)), "Too long: may not be more than 1024 bytes"),
        (".a..b..c".to_owned(), "must not have .. more than once"),
        (".a[?(@..b==1)]..c".to_owned(), "must not have .. more than once"),
        (".a} {.b".to_owned(), "it is more than one path"),
    ] {
        let told = complaints(&definition(&json!([column(&path)])));
        let [complaint] = told.as_slice() else { panic!("{path:.40}: {told:?}") };
        assert!(complaint.contains("spec.versions[0].additionalPrinterColumns[0].jsonPath"), "{complaint}");
        assert!(complaint.contains(why), "{complaint}");
    }
    let many = |count: usize| definition(&vec![column(".a"); count].into());
    assert_eq!(complaints(&many(32)), Vec::<String>::new());
    let told = complaints(&many(33));
    assert!(told[0].contains("additionalPrinterColumns: Too many: 33: must have at most 32 items"), "{told:?}");
}

#[test]
fn names_are_few() {
    for field in ["shortNames", "categories"] {
        let mut definition = definition(&Value::Null);
        let names: Vec<String> = (0..33).map(|n| format!("n{n}")).collect();
        definition["spec"]["names"][field] = json!(names[..32]);
        assert_eq!(complaints(&definition), Vec::<String>::new());
        definition["spec"]["names"][field] = json!(names);
        let told = complaints(&definition);
        assert!(told[0].contains(&format!("spec.names.{field}: Too many: 33")), "{told:?}");
    }
}
