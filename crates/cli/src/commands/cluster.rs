//! `cluster`: the members of the control plane.

use clap::Subcommand;
use keelson_client::proto::{ClusterStatusResponse, Member};

use crate::Error;
use crate::context::Context;
use crate::render::table::Table;

/// Look at the control plane, or move its leadership
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Show the members: who leads, how far each is, and whether it is well
    #[command(after_help = STATUS_HELP)]
    Status,
    /// Hand leadership to another member
    #[command(after_help = TRANSFER_HELP)]
    TransferLeader {
        /// A member's name or id; without it the leader chooses the member that is furthest
        member: Option<String>,
    },
}

const STATUS_HELP: &str = "\
Columns:
  TERM       the Raft term the member is in
  REVISION   the store revision it has applied
  LAG        log entries that the leader has and the member has not applied";

const TRANSFER_HELP: &str = "\
Examples:
  keelctl cluster transfer-leader
  keelctl cluster transfer-leader m2";

impl Cluster {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let cluster = context.client()?.cluster();
        let status = cluster.status().await?;
        match self {
            Self::Status => {
                let text = table(&status).render(context.color);
                context.text(&text)?;
                match diagnosis(&status) {
                    Some(diagnosis) => Err(Error::Failed(diagnosis)),
                    None => Ok(()),
                }
            }
            Self::TransferLeader { member } => {
                let target = member.map_or(Ok(0), |member| find(&status, &member))?;
                let response = cluster.transfer_leader(target).await?;
                let leader = status.members.iter().find(|member| member.id == response.leader_id);
                let name = leader.map_or_else(|| format!("{:x}", response.leader_id), |leader| leader.name.clone());
                context.line(format!("{name} leads in term {}", response.term))
            }
        }
    }
}

fn table(status: &ClusterStatusResponse) -> Table {
    let mut table = Table::new(["MEMBER", "ID", "ADDRESS", "ROLE", "TERM", "REVISION", "LAG", "DB SIZE", "HEALTH"]);
    let mut members: Vec<&Member> = status.members.iter().collect();
    members.sort_by(|left, right| left.name.cmp(&right.name));
    for member in members {
        let answered = member.error.is_empty();
        let known = |text: String| if answered { text } else { "-".to_owned() };
        table.row([
            member.name.clone(),
            format!("{:x}", member.id),
            if member.api_address.is_empty() { member.peer_address.clone() } else { member.api_address.clone() },
            known(role(member).to_owned()),
            known(member.term.to_string()),
            known(member.revision.to_string()),
            known(member.lag_entries.to_string()),
            known(size(member.database_bytes)),
            if answered { "ok".to_owned() } else { member.error.clone() },
        ]);
    }
    table
}

fn role(member: &Member) -> &'static str {
    match (member.leader, member.voter) {
        (true, _) => "leader",
        (false, true) => "follower",
        (false, false) => "learner",
    }
}

/// What is wrong with the whole, if anything is.
fn diagnosis(status: &ClusterStatusResponse) -> Option<String> {
    let voters = status.members.iter().filter(|member| member.voter).count();
    let well = status.members.iter().filter(|member| member.voter && member.error.is_empty()).count();
    if !status.members.iter().any(|member| member.leader) {
        Some(format!("no member leads; {well} of {voters} voters answer"))
    } else if well * 2 <= voters {
        Some(format!("the quorum is lost: {well} of {voters} voters answer"))
    } else {
        None
    }
}

fn find(status: &ClusterStatusResponse, wanted: &str) -> Result<u64, Error> {
    let by_name = status.members.iter().find(|member| member.name == wanted);
    let id = u64::from_str_radix(wanted, 16).ok();
    let found = by_name.or_else(|| status.members.iter().find(|member| Some(member.id) == id));
    found.map(|member| member.id).ok_or_else(|| {
        let names: Vec<&str> = status.members.iter().map(|member| member.name.as_str()).collect();
        Error::Failed(format!("there is no member {wanted:?}; the members are {}", names.join(", ")))
    })
}

/// Bytes in binary units, with one decimal.
fn size(bytes: i64) -> String {
    let mut value = bytes.max(0) as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::color::Color;

    fn status() -> ClusterStatusResponse {
        let member = |name: &str, id, leader, error: &str| Member {
            id,
            name: name.into(),
            api_address: format!("127.0.0.1:{}", 6443 + id * 10),
            leader,
            voter: true,
            term: 4,
            revision: 1234,
            database_bytes: 3 << 20,
            error: error.into(),
            ..Member::default()
        };
        ClusterStatusResponse {
            cluster_id: 1,
            members: vec![
                member("m2", 2, true, ""),
                member("m1", 1, false, ""),
                member("m3", 0xabc, false, "unreachable"),
            ],
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn members_are_shown_by_name() {
        assert_eq!(
            table(&status()).render(Color::new(false)),
            "\
MEMBER   ID    ADDRESS           ROLE       TERM   REVISION   LAG   DB SIZE   HEALTH
m1       1     127.0.0.1:6453    follower   4      1234       0     3.0 MiB   ok
m2       2     127.0.0.1:6463    leader     4      1234       0     3.0 MiB   ok
m3       abc   127.0.0.1:33923   -          -      -          -     -         unreachable
"
        );
    }

    #[test]
    fn a_cluster_without_quorum_is_not_well() {
        let mut status = status();
        assert_eq!(diagnosis(&status), None);
        status.members[1].error = "unreachable".into();
        assert_eq!(diagnosis(&status).as_deref(), Some("the quorum is lost: 1 of 3 voters answer"));
        status.members[0].leader = false;
        assert_eq!(diagnosis(&status).as_deref(), Some("no member leads; 1 of 3 voters answer"));
    }

    #[test]
    fn a_member_is_found_by_name_and_by_id() {
        assert_eq!(find(&status(), "m1").ok(), Some(1));
        assert_eq!(find(&status(), "abc").ok(), Some(0xabc));
        assert!(find(&status(), "m9").expect_err("it is not there").to_string().ends_with("m2, m1, m3"));
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([0, 1023, 1536, 5 << 30, 3 << 40].map(size), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB", "3.0 TiB"]);
    }
}
