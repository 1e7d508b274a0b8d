//! Sizes, methods that there are not, and what clients say of themselves.

use keelson_proto::etcdserverpb::request_op::Request as Op;
use keelson_proto::etcdserverpb::{DeleteRangeRequest, PutRequest, PutResponse, RangeRequest, RequestOp, TxnRequest};
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use crate::run::{Run, done, put};

/// etcd's largest request.
const REQUEST_BYTES_MAX: usize = 3 << 19;
/// What gRPC lets through beyond.
const OVERHEAD_BYTES: usize = 512 << 10;

pub async fn sizes(run: &mut Run) {
    run.group("size").await;
    let sized = |bytes: usize| PutRequest { value: vec![b'x'; bytes].into(), ..put("s/a", "") };
    for (name, bytes) in [
        ("a put just below the limit", REQUEST_BYTES_MAX - 256),
        ("a put above the limit", REQUEST_BYTES_MAX + 1),
        ("a put just below what gRPC takes", REQUEST_BYTES_MAX + OVERHEAD_BYTES - 256),
        ("a put above what gRPC takes", REQUEST_BYTES_MAX + OVERHEAD_BYTES),
    ] {
        let answer = run.kv.put(sized(bytes)).await;
        run.case(name, answer);
    }
    let puts = |count: usize| {
        let put = |i: usize| PutRequest { key: format!("s/{i}").into(), ..sized(64 << 10) };
        let success = (0..count).map(|i| RequestOp { request: Some(Op::RequestPut(put(i))) }).collect();
        TxnRequest { success, ..TxnRequest::default() }
    };
    for (name, count) in [("a transaction above the limit", 25), ("a transaction above what gRPC takes", 33)] {
        let answer = run.kv.txn(puts(count)).await;
        run.case(name, answer);
    }
    let key = || bytes::Bytes::from(vec![b'k'; REQUEST_BYTES_MAX + 1]);
    let answer = run.kv.delete_range(DeleteRangeRequest { key: key(), ..Default::default() }).await;
    run.case("a deletion above the limit", answer);
    let answer = run.kv.range(RangeRequest { key: key(), ..Default::default() }).await;
    run.case("a range above the limit", answer);
    let read = RequestOp { request: Some(Op::RequestRange(RangeRequest { key: key(), ..Default::default() })) };
    let answer = run.kv.txn(TxnRequest { success: vec![read], ..Default::default() }).await;
    run.case("a transaction that only reads, above the limit", answer);
    let answer = run.kv.put(PutRequest { key: "".into(), ..sized(REQUEST_BYTES_MAX + 1) }).await;
    run.case("a put without a key above the limit", answer);
    let answer = run.kv.range(RangeRequest { key: "s/a".into(), keys_only: true, ..Default::default() }).await;
    run.case("what is left", answer);
}

pub async fn unknown_methods(run: &mut Run) {
    run.group("unknown").await;
    for path in ["/etcdserverpb.KV/Nothing", "/etcdserverpb.Nothing/Range", "/nothing"] {
        let mut client = Grpc::new(run.wire.clone());
        client.ready().await.expect("the connection is open");
        let codec = ProstCodec::<PutRequest, PutResponse>::default();
        let path_and_query = path.parse().expect("a path");
        let answer = client.unary(tonic::Request::new(put("a", "")), path_and_query, codec).await;
        run.case(path, answer);
    }
}

pub async fn versions(run: &mut Run) {
    run.group("client-api-version").await;
    // What is no text would end etcd.
    for (name, version) in [("a version", "3.5"), ("nothing", "")] {
        let mut request = tonic::Request::new(RangeRequest { key: "a".into(), ..Default::default() });
        request.metadata_mut().insert("client-api-version", version.parse().expect("a header's value"));
        let answer = run.kv.range(request).await;
        run.note(name, done(answer));
    }
}
