//! What a running pod offers beyond its object.

use std::sync::Arc;

use bytes::Bytes;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::pods_client::PodsClient;

use crate::error::{Refusal, decode, refusal};
use crate::transport::{Safety, Transport};
use crate::{Client, Error};

impl Client {
    /// Streams a container's log.
    pub async fn pods_logs(&self, request: proto::LogsRequest) -> Result<LogStream, Error> {
        let transport = self.raw.transport.clone();
        let response = transport
            .call(Safety::Read, |channel| {
                let request = request.clone();
                async move { PodsClient::new(channel).logs(request).await }
            })
            .await?;
        Ok(LogStream { stream: response.into_inner(), transport })
    }
}

/// A log that is being read.
pub struct LogStream {
    stream: tonic::Streaming<proto::LogsResponse>,
    transport: Arc<Transport>,
}

impl LogStream {
    /// The next whole lines; absent at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match self.stream.message().await {
            Ok(response) => Ok(response.map(|response| response.data)),
            Err(status) if refusal(&status) == Refusal::Final => Err(Error::Api(decode(&status))),
            Err(status) => Err(Error::Unavailable { endpoints: self.transport.addresses(), source: Some(status) }),
        }
    }
}
