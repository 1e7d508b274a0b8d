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
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::PATIENCE;

pub struct WatchStream {
    requests: mpsc::Sender<WatchRequest>,
    responses: Responses,
    /// Watches that were created.
    ids: Vec<i64>,
}

/// A server need not answer before the first request (etcd does not), so nobody waits for that.
enum Responses {
    Opening(JoinHandle<Streaming<WatchResponse>>),
    Open(Box<Streaming<WatchResponse>>),
}

impl WatchStream {
    pub fn open(client: WatchClient<Channel>) -> Self {
        Self::open_with(client, |_| {})
    }

    pub fn open_requiring_leader(client: WatchClient<Channel>) -> Self {
        Self::open_with(client, |metadata| {
            metadata.insert("hasleader", "true".parse().expect("ASCII"));
        })
    }

    fn open_with(mut client: WatchClient<Channel>, change: impl FnOnce(&mut MetadataMap)) -> Self {
        let (requests, receiver) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(receiver));
        change(request.metadata_mut());
        let opening = tokio::spawn(async move { client.watch(request).await.expect("a stream").into_inner() });
        Self { requests, responses: Responses::Opening(opening), ids: Vec::new() }
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
        self.ids.push(response.watch_id);
        (response.watch_id, response.header.expect("a header").revision)
    }

    pub async fn cancel(&self, watch_id: i64) {
        self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id })).await;
    }

    pub async fn request_progress(&self) {
        self.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    }

    pub async fn next(&mut self) -> WatchResponse {
        self.result().await.expect("no error").expect("the stream goes on")
    }

    /// The next response, or how the stream ended.
    pub async fn result(&mut self) -> Result<Option<WatchResponse>, Status> {
        let next = tokio::time::timeout(PATIENCE, self.responses().await.message());
        next.await.expect("a response in time")
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

    /// Says that there is nothing more to ask; the watches go on.
    pub fn ask_no_more(&mut self) {
        self.requests = mpsc::channel(1).0;
    }

    /// Cancels all watches and asks nothing more, and waits for the end of the stream.
    pub async fn close(mut self) {
        for id in std::mem::take(&mut self.ids) {
            self.cancel(id).await;
        }
        self.ask_no_more();
        while self.result().await.expect("no error").is_some() {}
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
