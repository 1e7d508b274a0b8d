//! What an answer looks like: an object, a list or a watch event in the form that was negotiated.
//!
//! Pure: encoded objects in, JSON text out. In the plain form an object's stored text is passed through untouched. Other media
//! types are made of the JSON ([`super::media`], [`super::stream`]).

use bytes::Bytes;
use jiff::Timestamp;
use keelson_types::Kind;
use keelson_types::table::Column;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::frames::Frames;
use super::media::Media;
use super::negotiate::{Form, MetaVersion};
use super::parameters::IncludeObject;
use super::scale;

type Result<T = ()> = serde_json::Result<T>;

/// The annotation of the bookmark that follows the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// How one answer presents objects of one kind.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub kind: &'static Kind,
    pub form: Form,
    pub media: Media,
    /// What a table's rows carry.
    pub include: IncludeObject,
    /// Whether the objects are those of the scale subresource.
    pub scale: bool,
}

/// The metadata of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct ListMeta {
    pub resource_version: i64,
    /// Empty when the list is complete.
    pub continue_token: String,
    pub remaining: Option<i64>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

#[derive(Deserialize)]
struct VersionedHead<'a> {
    #[serde(borrow)]
    metadata: Version<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version<'a> {
    #[serde(default)]
    resource_version: &'a str,
}

impl View {
    /// One object as a document of its own.
    pub(super) fn object(&self, json: &Bytes, now: Timestamp, frames: &mut Frames) -> Result {
        match self.form {
            Form::Object => frames.shared(json),
            Form::Table(version) => self.table_of_one(version, json, true, now, frames)?,
            Form::Metadata(version) => metadata_only(version, json, frames)?,
        }
        Ok(())
    }

    /// A list up to its first item.
    pub(super) fn list_open(&self, meta: &ListMeta, frames: &mut Frames) -> Result {
        let mut metadata = json!({"resourceVersion": meta.resource_version.to_string()});
        if !meta.continue_token.is_empty() {
            metadata["continue"] = meta.continue_token.as_str().into();
        }
        if let Some(remaining) = meta.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        match self.form {
            Form::Object => {
                type_meta(self.kind.list_kind, &self.kind.api_version(), frames)?;
                frames.json(&metadata)?;
                frames.text(",\"items\":[");
            }
            Form::Metadata(version) => {
                type_meta("PartialObjectMetadataList", version.api_version(), frames)?;
                frames.json(&metadata)?;
                frames.text(",\"items\":[");
            }
            Form::Table(version) => {
                type_meta("Table", version.api_version(), frames)?;
                frames.json(&metadata)?;
                frames.text(",\"columnDefinitions\":");
                frames.json(&self.column_definitions())?;
                frames.text(",\"rows\":[");
            }
        }
        Ok(())
    }

    pub(super) fn list_item(&self, json: &Bytes, first: bool, now: Timestamp, frames: &mut Frames) -> Result {
        if !first {
            frames.text(",");
        }
        match self.form {
            Form::Object => {
                frames.shared(json);
                Ok(())
            }
            Form::Metadata(version) => metadata_only(version, json, frames),
            Form::Table(version) => self.row(version, json, now, frames),
        }
    }

    pub(super) fn list_close(&self, frames: &mut Frames) {
        frames.text("]}\n");
    }

    /// One line of a watch. Only the first event of a table names its columns.
    pub(super) fn event(&self, event: &str, json: &Bytes, first: bool, now: Timestamp, frames: &mut Frames) -> Result {
        frames.text("{\"type\":\"");
        frames.text(event);
        frames.text("\",\"object\":");
        match self.form {
            Form::Table(version) => self.table_of_one(version, json, first, now, frames)?,
            _ => self.object(json, now, frames)?,
        }
        frames.text("}\n");
        Ok(())
    }

    /// The object that tells how far a watch has come.
    pub(super) fn bookmark(&self, revision: i64, initial_events_end: bool) -> Value {
        let (kind, api_version) = match self.form {
            Form::Object => (self.kind.kind, self.kind.api_version()),
            Form::Metadata(version) => ("PartialObjectMetadata", version.api_version().to_owned()),
            Form::Table(version) => ("Table", version.api_version().to_owned()),
        };
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_events_end {
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        let mut object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        if matches!(self.form, Form::Table(_)) {
            object["columnDefinitions"] = Value::Null;
            object["rows"] = json!([]);
        }
        object
    }

    fn table_of_one(
        &self,
        version: MetaVersion,
        json: &Bytes,
        columns: bool,
        now: Timestamp,
        frames: &mut Frames,
    ) -> Result {
        let head: VersionedHead<'_> = serde_json::from_slice(json)?;
        type_meta("Table", version.api_version(), frames)?;
        frames.json(&json!({"resourceVersion": head.metadata.resource_version}))?;
        frames.text(",\"columnDefinitions\":");
        frames.json(&if columns { self.column_definitions() } else { Value::Null })?;
        frames.text(",\"rows\":[");
        self.row(version, json, now, frames)?;
        frames.text("]}");
        Ok(())
    }

    /// Of a table.
    pub(super) fn columns(&self) -> &'static [Column] {
        if self.scale { scale::COLUMNS } else { self.kind.columns }
    }

    fn column_definitions(&self) -> Value {
        let columns = self.columns().iter().map(|column| {
            json!({
                "name": column.name,
                "type": column.kind,
                "format": column.format,
                "description": column.description,
                "priority": column.priority,
            })
        });
        Value::Array(columns.collect())
    }

    fn row(&self, version: MetaVersion, json: &Bytes, now: Timestamp, frames: &mut Frames) -> Result {
        let object: Value = serde_json::from_slice(json)?;
        frames.text("{\"cells\":");
        frames.json(&if self.scale { scale::cells(&object, now) } else { self.kind.cells(&object, now) })?;
        match self.include {
            // Kubernetes leaves the field there, and null.
            IncludeObject::None => frames.text(",\"object\":null}"),
            IncludeObject::Metadata => {
                frames.text(",\"object\":");
                metadata_only(version, json, frames)?;
                frames.text("}");
            }
            IncludeObject::Object => {
                frames.text(",\"object\":");
                frames.shared(json);
                frames.text("}");
            }
        }
        Ok(())
    }
}

/// A line of a watch that is not about an object of the kind.
pub(super) fn event_line(event: &str, object: &Value, frames: &mut Frames) -> Result {
    frames.json(&json!({"type": event, "object": object}))?;
    frames.text("\n");
    Ok(())
}

fn type_meta(kind: &str, api_version: &str, frames: &mut Frames) -> Result {
    frames.text("{\"kind\":");
    frames.json(&kind)?;
    frames.text(",\"apiVersion\":");
    frames.json(&api_version)?;
    frames.text(",\"metadata\":");
    Ok(())
}

fn metadata_only(version: MetaVersion, json: &Bytes, frames: &mut Frames) -> Result {
    let head: Head<'_> = serde_json::from_slice(json)?;
    type_meta("PartialObjectMetadata", version.api_version(), frames)?;
    frames.text(head.metadata.get());
    frames.text("}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use keelson_types::registry;

    use super::*;

    const MAP: &[u8] = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"7","name":"m","namespace":"default"},"data":{"a":"1"}}"#;

    fn view(form: Form) -> View {
        let kind = registry::by_name("configmaps").expect("is registered");
        View { kind, form, media: Media::Json, include: IncludeObject::Metadata, scale: false }
    }

    fn parsed(render: impl FnOnce(&mut Frames) -> Result) -> Value {
        let mut frames = Frames::default();
        render(&mut frames).expect("renders");
        serde_json::from_slice(&frames.into_bytes()).expect("is JSON")
    }

    fn list(view: &View, objects: &[&'static [u8]], meta: &ListMeta) -> Value {
        parsed(|frames| {
            view.list_open(meta, frames)?;
            for (index, json) in objects.iter().enumerate() {
                view.list_item(&Bytes::from_static(json), index == 0, Timestamp::UNIX_EPOCH, frames)?;
            }
            view.list_close(frames);
            Ok(())
        })
    }

    #[test]
    fn a_list_in_each_form_is_what_kubernetes_sends() {
        let meta = ListMeta { resource_version: 9, continue_token: "next".to_owned(), remaining: Some(3) };
        let plain = list(&view(Form::Object), &[MAP, MAP], &meta);
        assert_eq!(plain["kind"], "ConfigMapList");
        assert_eq!(plain["apiVersion"], "v1");
        assert_eq!(plain["metadata"], json!({"resourceVersion": "9", "continue": "next", "remainingItemCount": 3}));
        assert_eq!(plain["items"][1]["data"]["a"], "1");

        let metadata = list(&view(Form::Metadata(MetaVersion::V1)), &[MAP], &ListMeta::default());
        assert_eq!(metadata["kind"], "PartialObjectMetadataList");
        assert_eq!(metadata["items"][0]["kind"], "PartialObjectMetadata");
        assert_eq!(metadata["items"][0]["metadata"]["name"], "m");
        assert!(metadata["items"][0].get("data").is_none());

        let table = list(&view(Form::Table(MetaVersion::V1)), &[MAP], &ListMeta::default());
        assert_eq!(table["kind"], "Table");
        assert_eq!(table["apiVersion"], "meta.k8s.io/v1");
        let columns = table["columnDefinitions"].as_array().expect("a list");
        let cells = table["rows"][0]["cells"].as_array().expect("a list");
        assert_eq!(columns.len(), cells.len());
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    }

    #[test]
    fn an_empty_list_has_items() {
        assert_eq!(list(&view(Form::Object), &[], &ListMeta::default())["items"], json!([]));
        assert_eq!(list(&view(Form::Table(MetaVersion::V1)), &[], &ListMeta::default())["rows"], json!([]));
    }

    #[test]
    fn a_table_names_its_columns_in_the_first_event_only() {
        let view = view(Form::Table(MetaVersion::V1));
        let event = |first| {
            parsed(|frames| view.event("ADDED", &Bytes::from_static(MAP), first, Timestamp::UNIX_EPOCH, frames))
        };
        assert!(event(true)["object"]["columnDefinitions"].is_array());
        assert!(event(false)["object"]["columnDefinitions"].is_null());
        assert_eq!(event(false)["type"], "ADDED");
        assert_eq!(event(false)["object"]["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn a_bookmark_tells_the_end_of_the_initial_events() {
        let bookmark = |end| view(Form::Object).bookmark(12, end);
        assert_eq!(bookmark(true)["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
        assert!(bookmark(false)["metadata"].get("annotations").is_none());
        assert_eq!(bookmark(false)["kind"], "ConfigMap");
        assert_eq!(bookmark(false)["metadata"]["resourceVersion"], "12");
    }
}
