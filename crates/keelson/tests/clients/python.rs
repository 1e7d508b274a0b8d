//! The client of Python, by the tests in `python`.

use crate::{Program, beside, cluster, text, tool};

#[tokio::test(flavor = "multi_thread")]
async fn usual_programs_run_by_the_client_of_python() {
    let cluster = cluster().await;
    let python = Program { path: tool("python/bin/python"), cluster: &cluster };
    let folder = beside("python").to_string_lossy().into_owned();
    // -B: nothing is written beside the sources.
    let arguments = ["-B", "-W", "ignore", "-m", "unittest", "discover", "--verbose", "--start-directory", &folder];
    let output = python.output(&arguments);
    let told = text(&output.stderr);
    println!("{told}");
    assert!(output.status.success(), "{told}");
}
