//! Answers as text that does not depend on a server's own numbers.

use keelson_proto::etcdserverpb::response_op::Response as Answer;
use keelson_proto::etcdserverpb::{
    CompactionResponse, DeleteRangeResponse, LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse,
    LeaseRevokeResponse, LeaseTimeToLiveResponse, PutResponse, RangeResponse, ResponseHeader, TxnResponse,
    WatchResponse,
};
use keelson_proto::mvccpb::{Event, KeyValue};
use keelson_proto::v3electionpb::{CampaignResponse, LeaderResponse, ProclaimResponse, ResignResponse};
use keelson_proto::v3lockpb::{LockResponse, UnlockResponse};

/// `base` is the revision that counts as 0.
pub trait Show {
    fn show(&self, base: i64) -> String;
}

impl Show for ResponseHeader {
    /// The revision, and which of the ids are there.
    fn show(&self, base: i64) -> String {
        let there = |set: bool, letter: &'static str| if set { letter } else { "-" };
        let ids = [there(self.cluster_id != 0, "c"), there(self.member_id != 0, "m"), there(self.raft_term != 0, "t")];
        format!("@{} {}", relative(self.revision, base), ids.concat())
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self, base: i64) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), |some| some.show(base))
    }
}

/// Revisions of before the group, 0 among them, are as they are.
fn relative(revision: i64, base: i64) -> String {
    if revision >= base && base > 0 { format!("+{}", revision - base) } else { revision.to_string() }
}

pub fn text(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=64 => bytes.escape_ascii().to_string(),
        length => format!("<{length} bytes>"),
    }
}

impl Show for KeyValue {
    fn show(&self, base: i64) -> String {
        let (created, modified) = (relative(self.create_revision, base), relative(self.mod_revision, base));
        let lease = if self.lease == 0 { String::new() } else { format!(" lease {}", self.lease) };
        format!("{}={} c{created} m{modified} v{}{lease}", text(&self.key), text(&self.value), self.version)
    }
}

fn pairs(pairs: &[KeyValue], base: i64) -> String {
    format!("[{}]", pairs.iter().map(|pair| pair.show(base)).collect::<Vec<_>>().join(", "))
}

impl Show for RangeResponse {
    fn show(&self, base: i64) -> String {
        let more = if self.more { " more" } else { "" };
        format!("{} {} count {}{more}", self.header.show(base), pairs(&self.kvs, base), self.count)
    }
}

impl Show for PutResponse {
    fn show(&self, base: i64) -> String {
        format!("{} prev {}", self.header.show(base), self.prev_kv.show(base))
    }
}

impl Show for DeleteRangeResponse {
    fn show(&self, base: i64) -> String {
        format!("{} deleted {} prev {}", self.header.show(base), self.deleted, pairs(&self.prev_kvs, base))
    }
}

impl Show for TxnResponse {
    fn show(&self, base: i64) -> String {
        let responses: Vec<String> = (self.responses.iter())
            .map(|response| match &response.response {
                Some(Answer::ResponseRange(response)) => format!("range {}", response.show(base)),
                Some(Answer::ResponsePut(response)) => format!("put {}", response.show(base)),
                Some(Answer::ResponseDeleteRange(response)) => format!("delete {}", response.show(base)),
                Some(Answer::ResponseTxn(response)) => format!("txn {}", response.show(base)),
                None => "none".to_owned(),
            })
            .collect();
        format!("{} {} [{}]", self.header.show(base), self.succeeded, responses.join("; "))
    }
}

macro_rules! headers_only {
    ($($response:ty),*) => {$(
        impl Show for $response {
            fn show(&self, base: i64) -> String {
                self.header.show(base)
            }
        }
    )*};
}

headers_only!(CompactionResponse, LeaseRevokeResponse, ProclaimResponse, ResignResponse, UnlockResponse);

/// Ids that the server chooses are above all that the cases choose.
fn id(id: i64) -> String {
    if (0..1_000_000).contains(&id) { id.to_string() } else { "chosen".to_owned() }
}

impl Show for LeaseGrantResponse {
    fn show(&self, base: i64) -> String {
        format!("{} id {} ttl {} error {:?}", self.header.show(base), id(self.id), self.ttl, self.error)
    }
}

impl Show for LeaseKeepAliveResponse {
    fn show(&self, base: i64) -> String {
        format!("{} id {} ttl {}", self.header.show(base), id(self.id), self.ttl)
    }
}

impl Show for LeaseTimeToLiveResponse {
    fn show(&self, base: i64) -> String {
        // etcd has them in no order.
        let mut keys: Vec<String> = self.keys.iter().map(|key| text(key)).collect();
        keys.sort_unstable();
        // Time passes, on some machines more than on others.
        let ttl = if self.ttl > 0 { "running".to_owned() } else { self.ttl.to_string() };
        format!("{} id {} granted {} ttl {ttl} keys {keys:?}", self.header.show(base), id(self.id), self.granted_ttl)
    }
}

impl Show for LeaseLeasesResponse {
    fn show(&self, base: i64) -> String {
        let mut ids: Vec<i64> = self.leases.iter().map(|lease| lease.id).collect();
        ids.sort_unstable();
        format!("{} {ids:?}", self.header.show(base))
    }
}

impl Show for Event {
    fn show(&self, base: i64) -> String {
        let kind = ["put", "delete"].get(self.r#type as usize).unwrap_or(&"unknown");
        format!("{kind} {} prev {}", self.kv.show(base), self.prev_kv.show(base))
    }
}

impl Show for WatchResponse {
    fn show(&self, base: i64) -> String {
        let events: Vec<String> = self.events.iter().map(|event| event.show(base)).collect();
        let mut text = format!("{} id {}", self.header.show(base), self.watch_id);
        for (set, word) in [(self.created, " created"), (self.canceled, " canceled"), (self.fragment, " fragment")] {
            text.push_str(if set { word } else { "" });
        }
        if self.compact_revision != 0 {
            text.push_str(&format!(" compacted {}", relative(self.compact_revision, base)));
        }
        if !self.cancel_reason.is_empty() {
            text.push_str(&format!(" reason {:?}", self.cancel_reason));
        }
        format!("{text} [{}]", events.join(", "))
    }
}

impl Show for CampaignResponse {
    fn show(&self, base: i64) -> String {
        let leader = self.leader.as_ref().map(|leader| {
            let rev = relative(leader.rev, base);
            format!("{} {} rev {rev} lease {}", text(&leader.name), text(&leader.key), id(leader.lease))
        });
        format!("{} {leader:?}", self.header.show(base))
    }
}

impl Show for LeaderResponse {
    fn show(&self, base: i64) -> String {
        format!("{} {}", self.header.show(base), self.kv.show(base))
    }
}

impl Show for LockResponse {
    fn show(&self, base: i64) -> String {
        format!("{} {}", self.header.show(base), text(&self.key))
    }
}
