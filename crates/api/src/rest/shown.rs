//! Objects one by one, in the forms that the items of lists have: for the other front, which has no documents around them.

use bytes::Bytes;
use jiff::Timestamp;
use keelson_types::Kind;
use keelson_types::status::Status;
use keelson_types::table::Column;

use super::frames::Frames;
use super::media::Media;
use super::negotiate::{Form, MetaVersion};
use super::view::View;

pub(crate) use super::parameters::IncludeObject;

/// What is given of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Whole,
    Metadata,
    /// A row of a table, with this beside its cells.
    Row(IncludeObject),
}

/// How objects of a kind are shown in one answer.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    view: View,
    /// One instant for all ages in the answer.
    now: Timestamp,
}

impl Shown {
    /// `scale` when they are those of the scale subresource.
    pub(crate) fn new(kind: &'static Kind, scale: bool, shape: Shape, now: Timestamp) -> Shown {
        let (form, include) = match shape {
            Shape::Whole => (Form::Object, IncludeObject::default()),
            Shape::Metadata => (Form::Metadata(MetaVersion::V1), IncludeObject::default()),
            Shape::Row(include) => (Form::Table(MetaVersion::V1), include),
        };
        Shown { view: View { kind, form, media: Media::Json, include, scale }, now }
    }

    /// Of rows; none for other shapes.
    pub(crate) fn columns(&self) -> &'static [Column] {
        if matches!(self.view.form, Form::Table(_)) { self.view.columns() } else { &[] }
    }

    /// An object's JSON text in the shape.
    ///
    /// # Errors
    /// Internal, for a text that is no object.
    pub(crate) fn object(&self, json: &Bytes) -> Result<Bytes, Status> {
        if self.view.form == Form::Object {
            return Ok(json.clone());
        }
        let mut frames = Frames::default();
        self.view.list_item(json, true, self.now, &mut frames).map_err(Status::internal)?;
        Ok(frames.into_bytes())
    }
}
