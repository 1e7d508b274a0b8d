//! What people see who use etcd's own etcdctl, of two versions.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::run::{Run, refusal};

/// The variables with the paths of the programs.
const PROGRAMS: [(&str, &str); 2] = [("3.4", "KEELSON_TEST_ETCDCTL_34"), ("3.5", "KEELSON_TEST_ETCDCTL_35")];

/// Stands for a file of the run's own.
const FILE: &str = "FILE";

/// Commands, in this order, with what is typed into them. Each version leaves nothing behind for the next.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["put", "ctl/a", "1"], ""),
    (&["put", "ctl/a", "2", "--prev-kv"], ""),
    (&["put", "ctl/b"], "from the input"),
    (&["put", "ctl/none", "--ignore-value"], ""),
    (&["put", "ctl/a", "3", "--lease=4711"], ""),
    (&["put", "", "1"], ""),
    (&["get", "ctl/a"], ""),
    (&["get", "ctl/", "--prefix"], ""),
    (&["get", "ctl/", "--prefix", "--keys-only"], ""),
    (&["get", "ctl/", "--prefix", "--limit=1", "--order=DESCEND"], ""),
    (&["get", "ctl/", "--prefix", "--sort-by=MODIFY", "--order=ASCEND", "--print-value-only"], ""),
    (&["get", "ctl/a", "ctl/b", "--consistency=s"], ""),
    (&["get", "ctl/a", "--rev=999999999"], ""),
    (&["get", "ctl/b", "--hex"], ""),
    (&["get", "ctl/none"], ""),
    (&["txn"], "ver(\"ctl/a\") = \"2\"\n\nput ctl/t 1\nget ctl/a\n\ndel ctl/a\n\n"),
    (&["txn"], "val(\"ctl/a\") = \"9\"\n\nput ctl/t 2\n\nget ctl/t\ndel ctl/none\n\n"),
    (&["txn"], "\n\nput ctl/t 1\nput ctl/t 2\n\n\n"),
    (&["del", "ctl/none"], ""),
    (&["del", "ctl/a", "--prev-kv"], ""),
    (&["lock", "ctl/lock", "echo", "held"], ""),
    (&["del", "ctl/", "--prefix"], ""),
    (&["lease", "grant", "9000000001"], ""),
    (&["lease", "timetolive", "4711"], ""),
    (&["lease", "revoke", "4711"], ""),
    (&["lease", "keep-alive", "--once", "4711"], ""),
    (&["compaction", "999999999"], ""),
    (&["alarm", "list"], ""),
    (&["alarm", "disarm"], ""),
    (&["defrag"], ""),
    (&["snapshot", "save", FILE], ""),
    (&["move-leader", "1"], ""),
    // etcd may lose a change of members that comes before the one before is behind it; a write in between is behind both.
    (&["member", "remove", "1"], ""),
    (&["put", "ctl/between", "1"], ""),
    (&["member", "promote", "1"], ""),
    (&["put", "ctl/between", "1"], ""),
    (&["member", "update", "1", "--peer-urls=http://127.0.0.1:1"], ""),
    (&["member", "add", "x", "--peer-urls=nothing"], ""),
    (&["auth", "enable"], ""),
    (&["auth", "disable"], ""),
    (&["user", "get", "nobody"], ""),
    (&["user", "delete", "nobody"], ""),
    (&["user", "add", "ctl:secret"], ""),
    (&["user", "add", "ctl:secret"], ""),
    (&["user", "passwd", "ctl", "--interactive=false"], "other\n"),
    (&["role", "get", "nobody"], ""),
    (&["role", "grant-permission", "nobody", "read", "a"], ""),
    (&["role", "add", "ctl"], ""),
    (&["role", "grant-permission", "ctl", "readwrite", "ctl/", "--prefix"], ""),
    (&["role", "grant-permission", "ctl", "read", "from", "--from-key"], ""),
    (&["role", "grant-permission", "ctl", "some", "a"], ""),
    (&["role", "get", "ctl"], ""),
    (&["user", "grant-role", "ctl", "ctl"], ""),
    (&["user", "grant-role", "ctl", "nothing"], ""),
    (&["user", "get", "ctl"], ""),
    (&["user", "get", "ctl", "--detail"], ""),
    (&["user", "list"], ""),
    (&["role", "list"], ""),
    (&["role", "revoke-permission", "ctl", "never"], ""),
    (&["role", "revoke-permission", "ctl", "ctl/", "--prefix"], ""),
    (&["user", "revoke-role", "ctl", "ctl"], ""),
    (&["user", "revoke-role", "ctl", "ctl"], ""),
    (&["role", "delete", "ctl"], ""),
    (&["user", "delete", "ctl"], ""),
];

pub async fn all(run: &mut Run) {
    let folder = tempfile::tempdir().expect("a folder");
    for (version, variable) in PROGRAMS {
        run.group(&format!("etcdctl {version}")).await;
        let program = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} must be the path of that etcdctl"));
        let file = folder.path().join(version).display().to_string();
        for (number, (arguments, input)) in COMMANDS.iter().enumerate() {
            let endpoint = format!("http://{}", run.address);
            let answer = run.patience.wait(result(&program, &endpoint, &file, arguments, input)).await;
            run.note(format!("{number} {}", arguments.join(" ")), answer.unwrap_or_else(|late| refusal(&late)));
        }
    }
}

/// What it prints and how it ends, without what its log says and where the server is.
async fn result(program: &str, endpoint: &str, file: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .env("ETCDCTL_API", "3")
        .arg(format!("--endpoints={endpoint}"))
        .args(["--dial-timeout=20s", "--command-timeout=20s"])
        .args(arguments.iter().map(|argument| if *argument == FILE { file } else { *argument }))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("etcdctl starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // One that reads nothing may be gone already.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    let output = child.wait_with_output().await.expect("etcdctl runs");
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).replace(endpoint, "ENDPOINT").replace(file, FILE);
        text.replace(endpoint.trim_start_matches("http://"), "ADDRESS")
    };
    let errors = text(&output.stderr);
    let errors: Vec<&str> = errors.lines().filter(|line| line.starts_with("Error")).collect();
    format!("{} {:?} {errors:?}", output.status.success(), text(&output.stdout))
}
