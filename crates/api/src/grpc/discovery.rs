//! `keelson.api.v1.Discovery`.

use std::sync::Arc;

use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::discovery_server::Discovery;
use keelson_types::Kind;
use keelson_types::status::Status;
use tonic::{Request, Response};

use super::user;
use crate::pipeline::offer::{Offered, kinds, subresources, verbs};
use crate::pipeline::{Pipeline, Verb};
use crate::rest::{Published, metrics, version};
use crate::status_code::grpc;

type Answer<T> = Result<Response<T>, tonic::Status>;

pub struct Service {
    pipeline: Arc<Pipeline>,
    published: Arc<Published>,
}

impl Service {
    pub fn new(pipeline: Arc<Pipeline>, published: Arc<Published>) -> Service {
        Service { pipeline, published }
    }

    /// Asks the roles about the path that REST has for it.
    fn authorize<T>(&self, request: &Request<T>, path: &str) -> Result<(), tonic::Status> {
        let user = user(&self.pipeline, request)?;
        self.pipeline.authorize_path(&user, Verb::Get, path).map_err(told)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn told(status: Status) -> tonic::Status {
    grpc(&status)
}

#[tonic::async_trait]
impl Discovery for Service {
    async fn resources(&self, request: Request<proto::ResourcesRequest>) -> Answer<proto::ResourcesResponse> {
        self.authorize(&request, "/apis")?;
        // Somebody may have defined a kind through another member a moment ago.
        self.pipeline.catch_up().await.map_err(told)?;
        let group = request.into_inner().group;
        let served = self.pipeline.served();
        let wanted = kinds(&served.registry).filter(|kind| group.as_ref().is_none_or(|group| kind.group == group));
        Ok(Response::new(proto::ResourcesResponse { resources: wanted.map(resource).collect() }))
    }

    async fn open_api(&self, request: Request<proto::OpenApiRequest>) -> Answer<proto::OpenApiResponse> {
        let proto::OpenApiRequest { group, version } = request.get_ref();
        let document = match (group.as_str(), version.as_str()) {
            ("", "") => {
                self.authorize(&request, "/openapi/v3")?;
                self.published.openapi_index().await
            }
            (group, version) => {
                let path = match group {
                    "" => format!("/openapi/v3/api/{version}"),
                    group => format!("/openapi/v3/apis/{group}/{version}"),
                };
                self.authorize(&request, &path)?;
                self.published.openapi_of(group, version).await
            }
        };
        let document = document.map_err(told)?;
        let (hash, document) = (document.hash().to_owned(), document.body.clone());
        Ok(Response::new(proto::OpenApiResponse { document, hash }))
    }

    async fn version(&self, request: Request<proto::VersionRequest>) -> Answer<proto::VersionResponse> {
        self.authorize(&request, "/version")?;
        Ok(Response::new(proto::VersionResponse {
            major: version::MAJOR.to_owned(),
            minor: version::MINOR.to_owned(),
            git_version: version::GIT_VERSION.to_owned(),
            platform: version::platform(),
        }))
    }

    async fn metrics(&self, request: Request<proto::MetricsRequest>) -> Answer<proto::MetricsResponse> {
        self.authorize(&request, "/metrics")?;
        Ok(Response::new(proto::MetricsResponse { text: metrics::text(&self.pipeline) }))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn resource(kind: &'static Kind) -> proto::ServedResource {
    proto::ServedResource {
        group: kind.group.to_owned(),
        version: kind.version.to_owned(),
        resource: kind.plural.to_owned(),
        singular: kind.singular.to_owned(),
        kind: kind.kind.to_owned(),
        namespaced: kind.namespaced,
        short_names: words(kind.short_names),
        categories: words(kind.categories),
        verbs: words(verbs(kind)),
        subresources: subresources(kind).into_iter().map(subresource).collect(),
    }
}

fn subresource(offered: Offered) -> proto::ServedSubresource {
    proto::ServedSubresource {
        name: offered.name.to_owned(),
        group: offered.group.to_owned(),
        version: offered.version.to_owned(),
        kind: offered.kind.to_owned(),
        verbs: words(offered.verbs),
    }
}
