//! Kinds that users define with a CustomResourceDefinition.
//!
//! A [`Kind`] is known by reference all over the program. One that users define is *leaked* for that: made once for a content,
//! never taken back. Whoever makes them ([`Described::leak`]) must bound how many different ones a process ever makes, and
//! must make the same content only once.

use jiff::Timestamp;
use serde_json::Value;

use crate::field;
use crate::jsonpath::{self, Template, WORK_MAX};
use crate::kind::{Behaviour, Kind, Served};
use crate::table::{self, Column};

/// What a CustomResourceDefinition says of one version of a kind; what is code for other kinds.
///
/// Values that are handed in have an object's metadata, and nothing else may be relied on.
pub trait Definition: Send + Sync {
    /// Takes out the fields that the schema does not have and returns their paths.
    fn prune(&self, object: &mut Value) -> Vec<String>;
    /// Fills in the schema's defaults. Idempotent.
    fn default(&self, object: &mut Value);
    /// Everything that is wrong with an object, or with `new` as the successor of `old`.
    fn validate(&self, new: &Value, old: Option<&Value>, errors: &mut Vec<field::Error>);
    /// One row of a table.
    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value>;
    /// Where the values of the columns after the name are, one path for each.
    fn column_paths(&self) -> &[String];
    /// The OpenAPI schema of the whole object, as it was given.
    fn schema(&self) -> &Value;
    /// The same for clients, with what every object has.
    fn openapi(&self) -> Value;
    /// Where replicas are; `None` without a scale subresource.
    fn scale(&self) -> Option<&Scale>;
    /// The apiVersion that objects have in the store.
    fn stored_api_version(&self) -> &str;
    /// What a client is told who uses this version; `None` mostly.
    fn warning(&self) -> Option<&str>;
}

impl std::fmt::Debug for dyn Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Definition").finish_non_exhaustive()
    }
}

/// Paths of the fields that a Scale shows, such as `spec.replicas`: without a leading dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    pub spec_replicas: String,
    pub status_replicas: String,
    /// Empty when there is none.
    pub label_selector: String,
}

/// One version of a kind as its users describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub status: bool,
    pub scale: bool,
    /// Without the name, which comes first.
    pub columns: Vec<DescribedColumn>,
    /// Paths without a leading dot.
    pub selectable_fields: Vec<String>,
}

/// A column that a JSON path fills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedColumn {
    pub name: String,
    /// `integer`, `number`, `string`, `boolean` or `date`.
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i32,
    /// Such as `.spec.replicas`.
    pub path: String,
}

impl DescribedColumn {
    /// What is shown of a kind without columns of its own.
    pub fn age() -> Self {
        Self {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            description: Column::AGE.description.to_owned(),
            path: ".metadata.creationTimestamp".to_owned(),
            ..Self::default()
        }
    }
}

impl Described {
    /// Makes a kind of it that stays as long as the process.
    pub fn leak(self, definition: &'static dyn Definition) -> &'static Kind {
        let text = |text: String| -> &'static str { String::leak(text) };
        let texts = |texts: Vec<String>| -> &'static [&'static str] {
            Vec::leak(texts.into_iter().map(|text| &*String::leak(text)).collect())
        };
        let columns = self.columns.into_iter().map(|column| Column {
            name: text(column.name),
            kind: text(column.kind),
            format: text(column.format),
            description: text(column.description),
            priority: column.priority,
        });
        let selectable = self.selectable_fields.into_iter().map(|path| (text(path), ""));
        Box::leak(Box::new(Kind {
            columns: Vec::leak(std::iter::once(Column::NAME).chain(columns).collect()),
            selectable_fields: Vec::leak(selectable.collect()),
            group: text(self.group),
            version: text(self.version),
            kind: text(self.kind),
            list_kind: text(self.list_kind),
            plural: text(self.plural),
            singular: text(self.singular),
            short_names: texts(self.short_names),
            categories: texts(self.categories),
            namespaced: self.namespaced,
            status: self.status,
            scale: self.scale,
            approval: false,
            served: Served::Stored,
            merge_rules: &[],
            behaviour: Behaviour { definition: Some(definition), counts_generation: true, ..Behaviour::of::<Value>() },
        }))
    }

    /// Everything that it holds, in bytes: what leaking it costs, roughly.
    pub fn size_bytes(&self) -> usize {
        let lists = [&self.short_names, &self.categories, &self.selectable_fields];
        let listed: usize = lists.into_iter().flatten().map(|text| text.len() + size_of::<&str>()).sum();
        let columns: usize = self
            .columns
            .iter()
            .map(|column| size_of::<Column>() + column.name.len() + column.description.len() + column.path.len())
            .sum();
        size_of::<Kind>() + listed + columns + self.group.len() + self.kind.len() * 2 + self.plural.len() * 2
    }
}

/// Looks at values that are left for each column of a row, whatever the columns before it look at.
const WORK_KEPT: usize = 100;
/// A longer text is shown in part: 32 columns may each show a whole object.
const CELL_BYTES_MAX: usize = 1024;

/// The cells of a table as JSON paths find them.
#[derive(Debug)]
pub struct Cells(Vec<(String, Option<Template>)>);

impl Cells {
    /// A path that cannot be read makes an empty cell, and so does one that looks at too much of an object.
    pub fn new(columns: &[DescribedColumn]) -> Cells {
        let cell = |column: &DescribedColumn| (column.kind.clone(), Template::relaxed(&column.path).ok());
        Cells(columns.iter().map(cell).collect())
    }

    /// The name, and a cell for each column. All of them together look at [`WORK_MAX`] values.
    pub fn of(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut left = WORK_MAX;
        let cells = self.0.iter().enumerate().map(|(index, (kind, path))| {
            let kept = WORK_KEPT * (self.0.len() - 1 - index);
            let given = left.saturating_sub(kept);
            let mut work = given;
            let found = path.as_ref().and_then(|path| path.first(object, &mut work).ok()).flatten();
            left -= given - work;
            found.map_or(Value::Null, |value| cell(kind, value, now))
        });
        std::iter::once(table::name(object)).chain(cells).collect()
    }
}

/// A value of another type than its column's is not shown.
fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match kind {
        "string" => jsonpath::text_within(value, CELL_BYTES_MAX).into(),
        "date" => table::age(value, now).into(),
        "integer" => match (value.as_i64(), value.as_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => (number as i64).into(),
            (None, None) => Value::Null,
        },
        "number" if value.is_number() => value.clone(),
        "boolean" if value.is_boolean() => value.clone(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_what_their_columns_say() {
        let column =
            |kind: &str, path: &str| DescribedColumn { kind: kind.into(), path: path.into(), ..Default::default() };
        let cells = Cells::new(&[
            column("integer", ".spec.replicas"),
            column("string", ".status.conditions[?(@.type==\"Ready\")].status"),
            column("date", ".metadata.creationTimestamp"),
            column("boolean", ".spec.replicas"),
            column("number", ".spec.share"),
            column("string", ".spec.list"),
            column("string", ".spec.nothing"),
            column("string", ".spec[broken"),
        ]);
        let object = json!({
            "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": 3, "share": 0.5, "list": [1, 2]},
            "status": {"conditions": [{"type": "Other", "status": "x"}, {"type": "Ready", "status": "True"}]},
        });
        let now = "2026-01-01T00:10:00Z".parse().expect("a time");
        assert_eq!(json!(cells.of(&object, now)), json!(["a", 3, "True", "10m", null, 0.5, "[1,2]", null, null]));
    }

    #[test]
    fn all_cells_of_a_row_share_what_may_be_looked_at() {
        let column = |path: &str| DescribedColumn { kind: "string".into(), path: path.into(), ..Default::default() };
        // Looks at the whole list for each of its items.
        let greedy = ".spec.list[?($.spec.list[?(@==\"none\")])]";
        let list: Vec<usize> = (0..2000).collect();
        let object = json!({"metadata": {"name": "a"}, "spec": {"list": list, "image": "i"}});
        let row = |path: &str, count: usize| {
            let mut columns = vec![column(path); count];
            columns.push(column(".spec.image"));
            Cells::new(&columns).of(&object, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(
            row(greedy, 31)[31..],
            [Value::Null, json!("i")],
            "what costs little is shown whatever the others do"
        );

        let some = ".spec.list[?(@==1000)]";
        let mut work = WORK_MAX;
        assert_eq!(Template::relaxed(some).expect("reads").first(&object, &mut work), Ok(Some(&json!(1000))));
        let shown = WORK_MAX / (WORK_MAX - work);
        let row = row(some, shown + 1);
        assert_eq!(row[1], "1000");
        assert_eq!(row[shown + 1..], [Value::Null, json!("i")], "those before it have looked at all that a row may");
    }

    #[test]
    fn a_cell_shows_no_more_than_the_beginning_of_a_long_text() {
        let column = DescribedColumn { kind: "string".into(), path: ".spec".into(), ..Default::default() };
        let object = json!({"metadata": {"name": "a"}, "spec": {"text": "x".repeat(10_000)}});
        let row = Cells::new(&[column]).of(&object, Timestamp::UNIX_EPOCH);
        assert_eq!(row[1].as_str().map(str::len), Some(CELL_BYTES_MAX + '…'.len_utf8()));
    }
}
