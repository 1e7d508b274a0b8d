//! The crate `kube`, by the tests in `rust`. They are a workspace of their own, which is built here with what its lock file names.

use std::path::PathBuf;
use std::process::Command;

use crate::{Program, beside, cluster, text};

/// Two hundred crates, compiled by a busy machine.
const COMPILE_SECONDS_MAX: &str = "2400";
/// Each wait in the programs has a bound of its own, so that they tell what they waited for.
const RUN_SECONDS_MAX: &str = "1200";

#[tokio::test(flavor = "multi_thread")]
async fn usual_programs_run_by_kube_rs() {
    let programs = compiled();
    let cluster = cluster().await;
    let timeout = Program { path: PathBuf::from("timeout"), cluster: &cluster };
    let programs = programs.to_str().expect("a path of text");
    // One after another, since some make the cluster forget what others still page through.
    let output = timeout.output(&[RUN_SECONDS_MAX, programs, "--test-threads=1"]);
    let told = text(&output.stdout) + &text(&output.stderr);
    println!("{told}");
    assert!(output.status.success(), "{}: {told}", output.status);
    assert!(told.contains("test result: ok") && !told.contains("running 0 tests"), "{told}");
}

/// The programs as one executable, with build products in a folder of their own. What they are made of is there: `scripts/install
/// test` has fetched it.
fn compiled() -> PathBuf {
    // Compiling must not hold up the clients that are tested meanwhile.
    let output = Command::new("timeout")
        .args([COMPILE_SECONDS_MAX, "nice", "-n", "10", env!("CARGO"), "test", "--no-run", "--locked", "--offline"])
        .args(["--quiet", "--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(beside("rust/Cargo.toml"))
        .env("CARGO_TARGET_DIR", target_folder())
        .output()
        .unwrap_or_else(|error| panic!("cargo does not run: {error}"));
    let told = text(&output.stderr);
    assert!(output.status.success(), "{}: {told} (`scripts/install test` fetches the crates)", output.status);
    let messages = text(&output.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executables: Vec<PathBuf> =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).collect();
    match &executables[..] {
        [only] => only.clone(),
        others => panic!("one executable, not {others:?}: {told}"),
    }
}

/// Beside the build products that this test is one of.
fn target_folder() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let target = test.ancestors().nth(3).expect("is in target/debug/deps");
    target.join("clients-rust")
}
