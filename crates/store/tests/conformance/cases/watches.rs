//! Watch streams.

use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::watch_request::RequestUnion;
use keelson_proto::etcdserverpb::{
    DeleteRangeRequest, RequestOp, TxnRequest, WatchCancelRequest, WatchCreateRequest, WatchProgressRequest,
    WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::run::{Run, put, refusal};
use crate::show::Show;

pub fn create(key: &str, range_end: &str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), ..Default::default() }
}

pub struct Stream {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Stream {
    /// etcd answers a stream only after its first request.
    pub async fn open(run: &Run, first: WatchCreateRequest) -> Self {
        let (requests, receiver) = mpsc::channel(16);
        let first = WatchRequest { request_union: Some(RequestUnion::CreateRequest(first)) };
        requests.send(first).await.expect("there is room");
        let responses = run.watch.clone().watch(ReceiverStream::new(receiver)).await.expect("a stream").into_inner();
        Self { requests, responses }
    }

    pub async fn send(&self, request: RequestUnion) {
        self.requests.send(WatchRequest { request_union: Some(request) }).await.expect("the stream is open");
    }

    pub async fn create(&self, request: WatchCreateRequest) {
        self.send(RequestUnion::CreateRequest(request)).await;
    }

    async fn cancel(&self, watch_id: i64) {
        self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id })).await;
    }

    pub async fn next(&mut self) -> Result<Option<WatchResponse>, Status> {
        self.responses.message().await
    }

    /// The next response is a case.
    pub async fn note(&mut self, run: &mut Run, name: &str) {
        let text = match self.next().await {
            Ok(Some(response)) => response.show(run.base),
            Ok(None) => "the end".to_owned(),
            Err(status) => refusal(&status),
        };
        run.note(name, text);
    }

    /// The next events are a case, however many responses they come in.
    pub async fn note_events(&mut self, run: &mut Run, name: &str, count: usize) {
        let mut events = Vec::new();
        while events.len() < count {
            match self.next().await {
                Ok(Some(response)) if !response.events.is_empty() => {
                    let id = response.watch_id;
                    events.extend(response.events.iter().map(|event| format!("{id}: {}", event.show(run.base))));
                }
                Ok(Some(response)) => events.push(format!("also {}", response.show(run.base))),
                Ok(None) => break,
                Err(status) => {
                    events.push(refusal(&status));
                    break;
                }
            }
        }
        run.note(name, events.join(", "));
    }
}

pub async fn streams(run: &mut Run) {
    run.group("watch").await;
    run.put("w/a", "1").await;
    let mut stream = Stream::open(run, create("w/a", "")).await;
    stream.note(run, "created").await;
    stream.create(create("w/", "w0")).await;
    stream.note(run, "a second gets the next id").await;
    stream.create(WatchCreateRequest { watch_id: 7, ..create("w/b", "") }).await;
    stream.note(run, "with a chosen id").await;
    stream.create(WatchCreateRequest { watch_id: 7, ..create("w/b", "") }).await;
    stream.note(run, "with an id that is taken").await;
    stream.create(WatchCreateRequest { watch_id: 2, ..create("w/b", "") }).await;
    stream.note(run, "with the id that would be next").await;
    stream.create(create("w/b", "")).await;
    stream.note(run, "after that, the server chooses").await;
    stream.cancel(7).await;
    stream.note(run, "cancelled").await;
    stream.cancel(7).await;
    stream.cancel(99).await;
    stream.create(WatchCreateRequest { watch_id: 7, ..create("w/b", "") }).await;
    stream.note(run, "the same id again, after cancelling what is not there").await;
    for (name, request) in [
        ("an end before its start", create("w/b", "w/a")),
        ("an end at its start", create("w/b", "w/b")),
        ("a negative start", WatchCreateRequest { start_revision: -1, ..create("w/a", "") }),
        ("no key", create("", "")),
        ("a negative id", WatchCreateRequest { watch_id: -1, ..create("w/a", "") }),
        ("an unknown filter", WatchCreateRequest { filters: vec![9], ..create("w/a", "") }),
    ] {
        let mut stream = Stream::open(run, request).await;
        stream.note(run, name).await;
    }
    let mut stream = Stream::open(run, create("w/a", "")).await;
    stream.next().await.expect("created");
    stream.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    stream.note(run, "progress").await;
    let mut stream = Stream::open(run, create("w/a", "")).await;
    stream.next().await.expect("created");
    stream.requests = mpsc::channel(1).0;
    run.put("w/a", "2").await;
    stream.note_events(run, "after the end of the requests", 1).await;
}

pub async fn events(run: &mut Run) {
    run.group("events").await;
    let base = run.base;
    let prefix = create("e/", "e0");
    let past = WatchCreateRequest { start_revision: base + 1, ..prefix.clone() };
    let mut live = Stream::open(run, prefix.clone()).await;
    let mut previous = Stream::open(run, WatchCreateRequest { prev_kv: true, ..prefix.clone() }).await;
    let mut no_puts = Stream::open(run, WatchCreateRequest { filters: vec![0], ..prefix.clone() }).await;
    let mut no_deletes = Stream::open(run, WatchCreateRequest { filters: vec![1], ..prefix.clone() }).await;
    let both = WatchCreateRequest { filters: vec![0, 1], ..prefix.clone() };
    let mut future = Stream::open(run, WatchCreateRequest { start_revision: base + 5, ..prefix.clone() }).await;
    let mut nothing = Stream::open(run, both).await;
    for stream in [&mut live, &mut previous, &mut no_puts, &mut no_deletes, &mut future, &mut nothing] {
        stream.next().await.expect("created");
    }
    run.put("e/a", "1").await;
    run.put("e/a", "2").await;
    let delete = |key: &str| DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() };
    run.kv.delete_range(delete("e/a")).await.expect("a deletion");
    let op = |request| RequestOp { request: Some(request) };
    let success = vec![
        op(Op::RequestPut(put("e/c", "1"))),
        op(Op::RequestPut(put("e/b", "1"))),
        op(Op::RequestPut(put("f/b", "1"))),
    ];
    run.kv.txn(TxnRequest { success, ..Default::default() }).await.expect("a transaction");
    run.put("e/a", "3").await;
    run.kv.delete_range(DeleteRangeRequest { range_end: "e0".into(), ..delete("e/") }).await.expect("a deletion");
    live.note_events(run, "puts, deletions and a transaction", 9).await;
    previous.note_events(run, "with previous pairs", 9).await;
    no_puts.note_events(run, "without puts", 4).await;
    no_deletes.note_events(run, "without deletions", 5).await;
    future.note_events(run, "from a revision that was in the future", 4).await;
    nothing.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    nothing.note(run, "neither puts nor deletions").await;
    let mut stream = Stream::open(run, past.clone()).await;
    stream.note(run, "from the past").await;
    stream.note_events(run, "from the past, all of it", 9).await;
    let mut stream = Stream::open(run, WatchCreateRequest { prev_kv: true, ..past.clone() }).await;
    stream.next().await.expect("created");
    stream.note_events(run, "from the past with previous pairs", 9).await;
    let mut stream = Stream::open(run, WatchCreateRequest { fragment: true, ..past.clone() }).await;
    stream.next().await.expect("created");
    stream.note_events(run, "in fragments that are not needed", 9).await;
    let mut stream = Stream::open(run, WatchCreateRequest { key: "e/a".into(), range_end: "".into(), ..past }).await;
    stream.next().await.expect("created");
    stream.note_events(run, "of one key from the past", 5).await;
}
