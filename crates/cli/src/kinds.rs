//! Kinds that users define, as the API tells of them: the program's own are known without asking.

use jiff::Timestamp;
use keelson_client::proto;
use keelson_types::custom::{Cells, Described, DescribedColumn, Scale};
use keelson_types::{Definition, Kind, field};
use serde_json::Value;

use crate::Error;
use crate::context::Context;

/// The kinds that a word means, in every version; all of them for an empty word. Empty, too, with an API of before such kinds.
pub(crate) async fn custom(context: &mut Context, word: &str) -> Result<Vec<&'static Kind>, Error> {
    let kinds = match context.client()?.kinds().list(word, false).await {
        Ok(kinds) => kinds,
        Err(error) if error.is_unimplemented() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    Ok(kinds.into_iter().map(leak).collect())
}

/// The schema of the first kind that a word means, as it was published.
pub(crate) async fn explained(context: &mut Context, word: &str) -> Result<Option<(&'static Kind, Value)>, Error> {
    let kinds = match context.client()?.kinds().list(word, true).await {
        Ok(kinds) => kinds,
        Err(error) if error.is_unimplemented() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(kind) = kinds.into_iter().next() else { return Ok(None) };
    let schema = serde_json::from_slice(&kind.schema).map_err(|error| Error::Failed(error.to_string()))?;
    Ok(Some((leak(kind), schema)))
}

/// What keelctl does with objects of such a kind: it shows them. The API checks them.
struct Shown(Cells);

/// A run asks for the kinds that it needs and ends: there is nothing to free.
fn leak(kind: proto::Kind) -> &'static Kind {
    let column = |column: proto::kind::Column| DescribedColumn {
        name: column.name,
        kind: column.r#type,
        format: column.format,
        description: column.description,
        priority: column.priority,
        path: column.json_path,
    };
    let columns: Vec<DescribedColumn> = kind.columns.into_iter().map(column).collect();
    let shown = Shown(Cells::new(&columns));
    let described = Described {
        group: kind.group,
        version: kind.version,
        kind: kind.kind,
        list_kind: kind.list_kind,
        plural: kind.plural,
        singular: kind.singular,
        short_names: kind.short_names,
        categories: kind.categories,
        namespaced: kind.namespaced,
        status: kind.status,
        scale: kind.scale,
        columns,
        selectable_fields: Vec::new(),
    };
    described.leak(Box::leak(Box::new(shown)))
}

impl Definition for Shown {
    fn prune(&self, _: &mut Value) -> Vec<String> {
        Vec::new()
    }

    fn default(&self, _: &mut Value) {}

    fn validate(&self, _: &Value, _: Option<&Value>, _: &mut Vec<field::Error>) {}

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        self.0.of(object, now)
    }

    fn column_paths(&self) -> &[String] {
        &[]
    }

    fn schema(&self) -> &Value {
        &Value::Null
    }

    fn openapi(&self) -> Value {
        Value::Null
    }

    fn scale(&self) -> Option<&Scale> {
        None
    }

    fn stored_api_version(&self) -> &str {
        ""
    }

    fn warning(&self) -> Option<&str> {
        None
    }
}
