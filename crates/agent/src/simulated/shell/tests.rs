use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;

use super::io::{Input, Output, Streams};
use super::script::Shell;
use crate::runtime::{ContainerId, Variable};
use crate::simulated::machine::Alive;

struct Session {
    alive: Alive,
}

impl Session {
    fn new() -> Session {
        let pod =
            Pod { metadata: ObjectMeta { name: Some("web-1".to_owned()), ..ObjectMeta::default() }, ..Pod::default() };
        let id = ContainerId { pod_uid: "u".to_owned(), name: "main".to_owned() };
        let variables = [Variable { name: "COLOR".to_owned(), value: "blue".to_owned(), secret: false }];
        Session { alive: Alive::new(&pod, &id, "image", &variables, Timestamp::UNIX_EPOCH) }
    }

    /// Exit code, output and errors of a command.
    async fn run(&self, command: &[&str], input: &[u8]) -> (i32, String, String) {
        let (out, err) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let mut streams = Streams {
            stdin: Input::bytes(input.to_vec()),
            stdout: Output::Buffer(out.clone()),
            stderr: Output::Buffer(err.clone()),
        };
        let words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let code = Shell::new(self.alive.machine.clone()).command(&words, &mut streams).await;
        let text = |bytes: &Mutex<Vec<u8>>| String::from_utf8_lossy(&bytes.lock()).into_owned();
        (code, text(&out), text(&err))
    }
}

#[tokio::test]
async fn scripts_do_what_they_do_in_a_shell() {
    let session = Session::new();
    for (script, code, out) in [
        ("echo hello  world", 0, "hello world\n"),
        ("echo 'a  b' \"$COLOR\" $NONE '$COLOR' \\$x", 0, "a  b blue  $COLOR $x\n"),
        ("true && echo yes || echo no", 0, "yes\n"),
        ("false && echo yes || echo no", 0, "no\n"),
        ("false; echo $?", 0, "1\n"),
        ("exit 42; echo not this", 42, ""),
        ("sh -c 'exit 3'; echo $?", 0, "3\n"),
        ("X=1; Y=$X$X; echo $Y", 0, "11\n"),
        ("X=1 printenv X; echo ${X}end", 0, "1\nend\n"),
        ("seq 3 | tail -n 1", 0, "3\n"),
        ("seq 5 | head -n 2 | wc -l", 0, "2\n"),
        ("echo -n abcdef | tail -c+3", 0, "cdef"),
        ("cd /tmp && echo one > f; echo two >> f; cat f; pwd", 0, "one\ntwo\n/tmp\n"),
        ("cat < /tmp/f | wc -c", 0, "8\n"),
        ("mkdir -p /a/b; touch /a/b/c; ls /a/b; rm -r /a; test -d /a || echo gone", 0, "c\ngone\n"),
        ("[ -d /tmp ] && [ ! -e /none ] && echo both # a comment", 0, "both\n"),
        ("hostname\nwhoami", 0, "web-1\nroot\n"),
        ("echo quiet > /dev/null; echo err >&2", 0, ""),
        ("yes | head -c 4", 0, "y\ny\n"),
        ("exec echo last; echo not this", 0, "last\n"),
    ] {
        let (got, printed, errors) = session.run(&["sh", "-c", script], b"").await;
        assert_eq!((got, printed.as_str()), (code, out), "{script}: {errors}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_as_a_shell_tells_it() {
    let session = Session::new();
    for (script, code, error) in [
        ("nonsense", 127, "sh: nonsense: not found\n"),
        ("cat /none", 1, "cat: can't open '/none': No such file or directory\n"),
        ("ls /none", 1, "ls: /none: No such file or directory\n"),
        ("echo 'open", 2, "sh: syntax error: unterminated quoted string\n"),
        ("| x", 2, "sh: syntax error: unexpected \"|\"\n"),
        ("echo x > /no/file", 1, "sh: can't create /no/file: No such file or directory\n"),
        ("cd /none", 2, "sh: cd: can't cd to /none: No such file or directory\n"),
        ("sleep soon", 1, "sleep: invalid number 'soon'\n"),
    ] {
        let (got, _, errors) = session.run(&["sh", "-c", script], b"").await;
        assert_eq!((got, errors.as_str()), (code, error), "{script}");
    }
    assert!(super::find(&["/bin/ls".to_owned()]).is_ok());
    let missing = super::find(&["nonsense".to_owned()]).expect_err("is none");
    assert!(missing.ends_with("exec: \"nonsense\": executable file not found in $PATH"), "{missing}");
}

#[tokio::test]
async fn archives_go_in_and_come_out() {
    let session = Session::new();
    session.run(&["sh", "-c", "mkdir -p /data/x; echo one > /data/a; echo two > /data/x/b"], b"").await;
    let out = Arc::new(Mutex::new(Vec::new()));
    let mut streams =
        Streams { stdin: Input::bytes(Vec::new()), stdout: Output::Buffer(out.clone()), stderr: Output::Nowhere };
    let words = ["tar", "cf", "-", "/data"].map(str::to_owned);
    let mut shell = Shell::new(session.alive.machine.clone());
    assert_eq!(shell.command(&words, &mut streams).await, 0);
    let archive = out.lock().clone();
    let (code, names, _) = session.run(&["tar", "tf", "-"], &archive).await;
    assert_eq!((code, names.as_str()), (0, "data/\ndata/a\ndata/x/\ndata/x/b\n"));
    let other = Session::new();
    assert_eq!(other.run(&["tar", "-xmf", "-", "-C", "/tmp"], &archive).await.0, 0);
    assert_eq!(other.run(&["cat", "/tmp/data/x/b"], b"").await.1, "two\n");
    for (command, input, error) in [
        (&["tar", "xf", "-"][..], &b"junk"[..], "tar: "),
        (&["tar", "xf", "-", "-C", "/none"], &archive, "tar: can't change directory to '/none'"),
        (&["tar", "cf", "-", "/none"], b"", "tar: /none: No such file or directory"),
    ] {
        let (code, _, errors) = other.run(command, input).await;
        assert!(code == 1 && errors.starts_with(error), "{command:?}: {errors}");
    }
}

#[tokio::test]
async fn a_small_command_cannot_make_something_huge() {
    let session = Session::new();
    let doubled = format!("X=0123456789; {}echo $X", "X=$X$X; ".repeat(40));
    let (code, out, errors) = session.run(&["sh", "-c", &doubled], b"").await;
    assert!(code == 0 && out.len() < 512 << 10 && errors.contains("argument list too long"), "{code}: {errors}");
    let many = format!("{}true {}", "X=0123456789; ".to_owned() + &"X=$X$X; ".repeat(12), "$X ".repeat(100));
    let (code, _, errors) = session.run(&["sh", "-c", &many], b"").await;
    assert_eq!(
        (code, errors.as_str()),
        (
            126,
            "sh: argument list too long
"
        )
    );
    let mut words = vec!["exec"; 50_000];
    words.push("true");
    assert_eq!(session.run(&words, b"").await.0, 0);
    let mut words = vec!["!"; 50_001];
    words.splice(0..0, ["test"]);
    words.push("x");
    assert_eq!(session.run(&words, b"").await.0, 1);
    for (command, error) in [
        (
            ["tar", "cf", "-"].as_slice(),
            "tar: the archive is too large
",
        ),
        (
            &["ls", "-l"],
            "ls: there is too much to list
",
        ),
    ] {
        let words = [command, &["/"; 100_000]].concat();
        let (code, _, errors) = session.run(&words, b"").await;
        assert_eq!((code, errors.as_str()), (1, error));
    }
}
