use std::sync::Arc;
use std::task::Poll;

use k8s_openapi::api::core::v1::Pod;
use keelson_proto::keelson::node::v1::TunnelRequest;
use keelson_proto::keelson::node::v1::session_frame::Frame as Wire;
use keelson_proto::keelson::node::v1::tunnel_request::Message;
use keelson_sessions::{Outcome, Sessions};
use serde_json::{Value, json};

use super::*;

fn pod(annotations: Value) -> Arc<Pod> {
    let pod = json!({
        "metadata": { "name": "p", "namespace": "default", "uid": "u", "annotations": annotations },
        "spec": { "containers": [{ "name": "main", "image": "web:1" }] },
    });
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

fn main_container() -> ContainerId {
    ContainerId { pod_uid: "u".to_owned(), name: "main".to_owned() }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + millis).expect("a time")
}

fn start(runtime: &mut Simulated, pod: Arc<Pod>) {
    let environment = vec![
        Variable { name: "A".to_owned(), value: "1".to_owned(), secret: false },
        Variable { name: "B".to_owned(), value: "hidden".to_owned(), secret: true },
    ];
    runtime.act(Action::Start { container: main_container(), pod, environment }, at(0));
}

/// Polls at each moment that the runtime names, up to `until`.
fn observe(runtime: &mut Simulated, until: i64) -> Vec<(i64, Happened)> {
    let mut seen = Vec::new();
    while let Some(next) = runtime.next_at()
        && next <= at(until)
    {
        for observation in runtime.poll(next) {
            seen.push((observation.at.as_millisecond() - at(0).as_millisecond(), observation.what));
        }
    }
    seen
}

#[test]
fn annotations_decide_what_happens_when() {
    let mut runtime = Simulated::new(1);
    start(
        &mut runtime,
        pod(json!({
            "simulation.keelson.dev/start-delay": "100ms",
            "simulation.keelson.dev/ready-delay.main": "50ms",
            "simulation.keelson.dev/exit-after": "2s",
            "simulation.keelson.dev/exit-code": "3",
        })),
    );
    let exited = Happened::Exited { code: 3, reason: "Error".to_owned() };
    assert_eq!(observe(&mut runtime, 60_000), [(100, Happened::Started), (150, Happened::Ready), (2_100, exited)]);
}

#[test]
fn a_container_that_is_asked_to_end_ends_and_one_that_will_not_is_killed() {
    for (stop_delay, grace_seconds, expected) in [("1s", 30, (6_000, 0)), ("60s", 5, (10_000, KILLED))] {
        let mut runtime = Simulated::new(1);
        start(&mut runtime, pod(json!({ "simulation.keelson.dev/stop-delay": stop_delay })));
        observe(&mut runtime, 5_000);
        runtime.act(Action::Stop { container: main_container(), grace_seconds }, at(5_000));
        let seen = observe(&mut runtime, 60_000);
        assert!(matches!(&seen[..], [(when, Happened::Exited { code, .. })] if (*when, *code) == expected), "{seen:?}");
    }
}

#[test]
fn an_image_that_does_not_exist_is_told() {
    let mut runtime = Simulated::new(1);
    start(&mut runtime, pod(json!({ "simulation.keelson.dev/image-pull-error": "no such image" })));
    let seen = observe(&mut runtime, 5_000);
    assert!(
        matches!(&seen[..], [(_, Happened::NotStarted { reason, message })] if reason == "ErrImagePull" && message == "no such image"),
        "{seen:?}"
    );
}

#[test]
fn a_wrong_annotation_is_told_and_not_guessed_at() {
    let mut runtime = Simulated::new(1);
    start(&mut runtime, pod(json!({ "simulation.keelson.dev/exit-after": "soon" })));
    let seen = observe(&mut runtime, 5_000);
    assert!(
        matches!(&seen[..], [(_, Happened::NotStarted { message, .. })] if message.contains("exit-after") && message.contains("soon")),
        "{seen:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut runtime = Simulated::new(seed);
        start(&mut runtime, pod(json!({})));
        observe(&mut runtime, 5_000)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn logs_show_the_environment_but_no_secret_and_keep_the_run_before() {
    let mut runtime = Simulated::new(1);
    start(&mut runtime, pod(json!({})));
    observe(&mut runtime, 5_000);
    let text = |runtime: &Simulated, previous, now| {
        let lines = runtime.log(&main_container(), previous, at(now)).expect("a log").lines;
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>()
    };
    let now = text(&runtime, false, 12_000);
    assert!(now.contains(&"environment: A=1".to_owned()) && now.contains(&"environment: B=(from a secret)".to_owned()));
    assert!(!now.iter().any(|line| line.contains("hidden")));
    assert!(now.contains(&"still running after 10 s".to_owned()), "{now:?}");
    assert_eq!(runtime.log(&main_container(), true, at(0)), None);
    start(&mut runtime, pod(json!({})));
    assert!(text(&runtime, true, 12_000).contains(&"running".to_owned()));
}

#[test]
fn a_log_ends_with_its_run_and_the_next_run_has_another() {
    let mut runtime = Simulated::new(1);
    let ending = || pod(json!({ "simulation.keelson.dev/exit-after": "1s" }));
    start(&mut runtime, ending());
    let log = |runtime: &Simulated, previous| runtime.log(&main_container(), previous, at(5_000)).expect("a log");
    let first = log(&runtime, false).run;
    assert!(!log(&runtime, false).ended, "it has not begun");
    observe(&mut runtime, 900);
    assert!(!log(&runtime, false).ended, "it runs");
    observe(&mut runtime, 5_000);
    assert!(log(&runtime, false).ended && log(&runtime, false).run == first);
    start(&mut runtime, ending());
    assert!(!log(&runtime, false).ended && log(&runtime, true).ended);
    assert_ne!(log(&runtime, false).run, first);
}

#[tokio::test]
async fn whoever_is_attached_reads_to_the_end_and_is_told_the_exit_code() {
    let mut runtime = Simulated::new(1);
    start(
        &mut runtime,
        pod(json!({ "simulation.keelson.dev/exit-after": "2s", "simulation.keelson.dev/exit-code": "3" })),
    );
    observe(&mut runtime, 1_000);
    let (outgoing, mut sent) = tokio::sync::mpsc::channel(16);
    let wrap = |frame| TunnelRequest { message: Some(Message::Frame(frame)) };
    let sessions = Sessions::new(outgoing, wrap, 1);
    let (output, input) = sessions.open(1).expect("opens");
    let io = Io { input, output, stdin: true, stdout: true, stderr: false, tty: false };
    let mut attached = runtime.attach(&main_container(), io).expect("attaches");
    // It listens from the first poll on.
    assert!(std::future::poll_fn(|context| Poll::Ready(attached.as_mut().poll(context).is_pending())).await);
    runtime.machine(&main_container()).expect("runs").say("a last word".to_owned(), at(1_500));
    observe(&mut runtime, 60_000);
    assert_eq!(attached.await, Outcome::Exited(3));
    let mut text = Vec::new();
    while let Ok(TunnelRequest { message: Some(Message::Frame(frame)) }) = sent.try_recv() {
        if let Some(Wire::Data(data)) = frame.frame {
            text.extend_from_slice(&data.data);
        }
    }
    assert!(
        String::from_utf8_lossy(&text).contains(
            "a last word
"
        ),
        "{text:?}"
    );
}

#[test]
fn a_container_uses_what_its_pod_says_or_half_of_what_it_requests_and_never_more_than_its_limit() {
    let running = |annotations: Value, resources: Value| {
        let mut runtime = Simulated::new(1);
        let pod = json!({
            "metadata": { "name": "p", "namespace": "default", "uid": "u", "annotations": annotations },
            "spec": { "nodeName": "n", "containers": [{ "name": "main", "image": "web:1", "resources": resources }] },
        });
        start(&mut runtime, Arc::new(serde_json::from_value(pod).expect("a pod")));
        assert_eq!(runtime.usage("n", at(0)), [], "it does not run yet");
        observe(&mut runtime, 1_000);
        assert_eq!(runtime.usage("other", at(20_000)), []);
        let used = runtime.usage("n", at(20_000));
        assert_eq!((used[0].container.clone(), used[0].window, used.len()), (main_container(), WINDOW, 1));
        (used[0].cpu_nanocores, used[0].memory_bytes)
    };
    let requests = json!({ "requests": { "cpu": "500m", "memory": "20Gi" } });
    assert_eq!(running(json!({}), requests.clone()), (250_000_000, 10 << 30));
    assert_eq!(running(json!({}), json!({})), (1_000_000, 4 << 20));
    let annotated = json!({
        "simulation.keelson.dev/cpu-usage": "2", "simulation.keelson.dev/cpu-usage.main": "1500m",
        "simulation.keelson.dev/memory-usage": "64Mi",
    });
    assert_eq!(running(annotated.clone(), requests), (1_500_000_000, 64 << 20));
    let limits = json!({ "limits": { "cpu": "1", "memory": "32Mi" } });
    assert_eq!(running(annotated, limits), (1_000_000_000, 32 << 20));
}

#[test]
fn what_a_container_uses_is_told_while_it_runs() {
    let mut runtime = Simulated::new(1);
    let mut pod = (*pod(json!({ "simulation.keelson.dev/start-delay": "100ms" }))).clone();
    pod.spec.get_or_insert_default().node_name = Some("n".to_owned());
    start(&mut runtime, Arc::new(pod));
    observe(&mut runtime, 100);
    assert_eq!(runtime.usage("n", at(2_600))[0].window, Duration::from_millis(2_500), "it has not run for longer");
    runtime.act(Action::Stop { container: main_container(), grace_seconds: 30 }, at(3_000));
    observe(&mut runtime, 3_000);
    assert_eq!(runtime.usage("n", at(3_000)), []);
    runtime.act(Action::Remove { pod_uid: "u".to_owned() }, at(3_000));
    assert!(runtime.nodes.is_empty(), "nothing is kept of it");
}
