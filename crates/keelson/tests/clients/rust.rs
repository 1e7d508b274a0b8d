//! The crate `kube`, by the tests in `rust`. They are a workspace of their own, which is built here with what its lock file names.

use std::path::PathBuf;
use std::process::{Command, Output};

use keelson::dev::Scratch;

use crate::{Program, beside, cluster, text};

#[tokio::test(flavor = "multi_thread")]
async fn usual_programs_run_by_kube_rs() {
    let built = cargo(None, &["--no-run"]);
    assert!(built.status.success(), "{}", text(&built.stderr));
    let cluster = cluster().await;
    // One after another, since some make the cluster forget what others still page through.
    let output = cargo(Some(&cluster), &["--", "--test-threads=1"]);
    let told = text(&output.stdout) + &text(&output.stderr);
    println!("{told}");
    assert!(output.status.success(), "{told}");
    assert!(told.contains("test result: ok") && !told.contains("running 0 tests"), "{told}");
}

/// `cargo test` of the programs, with build products in a folder of their own.
fn cargo(cluster: Option<&Scratch>, arguments: &[&str]) -> Output {
    // Compiling must not hold up the clients that are tested meanwhile.
    let mut command = match cluster {
        Some(cluster) => Program { path: PathBuf::from(env!("CARGO")), cluster }.command(&[]),
        None => {
            let mut nice = Command::new("nice");
            nice.args(["-n", "10", env!("CARGO")]);
            nice
        }
    };
    let manifest = beside("rust/Cargo.toml");
    command.args(["test", "--locked", "--quiet", "--manifest-path"]).arg(&manifest).args(arguments);
    command.env("CARGO_TARGET_DIR", target_folder());
    command.output().unwrap_or_else(|error| panic!("cargo does not run: {error}"))
}

/// Beside the build products that this test is one of.
fn target_folder() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let target = test.ancestors().nth(3).expect("is in target/debug/deps");
    target.join("clients-rust")
}
