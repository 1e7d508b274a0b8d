//! A list as YAML, item by item: what JSON's rendering says, in blocks.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::super::frames::Frames;
use super::super::view::{ListMeta, View};
use super::Error;

/// The list up to its items, which come last: their name stands alone on the last line.
pub(super) fn open(view: &View, meta: &ListMeta, frames: &mut Frames) -> Result<(), Error> {
    let mut json = Frames::default();
    view.list_open(meta, &mut json)?;
    view.list_close(&mut json);
    let mut head: Value = serde_json::from_slice(&json.into_bytes())?;
    let mut last = "items";
    if let Some(fields) = head.as_object_mut() {
        if fields.remove("rows").is_some() {
            last = "rows";
        }
        fields.remove("items");
    }
    frames.text(&serde_norway::to_string(&head)?);
    frames.text(last);
    frames.text(":");
    Ok(())
}

pub(super) fn item(view: &View, json: &Bytes, first: bool, now: Timestamp, frames: &mut Frames) -> Result<(), Error> {
    let mut rendered = Frames::default();
    view.list_item(json, true, now, &mut rendered)?;
    let item: Value = serde_json::from_slice(&rendered.into_bytes())?;
    if first {
        frames.text("\n");
    }
    for (index, line) in serde_norway::to_string(&item)?.lines().enumerate() {
        match (index, line) {
            (0, line) => frames.text(&format!("- {line}\n")),
            // An empty line of a text stays empty.
            (_, "") => frames.text("\n"),
            (_, line) => frames.text(&format!("  {line}\n")),
        }
    }
    Ok(())
}

pub(super) fn close(empty: bool, frames: &mut Frames) {
    if empty {
        frames.text(" []\n");
    }
}
