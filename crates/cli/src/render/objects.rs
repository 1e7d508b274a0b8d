//! Objects in the formats of `-o`.

use clap::ValueEnum;
use jiff::Timestamp;
use keelson_types::Kind;
use serde::Serialize as _;
use serde_json::{Value, json};

use super::table::Table;
use super::{pairs, text};
use crate::Error;
use crate::target::display;

/// The format of `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    Yaml,
    Name,
    Wide,
}

/// How a table shows objects.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    pub wide: bool,
    pub show_labels: bool,
    /// Several kinds are shown: names say their kind.
    pub with_kind: bool,
    /// Several namespaces are shown: there is a column for them.
    pub with_namespace: bool,
    pub no_headers: bool,
}

impl View {
    pub fn header(&self, kind: &Kind) -> Vec<String> {
        let mut header = Vec::new();
        if self.with_namespace && kind.namespaced {
            header.push("NAMESPACE".to_owned());
        }
        let columns = kind.columns.iter().filter(|column| self.wide || column.priority == 0);
        header.extend(columns.map(|column| column.name.to_uppercase()));
        if self.show_labels {
            header.push("LABELS".to_owned());
        }
        header
    }

    pub fn row(&self, kind: &Kind, object: &Value, now: Timestamp) -> Vec<String> {
        let mut row = Vec::new();
        if self.with_namespace && kind.namespaced {
            row.push(text(&object["metadata"]["namespace"]));
        }
        for (column, cell) in kind.columns.iter().zip(kind.cells(object, now)) {
            if column.format == "name" && self.with_kind {
                row.push(display(kind, &text(&cell)));
            } else if self.wide || column.priority == 0 {
                row.push(text(&cell));
            }
        }
        if self.show_labels {
            row.push(pairs(&object["metadata"]["labels"]));
        }
        row
    }

    pub fn table(&self, kind: &Kind, objects: &[Value], now: Timestamp) -> Table {
        let mut table = Table::new(self.header(kind));
        for object in objects {
            table.row(self.row(kind, object, now));
        }
        if self.no_headers { table.without_header() } else { table }
    }
}

/// One object, or several as a List. Who manages which field is left out: it is longer than most objects and seldom asked for.
pub(crate) fn document(mut objects: Vec<Value>, single: bool) -> Value {
    for object in &mut objects {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    }
    match objects.pop() {
        Some(object) if single && objects.is_empty() => object,
        last => {
            objects.extend(last);
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects})
        }
    }
}

/// Indented by four, as kubectl does, with a line feed at the end.
pub(crate) fn json_text(value: &Value) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value.serialize(&mut serializer).map_err(|error| Error::Failed(error.to_string()))?;
    let mut text = String::from_utf8(bytes).map_err(|error| Error::Failed(error.to_string()))?;
    text.push('\n');
    Ok(text)
}

pub(crate) fn yaml_text(value: &Value) -> Result<String, Error> {
    serde_norway::to_string(value).map_err(|error| Error::Failed(error.to_string()))
}

/// Sorts objects by the field at a path such as `.metadata.creationTimestamp` or `{.spec.replicas}`.
pub(crate) fn sort_by(objects: &mut [Value], path: &str) -> Result<(), Error> {
    let inner = path.trim().trim_start_matches('{').trim_end_matches('}').trim_start_matches('.');
    if inner.is_empty() || inner.contains(['[', '(', '*', ' ']) {
        return Err(Error::Usage(format!("--sort-by takes a path such as .metadata.name, not {path:?}")));
    }
    let pointer: String =
        inner.split('.').map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1"))).collect();
    let key = |object: &Value| object.pointer(&pointer).cloned().unwrap_or_default();
    objects.sort_by(|left, right| compare(&key(left), &key(right)));
    Ok(())
}

/// Numbers by size, the rest by text; absent first.
fn compare(left: &Value, right: &Value) -> std::cmp::Ordering {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => text(left).cmp(&text(right)),
    }
}

#[cfg(test)]
mod tests {
    use keelson_types::registry;

    use super::*;
    use crate::render::color::Color;

    fn map(name: &str, data: usize) -> Value {
        let data: serde_json::Map<String, Value> = (0..data).map(|n| (format!("k{n}"), json!("v"))).collect();
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
               "metadata": {"name": name, "namespace": "default", "labels": {"app": "web", "tier": "a"},
                            "creationTimestamp": "1970-01-01T00:00:00Z"}})
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(5)
    }

    #[test]
    fn a_table_shows_what_is_asked_for() {
        let kind = registry::by_name("configmaps").expect("it is a kind");
        let view = View { with_namespace: true, with_kind: true, show_labels: true, ..View::default() };
        let text = view.table(kind, &[map("a", 2)], now()).render(Color::new(false));
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            (rows[0][..2].join(" "), rows[1][..2].join(" ")),
            ("NAMESPACE NAME".into(), "default configmap/a".into())
        );
        assert_eq!((rows[0].last(), rows[1].last()), (Some(&"LABELS"), Some(&"app=web,tier=a")));
        let bare = View { no_headers: true, ..View::default() }.table(kind, &[map("a", 2)], now());
        let text = bare.render(Color::new(false));
        assert!(text.starts_with("a   ") && text.ends_with("   5m\n"), "{text}");
    }

    #[test]
    fn one_object_stands_alone_and_several_are_a_list() {
        assert_eq!(document(vec![map("a", 0)], true)["kind"], "ConfigMap");
        let list = document(vec![map("a", 0), map("b", 0)], false);
        assert_eq!((list["kind"].as_str(), list["items"][1]["metadata"]["name"].as_str()), (Some("List"), Some("b")));
        assert_eq!(document(vec![], false)["items"], json!([]));
        let mut managed = map("a", 0);
        managed["metadata"]["managedFields"] = json!([{"manager": "me"}]);
        assert!(document(vec![managed], true)["metadata"].get("managedFields").is_none());
    }

    #[test]
    fn json_is_indented_by_four_and_yaml_is_block_style() {
        assert_eq!(
            json_text(&json!({"a": {"b": [1]}})).expect("text"),
            "{\n    \"a\": {\n        \"b\": [\n            1\n        ]\n    }\n}\n"
        );
        assert_eq!(
            yaml_text(&json!({"a": {"b": [1, "1", true]}})).expect("text"),
            "a:\n  b:\n  - 1\n  - '1'\n  - true\n"
        );
    }

    #[test]
    fn sorting_knows_numbers_from_text() {
        let mut objects = vec![json!({"n": 10, "s": "b"}), json!({"n": 9, "s": "c"}), json!({"s": "a"})];
        sort_by(&mut objects, "{.n}").expect("a path");
        assert_eq!(objects.iter().map(|object| text(&object["s"])).collect::<String>(), "acb");
        sort_by(&mut objects, ".s").expect("a path");
        assert_eq!(objects.iter().map(|object| text(&object["s"])).collect::<String>(), "abc");
        assert!(sort_by(&mut objects, ".items[*]").is_err());
    }
}
