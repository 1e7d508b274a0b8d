//! `keelson.api.v1.Kinds`.

use std::sync::Arc;

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::kinds_server::Kinds;
use keelson_types::Kind;
use keelson_types::registry::Registry;
use keelson_types::status::Status;
use tonic::{Request, Response};

use super::user;
use crate::custom::DEFINITIONS_MAX;
use crate::pipeline::{Pipeline, Verb};
use crate::status_code::grpc;

pub struct Service {
    pipeline: Arc<Pipeline>,
}

impl Service {
    pub fn new(pipeline: Arc<Pipeline>) -> Service {
        Service { pipeline }
    }
}

#[tonic::async_trait]
impl Kinds for Service {
    async fn list(
        &self,
        request: Request<proto::ListKindsRequest>,
    ) -> Result<Response<proto::ListKindsResponse>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        self.pipeline.authorize_path(&user, Verb::Get, "/apis").map_err(|status| grpc(&status))?;
        let request = request.into_inner();
        if request.schemas && request.word.is_empty() {
            let why = "the schemas of all kinds are too large for one answer: give a word";
            return Err(grpc(&Status::bad_request(why)));
        }
        // Somebody may have defined it through another member a moment ago.
        self.pipeline.catch_up().await.map_err(|status| grpc(&status))?;
        let served = self.pipeline.served();
        let word = request.word.as_str();
        let kinds = if request.schemas { named(&served.registry, word) } else { meant(&served.registry, word) };
        if request.schemas && kinds.is_empty() && !categorized(&served.registry, word).is_empty() {
            let why = "the schemas of a whole category are too large for one answer: give the name of one kind";
            return Err(grpc(&Status::bad_request(why)));
        }
        let kinds = kinds.into_iter().map(|kind| tell(kind, request.schemas)).collect();
        Ok(Response::new(proto::ListKindsResponse { kinds }))
    }

    async fn count(
        &self,
        request: Request<proto::CountKindsRequest>,
    ) -> Result<Response<proto::CountKindsResponse>, tonic::Status> {
        let user = user(&self.pipeline, &request)?;
        let request = request.into_inner();
        if request.definitions.len() > DEFINITIONS_MAX {
            let why = format!("at most {DEFINITIONS_MAX} definitions can be asked about at once");
            return Err(grpc(&Status::bad_request(why)));
        }
        let counted = self.pipeline.count_stored(&user, &request.definitions, &request.namespace).await;
        let counts = counted.map_err(|status| grpc(&status))?.into_iter();
        let counts = counts.map(|(definition, objects)| proto::count_kinds_response::Count { definition, objects });
        Ok(Response::new(proto::CountKindsResponse { counts: counts.collect() }))
    }
}

/// The kinds of users that a word means: those of a category, or one with a name.
fn meant(registry: &Registry, word: &str) -> Vec<&'static Kind> {
    if word.is_empty() {
        return custom(registry).collect();
    }
    let category = categorized(registry, word);
    if category.is_empty() { named(registry, word) } else { category }
}

fn categorized(registry: &Registry, word: &str) -> Vec<&'static Kind> {
    custom(registry).filter(|kind| kind.categories.contains(&word)).collect()
}

/// The first kind that has a name, in all versions. They are of one definition, which bounds how large their schemas are together.
fn named(registry: &Registry, word: &str) -> Vec<&'static Kind> {
    let Some(named) = registry.by_name(word).filter(|kind| kind.is_custom()) else { return Vec::new() };
    let others = custom(registry).filter(|kind| (kind.group, kind.plural) == (named.group, named.plural));
    std::iter::once(named).chain(others.filter(|kind| !std::ptr::eq(*kind, named))).collect()
}

fn custom(registry: &Registry) -> impl Iterator<Item = &'static Kind> {
    registry.all().iter().copied().filter(|kind| kind.is_custom())
}

fn tell(kind: &'static Kind, schemas: bool) -> proto::Kind {
    let definition = kind.definition();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let paths = definition.map_or(&[][..], |definition| definition.column_paths());
    let columns = kind.columns.iter().skip(1).zip(paths).map(|(column, path)| proto::kind::Column {
        name: column.name.to_owned(),
        r#type: column.kind.to_owned(),
        format: column.format.to_owned(),
        description: column.description.to_owned(),
        priority: column.priority,
        json_path: path.clone(),
    });
    let schema = definition.filter(|_| schemas).map(|definition| definition.openapi().to_string());
    proto::Kind {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        kind: kind.kind.to_owned(),
        list_kind: kind.list_kind.to_owned(),
        plural: kind.plural.to_owned(),
        singular: kind.singular.to_owned(),
        short_names: texts(kind.short_names),
        categories: texts(kind.categories),
        namespaced: kind.namespaced,
        status: kind.status,
        scale: kind.scale,
        columns: columns.collect(),
        schema: schema.unwrap_or_default().into(),
    }
}
