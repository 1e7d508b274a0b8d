//! etcd's own etcdctl, 3.4 and 3.5, over TLS: the commands that people type.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use keelson_proto::etcdserverpb::alarm_request::AlarmAction;
use keelson_proto::etcdserverpb::{AlarmRequest, AlarmType};
use keelson_proto::v3electionpb::{CampaignRequest, LeaderRequest};
use keelson_proto::v3lockpb::{LockRequest, UnlockRequest};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::cluster::Cluster;
use crate::lock::{lease, queued};
use crate::{PATIENCE, PATIENT};

/// The program, from the variable that `make test` sets. A test that cannot run must not look like one that passed.
fn program(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} must be the path of that etcdctl"));
    PathBuf::from(path)
}

struct Etcdctl {
    program: PathBuf,
    cluster: Arc<Cluster>,
    /// Keys of one version's run do not meet the other's.
    prefix: &'static str,
    /// Whether it knows --count-only; 3.4 does not.
    counts: bool,
}

impl Etcdctl {
    fn command(&self, endpoints: &str, arguments: &[&str]) -> Command {
        let tls = self.cluster.client_tls.as_ref().expect("this cluster has TLS");
        let mut command = Command::new(&self.program);
        command
            .env("ETCDCTL_API", "3")
            .args(PATIENT)
            .arg(format!("--endpoints={endpoints}"))
            .arg(format!("--cacert={}", tls.ca.display()))
            .arg(format!("--cert={}", tls.certificate.display()))
            .arg(format!("--key={}", tls.key.display()))
            .args(arguments.iter().map(|argument| argument.replace("@/", &format!("{}/", self.prefix))))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command that must succeed; `@/` in an argument stands for the prefix of the keys, and in the answer.
    async fn run(&self, arguments: &[&str]) -> String {
        let (succeeded, output, errors) = self.result(arguments, "").await;
        assert!(succeeded, "etcdctl {arguments:?}: {output}{errors}");
        output
    }

    /// Runs a command with an input, and answers whether it succeeded, its output and its errors.
    async fn result(&self, arguments: &[&str], input: &str) -> (bool, String, String) {
        self.result_at(&self.cluster.endpoints(), arguments, input).await
    }

    async fn result_at(&self, endpoints: &str, arguments: &[&str], input: &str) -> (bool, String, String) {
        let mut command = self.command(endpoints, arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("etcdctl starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        let input = input.replace("@/", &format!("{}/", self.prefix));
        stdin.write_all(input.as_bytes()).await.expect("etcdctl reads");
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.expect("etcdctl ends in time").expect("etcdctl runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").replace(&format!("{}/", self.prefix), "@/");
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    async fn put(&self, key: &str, value: &str) -> i64 {
        let output = self.run(&["put", key, value, "-w", "json"]).await;
        let output: serde_json::Value = serde_json::from_str(&output).expect("JSON");
        output["header"]["revision"].as_i64().expect("a revision")
    }
}

async fn all_commands(etcdctl: Etcdctl) {
    keys(&etcdctl).await;
    transactions(&etcdctl).await;
    watches(&etcdctl).await;
    leases(&etcdctl).await;
    locks(&etcdctl).await;
    elections(&etcdctl).await;
    maintenance(&etcdctl).await;
}

#[tokio::test]
async fn etcdctl_3_4_finds_everything_it_knows() {
    let program = program("KEELSON_TEST_ETCDCTL_34");
    all_commands(Etcdctl { program, cluster: Cluster::shared_with_tls(), prefix: "v34", counts: false }).await;
}

#[tokio::test]
async fn etcdctl_3_5_finds_everything_it_knows() {
    let program = program("KEELSON_TEST_ETCDCTL_35");
    all_commands(Etcdctl { program, cluster: Cluster::shared_with_tls(), prefix: "v35", counts: true }).await;
}

impl Etcdctl {
    fn start(&self, arguments: &[&str]) -> Child {
        self.command(&self.cluster.endpoints(), arguments).spawn().expect("etcdctl starts")
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }
}

/// Interrupts a program as a person at the keyboard does, and waits for its end.
async fn interrupt(mut child: Child) {
    let id = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.expect("kill runs").success());
    tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends in time").expect("it ends");
}

/// etcdctl locks by transactions of its own; it and the service must respect each other.
async fn locks(etcdctl: &Etcdctl) {
    assert_eq!(etcdctl.run(&["lock", "@/lock", "echo", "held"]).await, "held\n");
    let name = etcdctl.name("lock");
    let request = LockRequest { name: name.clone().into(), lease: lease(&etcdctl.cluster, 600).await };
    let mut service = etcdctl.cluster.lock(0).await;
    let held = service.lock(request.clone()).await.expect("the lock").into_inner();
    let waiting = etcdctl.start(&["lock", "@/lock", "echo", "held"]);
    queued(&etcdctl.cluster, &name, 2).await;
    service.unlock(UnlockRequest { key: held.key }).await.expect("an unlock");
    let output = tokio::time::timeout(PATIENCE, waiting.wait_with_output()).await.expect("in time").expect("it ends");
    assert_eq!(output.stdout, b"held\n");

    let mut holder = etcdctl.start(&["lock", "@/lock"]);
    let mut lines = BufReader::new(holder.stdout.take().expect("it is piped")).lines();
    let key = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("a line");
    assert!(key.expect("the key").starts_with(&format!("{name}/")));
    let waiting = tokio::spawn(async move { service.lock(request).await });
    queued(&etcdctl.cluster, &name, 2).await;
    assert!(!waiting.is_finished());
    interrupt(holder).await;
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("no panic").expect("the lock");
}

async fn elections(etcdctl: &Etcdctl) {
    let name = etcdctl.name("election");
    let next = async |lines: &mut Lines<BufReader<ChildStdout>>| {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line in time");
        line.expect("a line").expect("it goes on")
    };
    let mut leader = etcdctl.start(&["elect", "@/election", "one"]);
    let mut says = BufReader::new(leader.stdout.take().expect("it is piped")).lines();
    let key = next(&mut says).await;
    assert!(key.starts_with(&format!("{name}/")));
    assert_eq!(next(&mut says).await, "one");
    let mut service = etcdctl.cluster.election(1).await;
    let known = service.leader(LeaderRequest { name: name.clone().into() }).await.expect("a leader").into_inner();
    assert_eq!(known.kv.expect("a leader").value, "one");

    let mut observer = etcdctl.start(&["elect", "-l", "@/election"]);
    let mut observed = BufReader::new(observer.stdout.take().expect("it is piped")).lines();
    assert_eq!((next(&mut observed).await, next(&mut observed).await), (key, "one".to_owned()));
    let id = lease(&etcdctl.cluster, 600).await;
    let request = CampaignRequest { name: name.clone().into(), lease: id, value: "two".into() };
    let campaign = tokio::spawn(async move { service.campaign(request).await });
    queued(&etcdctl.cluster, &name, 2).await;
    interrupt(leader).await;
    tokio::time::timeout(PATIENCE, campaign).await.expect("in time").expect("no panic").expect("elected");
    assert_eq!((next(&mut observed).await, next(&mut observed).await), (format!("{name}/{id:x}"), "two".to_owned()));
    observer.kill().await.expect("it ends");
}

async fn keys(etcdctl: &Etcdctl) {
    assert_eq!(etcdctl.run(&["put", "@/k/a", "3"]).await, "OK\n");
    let before = etcdctl.put("@/k/b", "1").await;
    etcdctl.put("@/k/c", "2").await;
    assert_eq!(etcdctl.run(&["put", "@/k/b", "4", "--prev-kv"]).await, "OK\n@/k/b\n1\n");
    let rev = format!("--rev={before}");
    for (arguments, expected) in [
        (&["get", "@/k/a"][..], "@/k/a\n3\n"),
        (&["get", "@/k/none"], ""),
        (&["get", "@/k/", "--prefix"], "@/k/a\n3\n@/k/b\n4\n@/k/c\n2\n"),
        (&["get", "@/k/a", "@/k/c"], "@/k/a\n3\n@/k/b\n4\n"),
        (&["get", "@/k/b", "--from-key", "--limit=2"], "@/k/b\n4\n@/k/c\n2\n"),
        (&["get", "@/k/", "--prefix", "--keys-only"], "@/k/a\n\n@/k/b\n\n@/k/c\n\n"),
        (&["get", "@/k/", "--prefix", "--print-value-only"], "3\n4\n2\n"),
        (&["get", "@/k/", "--prefix", "--limit=1"], "@/k/a\n3\n"),
        (&["get", "@/k/", "--prefix", "--order=DESCEND", "--sort-by=KEY", "--print-value-only"], "2\n4\n3\n"),
        (&["get", "@/k/", "--prefix", "--order=ASCEND", "--sort-by=VALUE", "--print-value-only"], "2\n3\n4\n"),
        (&["get", "@/k/", "--prefix", "--order=DESCEND", "--sort-by=MODIFY", "--print-value-only"], "4\n2\n3\n"),
        (&["get", "@/k/", "--prefix", "--order=ASCEND", "--sort-by=CREATE", "--print-value-only"], "3\n4\n2\n"),
        (&["get", "@/k/", "--prefix", "--order=DESCEND", "--sort-by=VERSION", "--limit=1"], "@/k/b\n4\n"),
        (&["get", "@/k/", "--prefix", rev.as_str()], "@/k/a\n3\n@/k/b\n1\n"),
        (&["get", "@/k/", "--prefix", "--consistency=s", "--limit=1"], "@/k/a\n3\n"),
    ] {
        assert_eq!(etcdctl.run(arguments).await, expected, "{arguments:?}");
    }
    if etcdctl.counts {
        let counted = etcdctl.run(&["get", "@/k/", "--prefix", "--count-only", "-w", "fields"]).await;
        assert!(counted.contains("\"Count\" : 3"), "{counted}");
    }

    assert_eq!(etcdctl.run(&["del", "@/k/a", "--prev-kv"]).await, "1\n@/k/a\n3\n");
    assert_eq!(etcdctl.run(&["del", "@/k/", "--prefix"]).await, "2\n");
    assert_eq!(etcdctl.run(&["del", "@/k/", "--prefix"]).await, "0\n");
    let (succeeded, _, errors) = etcdctl.result(&["get", "@/k/a", "--rev=99999999"], "").await;
    assert!(!succeeded && errors.contains("required revision is a future revision"), "{errors}");
}

async fn transactions(etcdctl: &Etcdctl) {
    etcdctl.put("@/t/a", "1").await;
    let input = "value(\"@/t/a\") = \"1\"\nmod(\"@/t/none\") = \"0\"\n\nput @/t/a 2\nget @/t/a\n\nget @/t/a\n\n";
    let (succeeded, output, errors) = etcdctl.result(&["txn"], input).await;
    assert!(succeeded, "{errors}");
    assert_eq!(output, "SUCCESS\n\nOK\n\n@/t/a\n2\n");
    let (_, output, _) = etcdctl.result(&["txn"], input).await;
    assert_eq!(output, "FAILURE\n\n@/t/a\n2\n");
}

async fn watches(etcdctl: &Etcdctl) {
    let first = etcdctl.put("@/w/a", "1").await;
    etcdctl.put("@/w/b", "2").await;
    etcdctl.run(&["del", "@/w/a"]).await;
    let rev = format!("--rev={first}");
    for (arguments, expected) in [
        (&["watch", "@/w/a", rev.as_str()][..], &["PUT", "@/w/a", "1", "DELETE", "@/w/a", ""][..]),
        (
            &["watch", "@/w/", "--prefix", rev.as_str(), "--prev-kv"],
            &["PUT", "@/w/a", "1", "PUT", "@/w/b", "2", "DELETE", "@/w/a", "1", "@/w/a", ""],
        ),
    ] {
        let mut child = etcdctl.command(&etcdctl.cluster.endpoints(), arguments).spawn().expect("etcdctl starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line in time");
            let line = line.expect("etcdctl prints").expect("etcdctl goes on");
            seen.push(line.replace(&format!("{}/", etcdctl.prefix), "@/"));
        }
        assert_eq!(seen, expected, "{arguments:?}");
        child.kill().await.expect("etcdctl ends");
    }
}

async fn leases(etcdctl: &Etcdctl) {
    let granted = etcdctl.run(&["lease", "grant", "600"]).await;
    let id = granted.split_whitespace().nth(1).expect("lease <id> granted").to_owned();
    assert_eq!(granted, format!("lease {id} granted with TTL(600s)\n"));
    etcdctl.run(&["put", "@/l/a", "1", &format!("--lease={id}")]).await;
    let once = etcdctl.run(&["lease", "keep-alive", "--once", &id]).await;
    assert_eq!(once, format!("lease {id} keepalived with TTL(600)\n"));
    let left = etcdctl.run(&["lease", "timetolive", &id, "--keys"]).await;
    assert!(left.starts_with(&format!("lease {id} granted with TTL(600s), remaining(")), "{left}");
    assert!(left.ends_with("attached keys([@/l/a])\n"), "{left}");
    assert!(etcdctl.run(&["lease", "list"]).await.contains(&id));
    assert_eq!(etcdctl.run(&["lease", "revoke", &id]).await, format!("lease {id} revoked\n"));
    assert_eq!(etcdctl.run(&["get", "@/l/a"]).await, "");
    assert_eq!(etcdctl.run(&["lease", "timetolive", &id]).await, format!("lease {id} already expired\n"));
    let (succeeded, _, errors) = etcdctl.result(&["lease", "revoke", &id], "").await;
    assert!(!succeeded && errors.contains("requested lease not found"), "{errors}");
}

async fn maintenance(etcdctl: &Etcdctl) {
    let members = etcdctl.run(&["member", "list"]).await;
    assert_eq!(members.lines().filter(|line| line.contains("started")).count(), 3, "{members}");
    let (succeeded, output, errors) = etcdctl.result(&["endpoint", "health"], "").await;
    // The lines are on one stream in 3.4 and on the other in 3.5.
    assert!(succeeded, "{output}{errors}");
    assert_eq!(format!("{output}{errors}").matches("is healthy").count(), 3, "{output}{errors}");
    let status = etcdctl.run(&["endpoint", "status", "-w", "json"]).await;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let leaders: std::collections::BTreeSet<u64> = status
        .as_array()
        .expect("a list")
        .iter()
        .map(|member| member["Status"]["leader"].as_u64().expect("a leader"))
        .collect();
    assert_eq!(leaders.len(), 1, "{status}");

    let revision = etcdctl.put("@/m/a", "1").await;
    // Each member must have applied the put before it can hash it.
    for member in &etcdctl.cluster.members {
        let endpoint = format!("https://{}", member.address);
        let (succeeded, _, errors) = etcdctl.result_at(&endpoint, &["get", "@/m/a"], "").await;
        assert!(succeeded, "{errors}");
    }
    let hashes = etcdctl.run(&["endpoint", "hashkv", &format!("--rev={revision}")]).await;
    let hashes: std::collections::BTreeSet<&str> =
        hashes.lines().map(|line| line.rsplit(", ").next().expect("endpoint, hash")).collect();
    assert_eq!(hashes.len(), 1, "{hashes:?}");
}

#[tokio::test]
async fn etcdctl_takes_back_an_alarm_that_is_of_no_member() {
    let cluster = Arc::new(Cluster::start(true));
    for variable in ["KEELSON_TEST_ETCDCTL_34", "KEELSON_TEST_ETCDCTL_35"] {
        let etcdctl =
            Etcdctl { program: program(variable), cluster: Arc::clone(&cluster), prefix: variable, counts: true };
        // As when members differ, and nobody can say which are wrong.
        for member_id in [0, 17] {
            let alarm = AlarmType::Corrupt.into();
            let raise = AlarmRequest { action: AlarmAction::Activate.into(), member_id, alarm };
            cluster.maintenance(0).await.alarm(raise).await.expect("it is raised");
        }
        let listed = etcdctl.run(&["alarm", "list"]).await;
        assert_eq!((listed.lines().count(), listed.matches("CORRUPT").count()), (2, 2), "{listed}");
        let (succeeded, _, errors) = etcdctl.result(&["put", "@/a", "1"], "").await;
        assert!(!succeeded && errors.contains("corrupt cluster"), "{errors}");
        etcdctl.run(&["alarm", "disarm"]).await;
        assert_eq!(etcdctl.run(&["alarm", "list"]).await, "");
        etcdctl.put("@/a", "1").await;
    }
}

#[tokio::test]
async fn etcdctl_saves_a_snapshot_that_can_be_restored() {
    for variable in ["KEELSON_TEST_ETCDCTL_34", "KEELSON_TEST_ETCDCTL_35"] {
        let cluster = Cluster::shared_with_tls();
        let etcdctl =
            Etcdctl { program: program(variable), cluster: Arc::clone(&cluster), prefix: variable, counts: true };
        let revision = etcdctl.put("@/s/a", "1").await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("backup.snap");
        // Any one of them.
        let endpoint = format!("https://{}", cluster.members[0].address);
        let saved = ["snapshot", "save", file.to_str().expect("text")];
        let (_, _, errors) = etcdctl.result_at(&endpoint, &["get", "@/s/a"], "").await;
        let (succeeded, output, more) = etcdctl.result_at(&endpoint, &saved, "").await;
        assert!(succeeded && output.contains("Snapshot saved at"), "{output}{errors}{more}");
        let summary = keelson_store::backup::status(&file, folder.path()).expect("it is whole");
        assert!(summary.revision >= revision && summary.keys > 0, "{summary:?}");
    }
}

#[tokio::test]
async fn etcdctl_adds_promotes_updates_and_removes_members() {
    for variable in ["KEELSON_TEST_ETCDCTL_34", "KEELSON_TEST_ETCDCTL_35"] {
        let cluster = Arc::new(Cluster::start(true));
        let etcdctl = Etcdctl { program: program(variable), cluster: Arc::clone(&cluster), prefix: "m", counts: true };
        let output = etcdctl.run(&["member", "add", "m4", "--learner", "--peer-urls=https://127.0.0.1:1"]).await;
        let id = output.split_whitespace().nth(1).expect("Member <id> added").to_owned();
        assert!(output.contains("ETCD_INITIAL_CLUSTER_STATE=\"existing\""), "{output}");
        for (arguments, expected) in [
            (&["member", "promote", id.as_str()][..], "can only promote a learner member which is in sync with leader"),
            (
                &["member", "add", "m5", "--learner", "--peer-urls=https://127.0.0.1:2"],
                "too many learner members in cluster",
            ),
            (&["member", "add", "m5", "--peer-urls=https://127.0.0.1:1"], "Peer URLs already exists"),
            (&["member", "remove", "17"], "member not found"),
        ] {
            let (succeeded, _, errors) = etcdctl.result(arguments, "").await;
            assert!(!succeeded && errors.contains(expected), "{arguments:?}: {errors}");
        }
        etcdctl.run(&["member", "update", &id, "--peer-urls=https://127.0.0.1:3"]).await;
        let list = etcdctl.run(&["member", "list"]).await;
        assert!(list.contains(&format!("{id}, unstarted, , https://127.0.0.1:3, , true")), "{list}");
        etcdctl.run(&["member", "remove", &id]).await;
        let list = etcdctl.run(&["member", "list"]).await;
        assert_eq!((list.lines().count(), list.contains(&id)), (3, false), "{list}");
    }
}

#[tokio::test]
async fn etcdctl_disarms_alarms_and_defragments() {
    for variable in ["KEELSON_TEST_ETCDCTL_34", "KEELSON_TEST_ETCDCTL_35"] {
        let cluster = Arc::new(Cluster::start(true));
        let etcdctl =
            Etcdctl { program: program(variable), cluster: Arc::clone(&cluster), prefix: "alarms", counts: true };
        assert_eq!(etcdctl.run(&["alarm", "list"]).await, "");
        let id = cluster.members[0].handle.member_id();
        cluster.members[0].handle.raise_alarm(id, AlarmType::Nospace).await.expect("it is raised");
        let expected = format!("memberID:{id} alarm:NOSPACE \n");
        assert_eq!(etcdctl.run(&["alarm", "list"]).await, expected);
        let (succeeded, _, errors) = etcdctl.result(&["put", "@/a", "1"], "").await;
        assert!(!succeeded && errors.contains("etcdserver: mvcc: database space exceeded"), "{errors}");
        let (succeeded, output, errors) = etcdctl.result(&["endpoint", "health"], "").await;
        // 3.4 does not look at alarms there.
        let seen = variable.ends_with("34") || (!succeeded && format!("{output}{errors}").contains("NOSPACE"));
        assert!(seen, "{output}{errors}");
        assert_eq!(etcdctl.run(&["alarm", "disarm"]).await, expected);
        assert_eq!(etcdctl.run(&["put", "@/a", "1"]).await, "OK\n");
        let output = etcdctl.run(&["defrag"]).await;
        assert_eq!(output.matches("Finished defragmenting etcd member").count(), 3, "{output}");
    }
}

#[tokio::test]
async fn etcdctl_compacts_and_moves_the_leader() {
    let cluster = Arc::new(Cluster::start(true));
    let etcdctl = Etcdctl {
        program: program("KEELSON_TEST_ETCDCTL_35"),
        cluster: Arc::clone(&cluster),
        prefix: "alone",
        counts: true,
    };
    let first = etcdctl.put("@/a", "1").await;
    let second = etcdctl.put("@/a", "2").await;
    let output = etcdctl.run(&["compaction", &second.to_string(), "--physical"]).await;
    assert_eq!(output, format!("compacted revision {second}\n"));
    let (succeeded, _, errors) = etcdctl.result(&["get", "@/a", &format!("--rev={first}")], "").await;
    assert!(!succeeded && errors.contains("required revision has been compacted"), "{errors}");
    let (succeeded, _, errors) = etcdctl.result(&["watch", "@/a", &format!("--rev={first}")], "").await;
    assert!(!succeeded && errors.contains("required revision has been compacted"), "{errors}");

    let (_, follower) = cluster.leader_and_follower().await;
    let target = format!("{:x}", cluster.members[follower].handle.member_id());
    let output = etcdctl.run(&["move-leader", &target]).await;
    assert!(output.starts_with("Leadership transferred from"), "{output}");
    let mut leadership = cluster.members[follower].handle.leadership();
    leadership.wait_for(|now| now.leading).await.expect("the target leads");
    etcdctl.put("@/a", "3").await;
}
