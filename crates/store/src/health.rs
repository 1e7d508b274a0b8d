//! grpc.health.v1 for every port of a member: SERVING while a leader is known and the member does not stop.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use keelson_types::Leadership;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

pub use tonic_health::pb::FILE_DESCRIPTOR_SET;
pub use tonic_health::pb::health_server::HealthServer;

/// The health of one port. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    leadership: watch::Receiver<Leadership>,
    shutdown: CancellationToken,
    /// Whose health may be asked for, beside that of the whole port.
    names: Arc<BTreeSet<String>>,
}

impl Service {
    /// For a port that serves `names` until `shutdown`.
    pub fn new(
        leadership: watch::Receiver<Leadership>,
        shutdown: CancellationToken,
        names: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { leadership, shutdown, names: Arc::new(names.into_iter().collect()) }
    }

    fn knows(&self, name: &str) -> bool {
        name.is_empty() || self.names.contains(name)
    }

    fn status(&self) -> ServingStatus {
        if self.leadership.borrow().leader_id.is_some() && !self.shutdown.is_cancelled() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }

    /// The next status after `last`; None when the member has stopped.
    async fn next(&mut self, last: Option<ServingStatus>) -> Option<ServingStatus> {
        loop {
            let status = self.status();
            if last != Some(status) {
                return Some(status);
            }
            if self.shutdown.is_cancelled() {
                return None;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                changed = self.leadership.changed() => changed.ok()?,
            }
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let name = &request.get_ref().service;
        if !self.knows(name) {
            return Err(Status::not_found(format!("unknown service {name}")));
        }
        Ok(Response::new(response(self.status())))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    /// A service that is not known may yet come, says the protocol; here none does, and the stream says so and stays open.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        if !self.knows(&request.get_ref().service) {
            let unknown = stream::iter([Ok(response(ServingStatus::ServiceUnknown))]);
            let stop = self.shutdown.clone();
            let open = stream::once(async move { stop.cancelled_owned().await }).filter_map(|()| async { None });
            return Ok(Response::new(unknown.chain(open).boxed()));
        }
        let statuses = stream::unfold((self.clone(), None), |(mut service, last)| async move {
            let status = service.next(last).await?;
            Some((Ok(response(status)), (service, Some(status))))
        });
        Ok(Response::new(statuses.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn health_follows_the_leader_and_ends_with_the_member() {
        let led = |leader_id| Leadership { term: 1, leading: false, leader_id };
        let (leadership, receiver) = watch::channel(led(None));
        let shutdown = CancellationToken::new();
        let service = Service::new(receiver, shutdown.clone(), ["some.Service".to_owned()]);
        let request = |name: &str| Request::new(HealthCheckRequest { service: name.to_owned() });
        let mut watched = service.watch(request("some.Service")).await.expect("a stream").into_inner();
        let mut expect = async |status: ServingStatus| {
            let next = watched.next().await.expect("the stream goes on").expect("a status");
            assert_eq!(next.status(), status);
        };
        expect(ServingStatus::NotServing).await;
        leadership.send_replace(led(Some(7)));
        expect(ServingStatus::Serving).await;
        assert_eq!(service.check(request("")).await.expect("an answer").into_inner().status(), ServingStatus::Serving);
        leadership.send_replace(led(None));
        expect(ServingStatus::NotServing).await;
        leadership.send_replace(led(Some(8)));
        expect(ServingStatus::Serving).await;
        shutdown.cancel();
        expect(ServingStatus::NotServing).await;
        assert!(watched.next().await.is_none());
        assert_eq!(service.check(request("other")).await.expect_err("unknown").code(), tonic::Code::NotFound);
        let mut unknown = service.watch(request("other")).await.expect("a stream").into_inner();
        let first = unknown.next().await.expect("a first").expect("a status");
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    }
}
