//! Errors say what to do next, and how bad it is by the exit code.

use tokio::net::TcpSocket;

use crate::keelctl;

#[tokio::test]
async fn nobody_there() {
    // Bound, so that nobody else gets the port, and not listened on.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    let run = keelctl(Some(address), &["get", "pods"], "").await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains(&format!("no member of the control plane is available at {address}")), "{}", run.err);
    assert!(run.err.contains("Connection refused") && run.err.contains("keelson dev status"), "{}", run.err);
}

#[tokio::test]
async fn nothing_configured() {
    let run = keelctl(None, &["get", "pods"], "").await;
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("no cluster is configured") && run.err.contains("keelson dev up"), "{}", run.err);
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense() {
    for (arguments, expected) in [
        (&["frobnicate"][..], "unrecognized subcommand"),
        (&["get"], "required"),
        (&["get", "pdos"], "did you mean pods?"),
        (&["get", "pods", "a", "-l", "x=y"], "exclude each other"),
        (&["delete", "pods"], "say which pods: names, -l LABELS, or --all"),
        (&["scale", "configmap/a", "--replicas", "1"], "configmaps cannot be scaled"),
        (&["rollout", "status", "pod/a"], "pods are not rolled out"),
        (&["apply"], "-f FILE"),
    ] {
        let run = keelctl(None, &[&["--endpoints", "127.0.0.1:1"], arguments].concat(), "").await;
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.err);
        assert!(run.err.contains(expected), "{arguments:?}: {}", run.err);
    }
}

#[tokio::test]
async fn files_that_cannot_be_read() {
    let arguments = ["--endpoints", "127.0.0.1:1", "apply", "-f", "-"];
    let run = keelctl(None, &arguments, "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n").await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("error: standard input, document 1, line "), "{}", run.err);
    let run = keelctl(None, &["--endpoints", "127.0.0.1:1", "apply", "-f", "/no/such/file"], "").await;
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("/no/such/file") && run.err.contains("No such file"), "{}", run.err);
}

#[tokio::test]
async fn what_needs_no_cluster_works_without() {
    let run = keelctl(None, &["version", "--client"], "").await;
    assert_eq!((run.code, run.out.as_str()), (Some(0), concat!("keelctl  ", env!("CARGO_PKG_VERSION"), "\n")));
    for shell in ["bash", "zsh", "fish"] {
        let run = keelctl(None, &["completion", shell], "").await;
        assert!(run.code == Some(0) && run.out.contains("keelctl"), "{shell}");
    }
}
