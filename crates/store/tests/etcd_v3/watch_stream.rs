//! One watch stream, as a test holds it.

use keelson_proto::etcdserverpb::watch_client::WatchClient;
use keelson_proto::etcdserverpb::watch_request::RequestUnion;
use keelson_proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use keelson_proto::mvccpb::Event;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::PATIENCE;

pub struct WatchStream {
    requests: mpsc::Sender<WatchRequest>,
    responses: Responses,
}

/// A server need not answer before the first request (etcd does not), so nobody waits for that.
enum Responses {
    Opening(JoinHandle<Streaming<WatchResponse>>),
    Open(Box<Streaming<WatchResponse>>),
}

impl WatchStream {
    pub fn open(mut client: WatchClient<Channel>) -> Self {
        let (requests, receiver) = mpsc::channel(16);
        let opening =
            tokio::spawn(
                async move { client.watch(ReceiverStream::new(receiver)).await.expect("a stream").into_inner() },
            );
        Self { requests, responses: Responses::Opening(opening) }
    }

    async fn responses(&mut self) -> &mut Streaming<WatchResponse> {
        if let Responses::Opening(opening) = &mut self.responses {
            let open = tokio::time::timeout(PATIENCE, opening).await.expect("a stream in time");
            self.responses = Responses::Open(Box::new(open.expect("the stream opens")));
        }
        match &mut self.responses {
            Responses::Open(responses) => responses,
            Responses::Opening(_) => unreachable!("it was just opened"),
        }
    }

    async fn send(&self, request: RequestUnion) {
        let request = WatchRequest { request_union: Some(request) };
        self.requests.send(request).await.expect("the stream is open");
    }

    pub async fn create(&self, create: WatchCreateRequest) {
        self.send(RequestUnion::CreateRequest(create)).await;
    }

    /// Creates a watch that must be accepted, and answers its id and the revision it was created at.
    pub async fn created(&mut self, create: WatchCreateRequest) -> (i64, i64) {
        self.create(create).await;
        let response = self.next().await;
        assert!(response.created && !response.canceled, "{response:?}");
        assert_eq!(response.events, [], "created comes before any event");
        (response.watch_id, response.header.expect("a header").revision)
    }

    pub async fn cancel(&self, watch_id: i64) {
        self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id })).await;
    }

    pub async fn request_progress(&self) {
        self.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    }

    pub async fn next(&mut self) -> WatchResponse {
        let next = tokio::time::timeout(PATIENCE, self.responses().await.message());
        next.await.expect("a response in time").expect("no error").expect("the stream goes on")
    }

    /// The next events of one watch, until there are so many.
    pub async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let response = self.next().await;
            assert!(!response.canceled && !response.created, "{response:?}");
            events.extend(response.events);
        }
        assert_eq!(events.len(), count);
        events
    }

    /// Lets the client's side end, and waits for the server's.
    pub async fn close(mut self) {
        self.responses().await;
        let Responses::Open(mut responses) = self.responses else { unreachable!("it was just opened") };
        drop(self.requests);
        let end = async { while let Ok(Some(_)) = responses.message().await {} };
        tokio::time::timeout(PATIENCE, end).await.expect("the stream ends with its requests");
    }
}

/// A watch of a range.
pub fn watch(key: &str, range_end: &str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), ..Default::default() }
}

/// Revision, kind, key and value of each event.
pub fn brief(events: &[Event]) -> Vec<(i64, i32, String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("tests use text");
    events
        .iter()
        .map(|event| {
            let kv = event.kv.as_ref().expect("every event has a key");
            (kv.mod_revision, event.r#type, text(&kv.key), text(&kv.value))
        })
        .collect()
}
