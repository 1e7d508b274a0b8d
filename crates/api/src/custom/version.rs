//! One version of a kind that users define: its schema and its columns.

use jiff::Timestamp;
use keelson_schema::Structural;
use keelson_types::custom::{Cells, Described, Scale};
use keelson_types::{Definition, Kind, field};
use serde_json::Value;

use super::definitions;

/// Complaints about the schemas of one definition that are told at most.
const FAULTS_MAX: usize = 50;

/// What [`Definition`] asks for.
struct Version {
    /// As it was given.
    schema: Value,
    structural: Structural,
    cells: Cells,
    column_paths: Vec<String>,
    scale: Option<Scale>,
    stored_api_version: String,
    warning: Option<String>,
}

/// A kind of one element of `spec.versions`; `None` for a schema that cannot be read, which no definition has that was checked.
pub(super) fn leak(described: Described, version: &Value, stored_api_version: &str) -> Option<&'static Kind> {
    let schema = version["schema"]["openAPIV3Schema"].clone();
    let structural = match Structural::parse_stored(&schema, "openAPIV3Schema") {
        Ok(structural) => structural,
        Err(errors) => {
            let error = errors.first().map(ToString::to_string);
            tracing::error!(kind = described.kind, version = described.version, error, "a schema cannot be read");
            return None;
        }
    };
    let made = Version {
        schema,
        structural,
        cells: Cells::new(&described.columns),
        column_paths: described.columns.iter().map(|column| column.path.clone()).collect(),
        scale: definitions::scale(version),
        stored_api_version: stored_api_version.to_owned(),
        warning: warning(&described, version),
    };
    Some(described.leak(Box::leak(Box::new(made))))
}

fn warning(described: &Described, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    let own = version["deprecationWarning"].as_str().map(str::to_owned);
    Some(own.unwrap_or_else(|| format!("{}/{} {} is deprecated", described.group, described.version, described.kind)))
}

/// Everything that is wrong with the schemas of a CustomResourceDefinition, but those that `old` has in some version: what was good
/// once stays so.
pub fn check(definition: &Value, old: Option<&Value>, errors: &mut Vec<field::Error>) {
    let before = errors.len();
    let known: Vec<&Value> = old
        .and_then(|old| old["spec"]["versions"].as_array())
        .into_iter()
        .flatten()
        .map(|version| &version["schema"]["openAPIV3Schema"])
        .collect();
    for (index, version) in definition["spec"]["versions"].as_array().into_iter().flatten().enumerate() {
        let schema = &version["schema"]["openAPIV3Schema"];
        if schema.is_object()
            && !known.contains(&schema)
            && let Err(faults) = Structural::parse(schema, &format!("spec.versions[{index}].schema.openAPIV3Schema"))
        {
            errors.extend(faults);
        }
    }
    errors.truncate(before + FAULTS_MAX);
}

impl Definition for Version {
    fn prune(&self, object: &mut Value) -> Vec<String> {
        self.structural.prune(object)
    }

    fn default(&self, object: &mut Value) {
        self.structural.default(object);
    }

    fn validate(&self, new: &Value, old: Option<&Value>, errors: &mut Vec<field::Error>) {
        errors.extend(self.structural.validate(new, old));
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        self.cells.of(object, now)
    }

    fn column_paths(&self) -> &[String] {
        &self.column_paths
    }

    fn schema(&self) -> &Value {
        &self.schema
    }

    fn openapi(&self) -> Value {
        self.structural.openapi()
    }

    fn scale(&self) -> Option<&Scale> {
        self.scale.as_ref()
    }

    fn stored_api_version(&self) -> &str {
        &self.stored_api_version
    }

    fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}
