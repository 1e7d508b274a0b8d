//! The gRPC front: `keelson.api.v1` and `keelson.node.v1`, as thin as it gets over the pipeline.
//!
//! Errors are gRPC statuses that carry the whole Kubernetes status; see [`crate::status_code`].

mod cluster;
mod convert;
mod discovery;
mod kinds;
mod nodes;
mod objects;
mod pods;
mod sessions;

use std::sync::Arc;

use axum::Router;
use keelson_proto::keelson::api::v1::cluster_server::{self, ClusterServer};
use keelson_proto::keelson::api::v1::discovery_server::{self, DiscoveryServer};
use keelson_proto::keelson::api::v1::kinds_server::{self, KindsServer};
use keelson_proto::keelson::api::v1::objects_server::{self, ObjectsServer};
use keelson_proto::keelson::api::v1::pods_server::{self, PodsServer};
use keelson_proto::keelson::node::v1::nodes_server::{self, NodesServer};
use keelson_store::Handle;
use keelson_store::health::{self, HealthServer};
use keelson_types::status::Status;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::service::Routes;

use crate::options::Options;
use crate::pipeline::{BATCH_BYTES_MAX, Peer, Pipeline, User};
use crate::rest::Published;
use crate::status_code::grpc;

/// A batch with its envelopes. Everything else is smaller.
const MESSAGE_BYTES_MAX: usize = BATCH_BYTES_MAX + (1 << 20);
/// A log chunk or an announcement of the largest agent.
const TUNNEL_BYTES_MAX: usize = 4 << 20;

/// The services, by path.
pub fn router(
    pipeline: &Arc<Pipeline>,
    published: &Arc<Published>,
    options: &Options,
    health: health::Service,
) -> Router {
    let objects = ObjectsServer::new(objects::Service::new(pipeline.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    let cluster = ClusterServer::new(cluster::Service::new(pipeline.clone(), options.api_addresses.clone()));
    let kinds = KindsServer::new(kinds::Service::new(pipeline.clone())).max_encoding_message_size(usize::MAX);
    let discovery = DiscoveryServer::new(discovery::Service::new(pipeline.clone(), published.clone()))
        .max_encoding_message_size(usize::MAX);
    let pods = PodsServer::new(pods::Service::new(pipeline.clone()));
    let nodes = NodesServer::new(nodes::Service::new(pipeline.clone())).max_decoding_message_size(TUNNEL_BYTES_MAX);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(keelson_proto::API_DESCRIPTORS)
            .register_encoded_file_descriptor_set(health::FILE_DESCRIPTOR_SET)
    };
    // Two versions that differ in their names only.
    let reflection_now = reflection().build_v1().expect("the build made the descriptors");
    let reflection_before = reflection().build_v1alpha().expect("the build made the descriptors");
    Routes::new(objects)
        .add_service(cluster)
        .add_service(kinds)
        .add_service(discovery)
        .add_service(pods)
        .add_service(nodes)
        .add_service(HealthServer::new(health))
        .add_service(reflection_now)
        .add_service(reflection_before)
        .prepare()
        .into_axum_router()
}

/// The health of the port and of its services. Nobody has to say who they are to ask for it, nor for the protocol.
pub fn health(store: &Handle, stopping: &CancellationToken) -> health::Service {
    let names = [
        objects_server::SERVICE_NAME,
        cluster_server::SERVICE_NAME,
        kinds_server::SERVICE_NAME,
        discovery_server::SERVICE_NAME,
        pods_server::SERVICE_NAME,
        nodes_server::SERVICE_NAME,
    ];
    health::Service::new(store.leadership(), stopping.clone(), names.map(str::to_owned))
}

/// Who sent a request.
fn user<T>(pipeline: &Pipeline, request: &Request<T>) -> Result<Arc<User>, tonic::Status> {
    let peer = request.extensions().get::<Peer>().ok_or_else(|| grpc(&Status::unauthorized()))?;
    let user = pipeline.authenticate(peer).map_err(|status| grpc(&status))?;
    pipeline.impersonated(user, request.metadata().as_ref()).map_err(|status| grpc(&status))
}
