//! The entries of `metadata.managedFields`.

use serde_json::{Value, json};

use super::fields::Fields;
use super::shape::Shape;
use super::walk::{self, Changes};
use super::{Writer, unmanaged};

/// Managers by update, at most: the oldest of more are put together as [`ANCIENT`], as in Kubernetes.
const UPDATERS_MAX: usize = 10;
const ANCIENT: &str = "ancient-changes";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// RFC 3339.
    pub time: Option<String>,
    pub fields: Fields,
}

impl Entry {
    fn is_of(&self, manager: &str, operation: Operation, subresource: &str) -> bool {
        self.manager == manager && self.operation == operation && self.subresource == subresource
    }

    fn decode(value: &Value) -> Result<Entry, String> {
        let text = |field: &str| value[field].as_str().unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            other => return Err(format!("operation: {other:?} is neither Apply nor Update")),
        };
        if !matches!(text("fieldsType"), "FieldsV1") {
            return Err(format!("fieldsType: must be FieldsV1, not {:?}", text("fieldsType")));
        }
        let fields = match &value["fieldsV1"] {
            Value::Null => Fields::default(),
            fields => Fields::decode(fields)?,
        };
        Ok(Entry {
            manager: text("manager").to_owned(),
            operation,
            api_version: text("apiVersion").to_owned(),
            subresource: text("subresource").to_owned(),
            time: value["time"].as_str().map(str::to_owned),
            fields,
        })
    }

    fn encode(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager,
            "operation": match self.operation { Operation::Apply => "Apply", Operation::Update => "Update" },
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.encode(),
        });
        if let Some(time) = &self.time {
            entry["time"] = time.as_str().into();
        }
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.as_str().into();
        }
        entry
    }
}

/// All of an object. No entry is without fields, but that of an apply that states nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managers(Vec<Entry>);

impl Managers {
    /// # Errors
    /// What is wrong with an entry.
    pub(super) fn decode(value: &Value) -> Result<Managers, String> {
        match value {
            Value::Null => Ok(Managers::default()),
            Value::Array(entries) => {
                let mut managers = Managers::default();
                for entry in entries {
                    managers.put_together(Entry::decode(entry)?);
                }
                Ok(managers)
            }
            _ => Err("must be a list".to_owned()),
        }
    }

    /// Adds an entry. An applier has one, even when a client brings several: it has what each of them says.
    fn put_together(&mut self, mut entry: Entry) {
        if entry.operation == Operation::Apply
            && let Some(earlier) = self.take(&entry.manager, Operation::Apply, &entry.subresource)
        {
            entry.fields.add(&earlier.fields);
        }
        self.put(entry);
    }

    /// None when there are none.
    pub(super) fn encode(&self) -> Option<Value> {
        let mut entries: Vec<&Entry> = self.0.iter().collect();
        let order =
            |entry: &&Entry| (entry.operation, entry.time.clone(), entry.manager.clone(), entry.subresource.clone());
        entries.sort_by_cached_key(order);
        (!entries.is_empty()).then(|| entries.into_iter().map(Entry::encode).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn put(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    pub(super) fn take(&mut self, manager: &str, operation: Operation, subresource: &str) -> Option<Entry> {
        let index = self.0.iter().position(|entry| entry.is_of(manager, operation, subresource))?;
        Some(self.0.remove(index))
    }

    /// What all of them have.
    pub(super) fn all(&self) -> Fields {
        self.0.iter().fold(Fields::default(), |all, entry| all.with(&entry.fields))
    }

    /// Who has any of these fields, with those that it has.
    pub(super) fn holding(&self, fields: &Fields) -> Vec<Entry> {
        let held = self.0.iter().map(|entry| Entry { fields: entry.fields.intersection(fields), ..entry.clone() });
        held.filter(|entry| !entry.fields.is_empty()).collect()
    }

    /// Takes what changed from all who had it.
    pub(super) fn release(&mut self, changes: &Changes) {
        for fields in [&changes.added, &changes.modified, &changes.removed] {
            self.0.iter_mut().for_each(|entry| entry.fields.subtract(fields));
        }
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    /// An update: its writer takes what changed, and everybody else loses it.
    pub(super) fn update(
        &mut self,
        old: Option<&Value>,
        new: &Value,
        shape: Shape,
        api_version: &str,
        writer: Writer<'_>,
    ) {
        let changes = walk::compare(old, new, shape).without(&unmanaged());
        self.release(&changes);
        let taken = changes.taken();
        if taken.is_empty() || writer.manager.is_empty() {
            return;
        }
        let earlier = self.take(writer.manager, Operation::Update, writer.subresource);
        self.put(Entry {
            manager: writer.manager.to_owned(),
            operation: Operation::Update,
            api_version: api_version.to_owned(),
            subresource: writer.subresource.to_owned(),
            time: Some(writer.now.to_owned()),
            fields: earlier.map(|entry| entry.fields).unwrap_or_default().with(&taken),
        });
        self.cap();
    }

    fn cap(&mut self) {
        let updaters = self.0.iter().filter(|entry| entry.operation == Operation::Update).count();
        if updaters <= UPDATERS_MAX {
            return;
        }
        let (mut updaters, mut kept): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut self.0).into_iter().partition(|entry| entry.operation == Operation::Update);
        updaters.sort_by(|left, right| left.time.cmp(&right.time));
        let recent = updaters.split_off(updaters.len() + 1 - UPDATERS_MAX);
        let mut updaters = updaters.into_iter();
        if let Some(first) = updaters.next() {
            let ancient = Entry { manager: ANCIENT.to_owned(), subresource: String::new(), ..first };
            kept.push(updaters.fold(ancient, |ancient, entry| Entry {
                fields: ancient.fields.with(&entry.fields),
                time: entry.time,
                ..ancient
            }));
        }
        kept.extend(recent);
        self.0 = kept;
    }
}
