//! Sessions with pods by every kubectl: exec, attach, cp and port-forward, over WebSockets and over SPDY.

#[path = "kubectl/running.rs"]
mod running;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Output, Stdio};

use keelson::dev::{Scratch, Spec};
use running::{Running, http, wait_for};

/// More than any window or buffer on the way.
const MUCH: usize = 3 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn sessions_work_by_every_kubectl() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    let newest = Kubectl { program: tools().join("kubectl-1.37"), cluster: &cluster, context: "keelson", spdy: false };
    newest.run(&["run", "p", "--image=nginx:1", "--port=80", "--env=COLOR=blue"]);
    newest.run(&["run", "broken", "--image=nginx:does-not-exist"]);
    newest.run(&["run", "debugged", "--image=nginx:1"]);
    newest.run(&["wait", "--for=condition=Ready", "--timeout=120s", "pod/p", "pod/debugged"]);
    newest.run(&["wait", "--for=condition=PodScheduled", "--timeout=120s", "pod/broken"]);
    for (name, context) in [("kubectl-1.32", "keelson"), ("kubectl-1.35", "keelson-m2"), ("kubectl-1.37", "keelson-m3")]
    {
        for spdy in [false, true] {
            let kubectl = Kubectl { program: tools().join(name), cluster: &cluster, context, spdy };
            kubectl.commands();
            kubectl.copies();
            kubectl.forwards();
            kubectl.attaches();
            kubectl.is_refused();
            kubectl.debugs();
        }
    }
    keelctl(&cluster);
    newest.uses_a_terminal();
    newest.is_slow();
    newest.loses_its_pod();
    newest.loses_its_node();
}

fn tools() -> PathBuf {
    std::env::var_os("KEELSON_TOOLS").map(PathBuf::from).expect("KEELSON_TOOLS names the folder; `make test` sets it")
}

struct Kubectl<'a> {
    program: PathBuf,
    cluster: &'a Scratch,
    context: &'static str,
    /// Without WebSockets, as through a proxy that does not know them.
    spdy: bool,
}

impl Kubectl<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--context", self.context]).args(arguments).stdin(Stdio::null());
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        let variables = self.cluster.environment().into_iter().filter_map(|(name, value)| Some((name, value?)));
        command.envs(variables).env("KUBECACHEDIR", self.cluster.layout().home().join("kubectl-cache"));
        if self.spdy {
            command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false").env("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false");
        }
    }

    fn about(&self, arguments: &[&str]) -> String {
        format!("{} {arguments:?} (SPDY: {})", self.program.display(), self.spdy)
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("kubectl runs")
    }

    /// Runs it with some input.
    fn fed(&self, arguments: &[&str], input: Vec<u8>) -> Output {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        let mut stdin = child.stdin.take().expect("is piped");
        let feeding = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().expect("ends");
        // A command that reads nothing ends before all is written.
        let _unread = feeding.join().expect("does not panic");
        output
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{}: {}", self.about(arguments), text(&output.stderr));
        text(&output.stdout)
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], why: &str) -> i32 {
        let output = self.output(arguments);
        let (code, told) = (output.status.code(), text(&output.stdout) + &text(&output.stderr));
        assert!(code != Some(0) && told.contains(why), "{} must tell {why:?}: {told}", self.about(arguments));
        code.unwrap_or(-1)
    }

    /// Starts it with pipes.
    fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    fn commands(&self) {
        assert_eq!(self.run(&["exec", "p", "--", "echo", "hello"]), "hello\n");
        assert_eq!(self.run(&["exec", "p", "--", "sh", "-c", "echo $COLOR; hostname"]), "blue\np\n");
        assert_eq!(self.run(&["exec", "p", "-c", "p", "--", "true"]), "");
        let code = self.fails(&["exec", "p", "--", "sh", "-c", "exit 42"], "command terminated with exit code 42");
        assert_eq!(code, 42, "{}", self.about(&[]));
        let both = self.output(&["exec", "p", "--", "sh", "-c", "echo out; echo err >&2"]);
        assert_eq!((text(&both.stdout), text(&both.stderr)), ("out\n".to_owned(), "err\n".to_owned()));
        let sent: Vec<u8> = (0..MUCH).map(|index| (index / 7 % 251) as u8).collect();
        let got = self.fed(&["exec", "-i", "p", "--", "cat"], sent.clone());
        assert!(got.stdout == sent, "{}: {} bytes, {}", self.about(&[]), got.stdout.len(), text(&got.stderr));
        let unread = self.fed(&["exec", "-i", "p", "--", "true"], sent);
        assert!(unread.status.success(), "{}: {}", self.about(&[]), text(&unread.stderr));
    }

    fn copies(&self) {
        let folder = tempfile::tempdir().expect("a folder");
        let (there, back) = (folder.path().join("there"), folder.path().join("back"));
        std::fs::create_dir_all(there.join("deep")).expect("is made");
        let data: Vec<u8> = (0..500_000).map(|index| (index % 253) as u8).collect();
        std::fs::write(there.join("deep/data"), &data).expect("is written");
        let place = format!("p:/tmp/{}-{}", self.context, self.spdy);
        self.run(&["cp", &there.to_string_lossy(), &place]);
        self.run(&["cp", &place, &back.to_string_lossy()]);
        let got = std::fs::read(back.join("deep/data"));
        assert!(got.is_ok_and(|got| got == data), "{}", self.about(&["cp"]));
        self.fails(&["cp", "p:/none", &back.to_string_lossy()], "No such file or directory");
    }

    fn forwards(&self) {
        let mut running = self.start(&["port-forward", "pod/p", ":80"]);
        let output = running.0.stdout.take().expect("is piped");
        let line = wait_for(output, "Forwarding from 127.0.0.1:").expect("it forwards");
        let port: u16 = line.split([':', ' ']).find_map(|word| word.parse().ok()).expect("says the port");
        let answer = http(port, b"GET /here HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n");
        assert!(answer.contains("pod p, image nginx:1, port 80\nGET /here\n"), "{}: {answer}", self.about(&[]));
        let body = "much ".repeat(MUCH / 5);
        let head = format!("POST / HTTP/1.1\r\nHost: p\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let both: Vec<_> = (0..2)
            .map(|_| {
                let request = format!("{head}{body}");
                std::thread::spawn(move || http(port, request.as_bytes()))
            })
            .collect();
        for answer in both {
            let answer = answer.join().expect("does not panic");
            assert!(answer.ends_with(&body), "{}: {} bytes", self.about(&[]), answer.len());
        }

        let mut running = self.start(&["port-forward", "pod/p", ":81"]);
        let line =
            wait_for(running.0.stdout.take().expect("is piped"), "Forwarding from 127.0.0.1:").expect("it forwards");
        let port: u16 = line.split([':', ' ']).find_map(|word| word.parse().ok()).expect("says the port");
        assert_eq!(http(port, b"GET / HTTP/1.1\r\nHost: p\r\n\r\n"), "");
        let told = running.0.stderr.take().expect("is piped");
        wait_for(told, "connection refused").expect("says why");
    }

    fn attaches(&self) {
        let mut running = self.start(&["attach", "-i", "p"]);
        let mut stdin = running.0.stdin.take().expect("is piped");
        let word = format!("hello-{}-{}", self.context, self.spdy);
        writeln!(stdin, "{word}").expect("is read");
        wait_for(running.0.stdout.take().expect("is piped"), &format!("read from standard input: {word}"))
            .expect("answers");
        let log = self.run(&["logs", "p"]);
        assert!(log.contains(&word), "{log}");
    }

    /// With a container that is added to the pod, and joined.
    fn debugs(&self) {
        let name = format!("debug-{}-{}", self.context, self.spdy);
        let arguments =
            ["debug", "-i", "debugged", "--image=busybox:1", "--target=debugged", "-c", &name, "--env=SHADE=red"];
        let mut running = self.start(&arguments);
        let mut stdin = running.0.stdin.take().expect("is piped");
        writeln!(stdin, "hello").expect("is read");
        let answer = "read from standard input: hello";
        wait_for(running.0.stdout.take().expect("is piped"), answer).expect("answers");
        assert_eq!(
            self.run(&["exec", "debugged", "-c", &name, "--", "sh", "-c", "echo $SHADE; hostname"]),
            "red\ndebugged\n"
        );
        assert!(self.run(&["logs", "debugged", "-c", &name]).contains("simulated container of image busybox:1"));
        let ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        assert_eq!(self.run(&["get", "pod", "debugged", "-o", ready]), "True", "nobody waits for it");
        let again = ["debug", "debugged", "--image=busybox:1", "--target=none", "--profile=general"];
        self.fails(&again, "targetContainerName: Not found");
    }

    fn is_refused(&self) {
        self.fails(&["exec", "p", "-c", "nope", "--", "true"], "container nope");
        self.fails(&["exec", "nobody", "--", "true"], "pods \"nobody\" not found");
        let why = "exec: \"nonsense\": executable file not found in $PATH";
        self.fails(&["exec", "p", "--", "nonsense"], why);
        self.fails(&["exec", "broken", "--", "true"], "container not found (\"broken\")");
        self.fails(&["port-forward", "broken", ":80"], "pod is not running");
    }

    /// By util-linux' `script`, which gives it a terminal.
    fn uses_a_terminal(&self) {
        let line = format!("{} --context {} exec -it p -- sh", self.program.display(), self.context);
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.environment(&mut command);
        let mut running = Running(command.spawn().expect("script runs"));
        let mut stdin = running.0.stdin.take().expect("is piped");
        let mut output = running.0.stdout.take().expect("is piped");
        read_until(&mut output, "/ # ");
        stdin.write_all(b"echo $COLOR-$COLOR\r").expect("is read");
        read_until(&mut output, "blue-blue\r\n/ # ");
        // What is typed is shown before it is begun.
        stdin.write_all(b"echo begun; sleep 1000\r").expect("is read");
        read_until(&mut output, "begun\r\n");
        stdin.write_all(&[3]).expect("is read");
        read_until(&mut output, "^C\r\n/ # ");
        stdin.write_all(b"exit 5\r").expect("is read");
        read_until(&mut output, "command terminated with exit code 5");
        assert_eq!(running.0.wait().expect("ends").code(), Some(5));
    }

    /// What nobody reads holds up nobody else.
    fn is_slow(&self) {
        let mut slow = self.start(&["exec", "p", "--", "yes"]);
        let mut first = [0; 2];
        slow.0.stdout.as_mut().expect("is piped").read_exact(&mut first).expect("it has begun");
        for _ in 0..3 {
            assert_eq!(self.run(&["exec", "p", "--", "echo", "quick"]), "quick\n");
        }
        assert!(slow.0.try_wait().expect("is known").is_none(), "it goes on");
    }

    fn loses_its_pod(&self) {
        self.run(&["run", "short", "--image=nginx:1"]);
        self.run(&["wait", "--for=condition=Ready", "--timeout=120s", "pod/short"]);
        let mut session = self.start(&["exec", "short", "--", "sh", "-c", "echo begun; sleep 1000"]);
        wait_for(session.0.stdout.take().expect("is piped"), "begun").expect("begins");
        self.run(&["delete", "pod", "short", "--now"]);
        assert_eq!(session.0.wait().expect("ends").code(), Some(137));
    }

    fn loses_its_node(&self) {
        let mut session = self.start(&["exec", "p", "--", "sh", "-c", "echo begun; sleep 1000"]);
        wait_for(session.0.stdout.take().expect("is piped"), "begun").expect("begins");
        self.cluster.agent().kill().expect("is killed");
        let told = session.0.stderr.take().expect("is piped");
        wait_for(told, "lost its connection to this member").expect("says why");
        assert_eq!(session.0.wait().expect("ends").code(), Some(1));
        self.fails(&["exec", "p", "--", "true"], "has no connection to this member");
    }
}

/// The same by gRPC.
fn keelctl(cluster: &Scratch) {
    let program = keelson::dev::scratch::program("keelctl").expect("it was built");
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        let variables = cluster.environment().into_iter().filter_map(|(name, value)| Some((name, value?)));
        command.args(arguments).envs(variables).stdin(Stdio::null());
        command
    };
    let run = |arguments: &[&str]| command(arguments).output().expect("keelctl runs");
    let said = run(&["exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 42"]);
    assert_eq!((said.status.code(), text(&said.stdout)), (Some(42), "out\n".to_owned()), "{}", text(&said.stderr));
    assert_eq!(text(&said.stderr), "err\nerror: command terminated with exit code 42\n");
    for (arguments, why) in [
        (&["exec", "nobody", "--", "true"][..], "pods \"nobody\" not found"),
        (&["exec", "p", "-c", "nope", "--", "true"], "container nope is not valid for pod p"),
        (&["exec", "p", "--", "nonsense"], "executable file not found in $PATH"),
        (&["exec", "broken", "--", "true"], "container not found (\"broken\")"),
        (&["port-forward", "broken", ":80"], "pod is not running"),
        (&["cp", "p:/none", "/tmp/none-of-it"], "No such file or directory"),
    ] {
        let refused = run(arguments);
        assert!(refused.status.code() == Some(1) && text(&refused.stderr).contains(why), "{}", text(&refused.stderr));
    }

    let folder = tempfile::tempdir().expect("a folder");
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    std::fs::create_dir_all(there.join("deep")).expect("is made");
    let data: Vec<u8> = (0..MUCH).map(|index| (index % 253) as u8).collect();
    std::fs::write(there.join("deep/data"), &data).expect("is written");
    for arguments in
        [["cp", &there.to_string_lossy(), "p:/tmp/keelctl"], ["cp", "p:/tmp/keelctl", &back.to_string_lossy()]]
    {
        let copied = run(&arguments);
        assert!(copied.status.success(), "{arguments:?}: {}", text(&copied.stderr));
    }
    assert!(std::fs::read(back.join("deep/data")).is_ok_and(|got| got == data));

    let mut forward = command(&["port-forward", "p", ":80"]);
    let mut running = Running(forward.stdout(Stdio::piped()).spawn().expect("keelctl runs"));
    let output = running.0.stdout.take().expect("is piped");
    let line = wait_for(output, "Forwarding from 127.0.0.1:").expect("it forwards");
    let port: u16 = line.split([':', ' ']).find_map(|word| word.parse().ok()).expect("says the port");
    let answer = http(port, b"GET /grpc HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("port 80\nGET /grpc\n"), "{answer}");

    let mut attach = command(&["attach", "-i", "p"]);
    let mut running = Running(attach.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("keelctl runs"));
    let mut stdin = running.0.stdin.take().expect("is piped");
    writeln!(stdin, "hello by gRPC").expect("is read");
    let output = running.0.stdout.take().expect("is piped");
    wait_for(output, "read from standard input: hello by gRPC").expect("answers");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn read_until(output: &mut ChildStdout, wanted: &str) {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(wanted.as_bytes()) {
        match output.read(&mut byte) {
            Ok(1) => read.push(byte[0]),
            _ => panic!("{wanted:?} did not come, but {:?}", text(&read)),
        }
    }
}
