//! `/debug/vars`: how this process was started, and where consensus stands.

use http::{Response, StatusCode};
use serde_json::json;
use tonic::body::Body;

use crate::etcd_v3::front::Front;

pub(super) fn answer(front: &Front) -> Response<Body> {
    let status = front.handle.status();
    let leads = status.leader_id == Some(front.handle.member_id());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let vars = json!({
        "cmdline": std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        "file_descriptor_limit": limit,
        "raft.status": {
            "id": format!("{:x}", front.handle.member_id()),
            "term": status.term,
            "lead": format!("{:x}", status.leader_id.unwrap_or(0)),
            "raftState": if leads { "StateLeader" } else { "StateFollower" },
            "commit": status.committed_index,
            "applied": status.applied_index,
        },
    });
    super::json(StatusCode::OK, &vars)
}
