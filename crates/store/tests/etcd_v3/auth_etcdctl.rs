//! Authentication as people set it up: by etcdctl of two versions.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::cluster::Cluster;
use crate::{PATIENCE, PATIENT};

struct Etcdctl {
    program: PathBuf,
    endpoints: String,
}

impl Etcdctl {
    /// Runs a command, and answers its output, or what it said when it failed.
    async fn run(&self, user: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.env("ETCDCTL_API", "3").args(PATIENT).arg(format!("--endpoints={}", self.endpoints));
        if !user.is_empty() {
            command.arg(format!("--user={user}"));
        }
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends in time");
        let output = output.expect("etcdctl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    async fn must(&self, user: &str, arguments: &[&str]) -> String {
        let output = self.run(user, arguments).await;
        output.unwrap_or_else(|errors| panic!("etcdctl {arguments:?}: {errors}"))
    }

    async fn refused(&self, user: &str, arguments: &[&str], words: &str) {
        let errors = self.run(user, arguments).await.expect_err("it must be refused");
        assert!(errors.contains(words), "{arguments:?}: {errors}");
    }
}

async fn set_up_and_used(variable: &str) {
    let program = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} must be the path of that etcdctl"));
    let cluster = Cluster::start_with(false, |options| options.auth.bcrypt_cost = 4);
    let etcdctl = Etcdctl { program: program.into(), endpoints: cluster.endpoints() };
    let root = "root:secret";
    etcdctl.refused("", &["auth", "enable"], "root user does not exist").await;
    assert_eq!(etcdctl.must("", &["user", "add", root]).await, "User root created\n");
    etcdctl.must("", &["user", "grant-role", "root", "root"]).await;
    assert_eq!(etcdctl.must("", &["auth", "enable"]).await, "Authentication Enabled\n");

    etcdctl.refused("", &["get", "a"], "user name is empty").await;
    etcdctl.refused("root:wrong", &["get", "a"], "invalid user ID or password").await;
    etcdctl.must(root, &["role", "add", "jane"]).await;
    etcdctl.must(root, &["role", "grant-permission", "jane", "read", "in/", "--prefix=true"]).await;
    etcdctl.must(root, &["role", "grant-permission", "jane", "readwrite", "out"]).await;
    assert_eq!(etcdctl.must(root, &["user", "add", "jane:pw"]).await, "User jane created\n");
    etcdctl.must(root, &["user", "grant-role", "jane", "jane"]).await;
    assert_eq!(etcdctl.must(root, &["user", "list"]).await, "jane\nroot\n");
    let role = etcdctl.must(root, &["role", "get", "jane"]).await;
    assert!(role.contains("[in/, in0) (prefix in/)") && role.contains("out"), "{role}");
    let user = etcdctl.must("jane:pw", &["user", "get", "jane"]).await;
    assert!(user.starts_with("User: jane\nRoles: jane"), "{user}");

    assert_eq!(etcdctl.must(root, &["put", "in/a", "1"]).await, "OK\n");
    assert_eq!(etcdctl.must("jane:pw", &["get", "in/", "--prefix"]).await, "in/a\n1\n");
    assert_eq!(etcdctl.must("jane:pw", &["put", "out", "2"]).await, "OK\n");
    for denied in [
        &["put", "in/a", "2"][..],
        &["get", "in", "--prefix"],
        &["get", "other"],
        &["get", "in/", "--from-key"],
        &["del", "in/a"],
        &["user", "add", "eve:pw"],
        &["compaction", "1"],
        &["auth", "disable"],
    ] {
        etcdctl.refused("jane:pw", denied, "permission denied").await;
    }
    etcdctl.must(root, &["role", "revoke-permission", "jane", "out"]).await;
    etcdctl.refused("jane:pw", &["put", "out", "3"], "permission denied").await;
    etcdctl.refused(root, &["user", "delete", "root"], "invalid auth management").await;
    etcdctl.must(root, &["user", "delete", "jane"]).await;
    etcdctl.refused("jane:pw", &["get", "out"], "invalid user ID or password").await;
    assert_eq!(etcdctl.must(root, &["auth", "disable"]).await, "Authentication Disabled\n");
    assert_eq!(etcdctl.must("", &["get", "out"]).await, "out\n2\n");
}

#[tokio::test]
async fn etcdctl_3_4_sets_authentication_up_and_uses_it() {
    set_up_and_used("KEELSON_TEST_ETCDCTL_34").await;
}

#[tokio::test]
async fn etcdctl_3_5_sets_authentication_up_and_uses_it() {
    set_up_and_used("KEELSON_TEST_ETCDCTL_35").await;
}
