//! What one user may do, and what each request demands.
//!
//! **Invariant**: a request demands everything that its answer shows and everything that it changes: the keys that a
//! transaction compares, what `prev_kv` shows of a put or a deletion, both branches, and transactions in transactions.

use bytes::Bytes;
use keelson_proto::authpb::{Permission, permission::Type};
use keelson_proto::etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, TxnRequest, request_op::Request};

use super::ranges::Ranges;

/// What is done to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// What one user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions {
    /// Has the role root, which may do everything.
    pub(crate) root: bool,
    read: Ranges,
    write: Ranges,
}

impl Permissions {
    /// The sum of what the user's roles may do.
    pub(crate) fn new<'a>(root: bool, granted: impl Iterator<Item = &'a Permission> + Clone) -> Self {
        let of = |wanted: [Type; 2]| {
            let granted = granted.clone().filter(move |permission| wanted.contains(&permission.perm_type()));
            Ranges::new(granted.map(|permission| (&permission.key, &permission.range_end)))
        };
        Self { root, read: of([Type::Read, Type::Readwrite]), write: of([Type::Write, Type::Readwrite]) }
    }

    /// Whether all keys of etcd's pair may be accessed.
    pub(crate) fn allow(&self, access: Access, key: &[u8], range_end: &[u8]) -> bool {
        self.root || self.ranges(access).cover(key, range_end)
    }

    fn ranges(&self, access: Access) -> &Ranges {
        match access {
            Access::Read => &self.read,
            Access::Write => &self.write,
        }
    }

    /// The ranges of keys that may not be accessed, in order: from a start up to an end, or to the last key without one.
    pub(crate) fn denied(&self, access: Access) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.ranges(access).gaps().filter(|_| !self.root)
    }

    pub(crate) fn allow_put(&self, request: &PutRequest) -> bool {
        self.allow(Access::Write, &request.key, b"")
            && (!request.prev_kv || self.allow(Access::Read, &request.key, b""))
    }

    pub(crate) fn allow_delete_range(&self, request: &DeleteRangeRequest) -> bool {
        self.allow(Access::Write, &request.key, &request.range_end)
            && (!request.prev_kv || self.allow(Access::Read, &request.key, &request.range_end))
    }

    /// Looks at both branches: which one runs would tell what the compared keys hold.
    pub(crate) fn allow_txn(&self, request: &TxnRequest) -> bool {
        self.root
            || (request.compare.iter().all(|compare| self.allow(Access::Read, &compare.key, &compare.range_end))
                && request.success.iter().chain(&request.failure).all(|operation| self.allow_operation(operation)))
    }

    fn allow_operation(&self, operation: &RequestOp) -> bool {
        match &operation.request {
            Some(Request::RequestRange(range)) => self.allow(Access::Read, &range.key, &range.range_end),
            Some(Request::RequestPut(put)) => self.allow_put(put),
            Some(Request::RequestDeleteRange(delete)) => self.allow_delete_range(delete),
            Some(Request::RequestTxn(nested)) => self.allow_txn(nested),
            // Does nothing; validation refuses it.
            None => true,
        }
    }

    pub(crate) fn allow_all(&self, access: Access, keys: &[Bytes]) -> bool {
        self.root || keys.iter().all(|key| self.allow(access, key, b""))
    }
}

/// The leases that a put, or a put in a transaction, attaches keys to.
pub(crate) fn leases_of(request: &TxnRequest, leases: &mut Vec<i64>) {
    for operation in request.success.iter().chain(&request.failure) {
        match &operation.request {
            Some(Request::RequestPut(put)) if put.lease != 0 => leases.push(put.lease),
            Some(Request::RequestTxn(nested)) => leases_of(nested, leases),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use keelson_proto::etcdserverpb::{Compare, RangeRequest};

    use super::*;

    fn reader_of_a_writer_of_b() -> Permissions {
        let permission = |key: &'static str, kind: Type| Permission {
            key: key.into(),
            range_end: Bytes::new(),
            perm_type: kind.into(),
        };
        let granted = [permission("a", Type::Read), permission("b", Type::Write), permission("c", Type::Readwrite)];
        Permissions::new(false, granted.iter())
    }

    fn operation(request: Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    fn put(key: &'static str, prev_kv: bool) -> PutRequest {
        PutRequest { key: key.into(), prev_kv, ..PutRequest::default() }
    }

    #[test]
    fn what_prev_kv_shows_must_be_readable() {
        let user = reader_of_a_writer_of_b();
        for (key, plain, with_previous) in [("a", false, false), ("b", true, false), ("c", true, true)] {
            assert_eq!(user.allow_put(&put(key, false)), plain, "{key}");
            assert_eq!(user.allow_put(&put(key, true)), with_previous, "{key}");
            let delete = |prev_kv| DeleteRangeRequest { key: key.into(), range_end: Bytes::new(), prev_kv };
            assert_eq!(user.allow_delete_range(&delete(false)), plain, "{key}");
            assert_eq!(user.allow_delete_range(&delete(true)), with_previous, "{key}");
        }
    }

    #[test]
    fn a_transaction_demands_what_is_compared_and_both_branches_at_any_depth() {
        let user = reader_of_a_writer_of_b();
        let range = |key: &'static str| {
            operation(Request::RequestRange(RangeRequest { key: key.into(), ..Default::default() }))
        };
        let compare = |key: &'static str| Compare { key: key.into(), ..Compare::default() };
        let txn = |compared: &'static str, success: Vec<RequestOp>, failure: Vec<RequestOp>| TxnRequest {
            compare: vec![compare(compared)],
            success,
            failure,
        };
        let nested = |inner: TxnRequest| {
            let once = txn("a", vec![operation(Request::RequestTxn(inner))], vec![]);
            txn("a", vec![], vec![operation(Request::RequestTxn(once))])
        };
        let good = txn("a", vec![range("a")], vec![operation(Request::RequestPut(put("b", false)))]);
        assert!(user.allow_txn(&good) && user.allow_txn(&nested(good)));
        for bad in [
            txn("b", vec![], vec![]),
            txn("a", vec![range("b")], vec![]),
            txn("a", vec![], vec![range("b")]),
            txn("a", vec![], vec![operation(Request::RequestPut(put("b", true)))]),
            txn("a", vec![operation(Request::RequestPut(put("a", false)))], vec![]),
        ] {
            assert!(!user.allow_txn(&bad), "{bad:?}");
            assert!(!user.allow_txn(&nested(bad.clone())), "nested {bad:?}");
            assert!(Permissions { root: true, ..Permissions::default() }.allow_txn(&nested(bad)));
        }
    }

    #[test]
    fn leases_are_found_at_any_depth() {
        let with = |lease| operation(Request::RequestPut(PutRequest { lease, ..put("b", false) }));
        let inner = TxnRequest { failure: vec![with(3)], ..TxnRequest::default() };
        let txn = TxnRequest {
            success: vec![with(1), with(0)],
            failure: vec![with(2), operation(Request::RequestTxn(inner))],
            ..TxnRequest::default()
        };
        let mut leases = Vec::new();
        leases_of(&txn, &mut leases);
        assert_eq!(leases, [1, 2, 3]);
    }
}
