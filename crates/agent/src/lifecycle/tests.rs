use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use keelson_types::Resources;

use super::*;
use crate::room::Room;

const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(10), max: Duration::from_secs(300) };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
}

fn pod(spec: Value, deleting: bool) -> Arc<Pod> {
    let mut pod =
        json!({ "metadata": { "name": "p", "namespace": "default", "uid": "u", "generation": 1 }, "spec": spec });
    if deleting {
        pod["metadata"]["deletionTimestamp"] = json!("2027-01-15T08:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(7);
    }
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

struct Scenario {
    lifecycle: Lifecycle,
    text: String,
}

impl Scenario {
    fn new(spec: Value) -> Self {
        let lifecycle = Lifecycle::new(pod(spec, false), "10.0.0.1".to_owned(), "10.1.0.1".to_owned(), BACKOFF, at(0));
        Self { lifecycle, text: String::new() }
    }

    /// Notes what is done and reported at a moment, on one line.
    fn look(&mut self, seconds: i64) -> &mut Self {
        let actions = self.lifecycle.step(at(seconds));
        let actions: Vec<String> = actions
            .iter()
            .map(|action| match action {
                Action::Start { container, .. } => format!("start {}", container.name),
                Action::Stop { container, grace_seconds } => {
                    format!("stop {} within {grace_seconds} s", container.name)
                }
                other => format!("{other:?}"),
            })
            .collect();
        let status = self.lifecycle.status(at(seconds));
        let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
        let states: Vec<String> = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .flatten()
            .map(|container| {
                let state = container.state.clone().unwrap_or_default();
                let text = match (state.waiting, state.running, state.terminated) {
                    (Some(waiting), _, _) => waiting.reason.unwrap_or_default(),
                    (_, Some(_), _) => "running".to_owned(),
                    (_, _, Some(ended)) => format!("ended {}", ended.exit_code),
                    _ => "nothing".to_owned(),
                };
                format!("{}={text}×{}", container.name, container.restart_count)
            })
            .collect();
        let phase = status.phase.unwrap_or_default();
        let ready = if ready { " ready" } else { "" };
        let gone = if self.lifecycle.is_gone() { " gone" } else { "" };
        writeln!(self.text, "{seconds}s [{}] {phase}{ready}{gone}: {}", actions.join(", "), states.join(" "))
            .expect("text");
        self
    }

    fn happen(&mut self, seconds: i64, container: &str, what: Happened) -> &mut Self {
        let container = ContainerId { pod_uid: "u".to_owned(), name: container.to_owned() };
        self.lifecycle.observe(&Observation { container, at: at(seconds), what });
        self.look(seconds)
    }

    fn expect(&self, expected: &str) {
        let expected: String = expected.trim().lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(self.text, expected);
    }
}

fn exited(code: i32) -> Happened {
    Happened::Exited { code, reason: if code == 0 { "Completed" } else { "Error" }.to_owned() }
}

#[test]
fn a_plain_pod_runs_and_becomes_ready() {
    let mut scenario = Scenario::new(json!({ "containers": [{ "name": "a" }, { "name": "b" }] }));
    scenario.look(0).happen(1, "a", Happened::Started).happen(2, "a", Happened::Ready);
    scenario.happen(3, "b", Happened::Started).happen(4, "b", Happened::Ready);
    scenario.expect(
        "0s [start a, start b] Pending: a=ContainerCreating×0 b=ContainerCreating×0
         1s [] Running: a=running×0 b=ContainerCreating×0
         2s [] Running: a=running×0 b=ContainerCreating×0
         3s [] Running: a=running×0 b=running×0
         4s [] Running ready: a=running×0 b=running×0",
    );
}

#[test]
fn init_containers_run_one_after_the_other_and_sidecars_only_have_to_start() {
    let mut scenario = Scenario::new(json!({
        "initContainers": [{ "name": "i" }, { "name": "s", "restartPolicy": "Always" }],
        "containers": [{ "name": "m" }],
    }));
    scenario.look(0).happen(1, "i", Happened::Started).happen(2, "i", exited(0));
    scenario.happen(3, "s", Happened::Started).happen(4, "m", Happened::Started);
    scenario.happen(5, "s", Happened::Ready).happen(6, "m", Happened::Ready);
    scenario.expect(
        "0s [start i] Pending: i=ContainerCreating×0 s=PodInitializing×0 m=ContainerCreating×0
         1s [] Pending: i=running×0 s=PodInitializing×0 m=ContainerCreating×0
         2s [start s] Pending: i=ended 0×0 s=ContainerCreating×0 m=ContainerCreating×0
         3s [start m] Pending: i=ended 0×0 s=running×0 m=ContainerCreating×0
         4s [] Running: i=ended 0×0 s=running×0 m=running×0
         5s [] Running: i=ended 0×0 s=running×0 m=running×0
         6s [] Running ready: i=ended 0×0 s=running×0 m=running×0",
    );
}

#[test]
fn a_crashing_container_is_started_again_after_longer_and_longer_pauses() {
    let mut scenario = Scenario::new(json!({ "containers": [{ "name": "a" }] }));
    scenario.look(0).happen(1, "a", Happened::Started).happen(2, "a", exited(1)).look(11).look(12);
    scenario.happen(13, "a", Happened::Started).happen(14, "a", exited(1)).look(33).look(34);
    scenario.expect(
        "0s [start a] Pending: a=ContainerCreating×0
         1s [] Running: a=running×0
         2s [] Running: a=CrashLoopBackOff×1
         11s [] Running: a=CrashLoopBackOff×1
         12s [start a] Running: a=ContainerCreating×1
         13s [] Running: a=running×1
         14s [] Running: a=CrashLoopBackOff×2
         33s [] Running: a=CrashLoopBackOff×2
         34s [start a] Running: a=ContainerCreating×2",
    );
}

#[test]
fn the_restart_policy_decides_how_a_pod_ends() {
    for (policy, code, last) in [
        ("Never", 0, "2s [] Succeeded: a=ended 0×0"),
        ("Never", 3, "2s [] Failed: a=ended 3×0"),
        ("OnFailure", 0, "2s [] Succeeded: a=ended 0×0"),
        ("OnFailure", 3, "2s [] Running: a=CrashLoopBackOff×1"),
        ("Always", 0, "2s [] Running: a=CrashLoopBackOff×1"),
    ] {
        let mut scenario = Scenario::new(json!({ "restartPolicy": policy, "containers": [{ "name": "a" }] }));
        scenario.look(0).happen(1, "a", Happened::Started).happen(2, "a", exited(code));
        assert_eq!(scenario.text.lines().last(), Some(last), "{policy} {code}");
    }
}

#[test]
fn an_image_that_cannot_be_pulled_is_tried_again() {
    let missing = || Happened::NotStarted { reason: "ErrImagePull".to_owned(), message: "not found".to_owned() };
    let mut scenario = Scenario::new(json!({ "containers": [{ "name": "a" }] }));
    scenario.look(0).happen(1, "a", missing()).look(11).happen(12, "a", missing()).look(31).look(32);
    scenario.expect(
        "0s [start a] Pending: a=ContainerCreating×0
         1s [] Pending: a=ErrImagePull×0
         11s [start a] Pending: a=ContainerCreating×0
         12s [] Pending: a=ImagePullBackOff×0
         31s [] Pending: a=ImagePullBackOff×0
         32s [start a] Pending: a=ContainerCreating×0",
    );
}

#[test]
fn a_deleted_pod_stops_its_containers_and_is_gone_when_they_have_ended() {
    let spec = json!({ "containers": [{ "name": "a" }, { "name": "b" }] });
    let mut scenario = Scenario::new(spec.clone());
    scenario.look(0).happen(1, "a", Happened::Started).happen(1, "b", Happened::Started);
    let _ = scenario.lifecycle.update(pod(spec, true));
    scenario.look(5).look(6).happen(7, "a", exited(0)).happen(8, "b", exited(137));
    scenario.expect(
        "0s [start a, start b] Pending: a=ContainerCreating×0 b=ContainerCreating×0
         1s [] Running: a=running×0 b=ContainerCreating×0
         1s [] Running: a=running×0 b=running×0
         5s [stop a within 7 s, stop b within 7 s] Running: a=running×0 b=running×0
         6s [] Running: a=running×0 b=running×0
         7s [] Running: a=ended 0×0 b=running×0
         8s [] Failed gone: a=ended 0×0 b=ended 137×0",
    );
}

#[test]
fn what_a_former_agent_left_running_runs_on() {
    let mut first = Scenario::new(json!({ "containers": [{ "name": "a" }] }));
    first.look(0).happen(1, "a", Happened::Started).happen(2, "a", Happened::Ready);
    let mut left = (**first.lifecycle.pod()).clone();
    left.status = Some(first.lifecycle.status(at(3)));
    let mut second = Lifecycle::new(Arc::new(left), "10.9.9.9".to_owned(), "10.1.0.1".to_owned(), BACKOFF, at(100));
    assert_eq!(second.step(at(100)).len(), 0);
    assert!(matches!(&second.adopt()[..], [Action::Adopt { started_at, .. }] if *started_at == at(1)));
    assert_eq!(second.status(at(100)).pod_ip.as_deref(), Some("10.0.0.1"));
}

#[test]
fn a_condition_that_holds_again_takes_its_reason_back() {
    let mut scenario = Scenario::new(json!({ "containers": [{ "name": "a" }] }));
    let reason = |scenario: &Scenario| {
        let patch = scenario.lifecycle.status_patch(at(9));
        let conditions = patch["status"]["conditions"].as_array().expect("conditions").clone();
        conditions.into_iter().find(|condition| condition["type"] == "Ready").expect("Ready")["reason"].clone()
    };
    assert_eq!(reason(&scenario), "ContainersNotReady");
    scenario.look(0).happen(1, "a", Happened::Started).happen(2, "a", Happened::Ready);
    assert_eq!(reason(&scenario), Value::Null);
}

#[test]
fn a_container_for_debugging_runs_once_and_nobody_waits_for_it() {
    let spec = json!({ "initContainers": [{ "name": "i" }], "containers": [{ "name": "a" }] });
    let mut scenario = Scenario::new(spec.clone());
    scenario.look(0);
    let mut with = spec;
    with["ephemeralContainers"] = json!([{ "name": "d", "image": "busybox" }]);
    let _ = scenario.lifecycle.update(pod(with, false));
    // Also while the pod is stuck.
    scenario.look(1).happen(2, "d", Happened::Started);
    let told = |scenario: &Scenario| {
        let status = scenario.lifecycle.status(at(2));
        let debugger = status.ephemeral_container_statuses.expect("is told")[0].clone();
        (debugger.image, debugger.state.expect("a state"))
    };
    assert_eq!(told(&scenario).0, "busybox");
    assert!(told(&scenario).1.running.is_some());
    scenario.happen(3, "i", exited(0)).happen(4, "a", Happened::Started).happen(5, "a", Happened::Ready);
    scenario.happen(6, "d", exited(3)).look(60);
    scenario.expect(
        "0s [start i] Pending: i=ContainerCreating×0 a=ContainerCreating×0
         1s [start d] Pending: i=ContainerCreating×0 a=ContainerCreating×0
         2s [] Pending: i=ContainerCreating×0 a=ContainerCreating×0
         3s [start a] Pending: i=ended 0×0 a=ContainerCreating×0
         4s [] Running: i=ended 0×0 a=running×0
         5s [] Running ready: i=ended 0×0 a=running×0
         6s [] Running ready: i=ended 0×0 a=running×0
         60s [] Running ready: i=ended 0×0 a=running×0",
    );
    assert_eq!(told(&scenario).1.terminated.expect("has ended").exit_code, 3);
}

fn sized(cpu: &str, memory: &str) -> Value {
    json!({ "containers": [{
        "name": "a", "resources": { "requests": { "cpu": cpu, "memory": memory } },
        "resizePolicy": [{ "resourceName": "memory", "restartPolicy": "RestartContainer" }],
    }] })
}

fn amounts(cpu: &str, memory: &str) -> Resources {
    let list = [("cpu", cpu), ("memory", memory)].map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
    Resources::of(Some(&list.into()))
}

/// What the container has, and which conditions tell of what it is to have.
fn has(lifecycle: &Lifecycle) -> (String, Vec<(String, Option<String>)>) {
    let status = lifecycle.status(at(9));
    let container = &status.container_statuses.expect("is told")[0];
    let amount = |name: &str| container.allocated_resources.as_ref().expect("is told")[name].0.clone();
    let conditions = status.conditions.into_iter().flatten().filter(|condition| condition.type_.contains("Resize"));
    let conditions = conditions.map(|condition| (condition.type_, condition.reason)).collect();
    (format!("{} {}", amount("cpu"), amount("memory")), conditions)
}

#[test]
fn a_pod_is_resized_when_its_node_has_room() {
    let mut scenario = Scenario::new(sized("1", "1Gi"));
    scenario.look(0).happen(1, "a", Happened::Started).happen(2, "a", Happened::Ready);
    let (node, others) = (amounts("4", "8Gi"), amounts("1", "1Gi"));
    assert!(!scenario.lifecycle.wants_resize());
    let _ = scenario.lifecycle.update(pod(sized("2", "1Gi"), false));
    assert!(scenario.lifecycle.wants_resize());
    assert_eq!(has(&scenario.lifecycle), ("1 1Gi".to_owned(), vec![]), "not before it is given");
    let actions = scenario.lifecycle.resize(&node, &others).expect("changes");
    assert_eq!(actions.len(), 0, "cpu needs no restart");
    assert_eq!(has(&scenario.lifecycle), ("2 1Gi".to_owned(), vec![]));

    let pending = |reason: &str| vec![("PodResizePending".to_owned(), Some(reason.to_owned()))];
    for (cpu, reason) in [("5", "Infeasible"), ("4", "Deferred")] {
        let _ = scenario.lifecycle.update(pod(sized(cpu, "1Gi"), false));
        assert!(scenario.lifecycle.resize(&node, &others).is_some(), "it is told why");
        assert!(scenario.lifecycle.resize(&node, &others).is_none(), "once");
        assert_eq!(has(&scenario.lifecycle), ("2 1Gi".to_owned(), pending(reason)));
    }
    scenario.lifecycle.resize(&node, &Resources::default());
    assert_eq!(has(&scenario.lifecycle), ("4 1Gi".to_owned(), vec![]), "the others have gone");
    let _ = scenario.lifecycle.update(pod(sized("9", "1Gi"), false));
    scenario.lifecycle.resize(&node, &others);
    assert!(scenario.lifecycle.update(pod(sized("4", "1Gi"), false)), "the status is written");
    assert_eq!(has(&scenario.lifecycle).1, vec![], "it is not asked for any more");
    assert!(!scenario.lifecycle.update(pod(sized("4", "1Gi"), false)), "once");
    let mut newer = (*pod(sized("4", "1Gi"), false)).clone();
    newer.metadata.generation = Some(2);
    assert!(scenario.lifecycle.update(Arc::new(newer)), "the status says for which generation it holds");
}

#[test]
fn a_resize_that_takes_a_restart_is_in_progress_until_it_runs_again() {
    let mut scenario = Scenario::new(sized("1", "1Gi"));
    scenario.look(0).happen(1, "a", Happened::Started).happen(2, "a", Happened::Ready);
    let _ = scenario.lifecycle.update(pod(sized("1", "2Gi"), false));
    let actions = scenario.lifecycle.resize(&amounts("4", "8Gi"), &Resources::default()).expect("changes");
    assert!(matches!(&actions[..], [Action::Stop { grace_seconds: 30, .. }]), "{actions:?}");
    let progress = vec![("PodResizeInProgress".to_owned(), None)];
    assert_eq!(has(&scenario.lifecycle), ("1 2Gi".to_owned(), progress.clone()));
    assert_eq!(runs_with(&scenario.lifecycle), "1Gi", "the run before goes on");
    scenario.text.clear();
    // At once, without a pause for what did not fail.
    scenario.happen(5, "a", exited(0));
    assert_eq!(has(&scenario.lifecycle).1, progress);
    scenario.happen(6, "a", Happened::Started);
    assert_eq!(has(&scenario.lifecycle).1, vec![]);
    assert_eq!(runs_with(&scenario.lifecycle), "2Gi");
    scenario.expect(
        "5s [start a] Running: a=ContainerCreating×1
         6s [] Running: a=running×1",
    );
}

/// The memory that the container runs with.
fn runs_with(lifecycle: &Lifecycle) -> String {
    let status = lifecycle.status(at(9)).container_statuses.expect("is told").remove(0);
    status.resources.expect("is told").requests.expect("is told")["memory"].0.clone()
}

#[test]
fn an_agent_goes_on_with_a_resize_that_takes_a_restart() {
    let mut scenario = Scenario::new(sized("1", "1Gi"));
    scenario.look(0).happen(1, "a", Happened::Started).happen(2, "a", Happened::Ready);
    let mut wanted = (*pod(sized("1", "2Gi"), false)).clone();
    let _ = scenario.lifecycle.update(Arc::new(wanted.clone()));
    scenario.lifecycle.resize(&amounts("4", "8Gi"), &Resources::default()).expect("changes");
    wanted.status = Some(scenario.lifecycle.status(at(3)));
    let next = |pod: Pod| Lifecycle::new(Arc::new(pod), "10.0.0.1".to_owned(), "10.1.0.1".to_owned(), BACKOFF, at(9));
    scenario.lifecycle = next(wanted.clone());
    assert_eq!(scenario.lifecycle.adopt().len(), 1, "it runs still");
    assert!(!scenario.lifecycle.wants_resize(), "it was granted");
    scenario.text.clear();
    scenario.look(9).look(10).happen(11, "a", exited(0)).happen(12, "a", Happened::Started);
    assert_eq!((runs_with(&scenario.lifecycle), has(&scenario.lifecycle).1), ("2Gi".to_owned(), vec![]));
    scenario.expect(
        "9s [stop a within 30 s] Running ready: a=running×0
         10s [] Running ready: a=running×0
         11s [start a] Running: a=ContainerCreating×1
         12s [] Running: a=running×1",
    );
    wanted.status = Some(scenario.lifecycle.status(at(13)));
    assert!(next(wanted).step(at(14)).is_empty(), "it is done");
}

/// Pods of one node, each with one core.
fn neighbours() -> BTreeMap<String, Lifecycle> {
    let one = |uid: &str| {
        let mut scenario = Scenario::new(sized("1", "1Gi"));
        scenario.look(0).happen(1, "a", Happened::Started);
        (uid.to_owned(), scenario.lifecycle)
    };
    ["a", "b"].map(one).into()
}

/// Asks for so many cores, and says how many the pod has then and why it has no others.
fn resized(pods: &mut BTreeMap<String, Lifecycle>, uid: &str, cpu: &str) -> String {
    let _ = pods.get_mut(uid).expect("runs").update(pod(sized(cpu, "1Gi"), false));
    let mut room = Room::default();
    for (uid, lifecycle) in pods.iter() {
        room.set(uid, "n", lifecycle.taken());
    }
    room.set_allocatable("n", Some(amounts("4", "8Gi")));
    let (allocatable, taken) = room.beside(uid).expect("is known");
    let lifecycle = pods.get_mut(uid).expect("runs");
    lifecycle.resize(&allocatable, &taken);
    let (amounts, conditions) = has(lifecycle);
    let reasons: Vec<String> = conditions.into_iter().filter_map(|(_, reason)| reason).collect();
    format!("{amounts} {}", reasons.join(" "))
}

#[test]
fn a_pod_that_cannot_be_resized_keeps_nobody_from_it() {
    let mut pods = neighbours();
    assert_eq!(resized(&mut pods, "a", "1000"), "1 1Gi Infeasible");
    assert_eq!(resized(&mut pods, "b", "3"), "3 1Gi ");
    assert_eq!(resized(&mut pods, "b", "2"), "2 1Gi ");
}

#[test]
fn of_two_resizes_that_have_room_alone_one_is_granted() {
    let mut pods = neighbours();
    for uid in ["a", "b"] {
        let _ = pods.get_mut(uid).expect("runs").update(pod(sized("3", "1Gi"), false));
    }
    assert_eq!(resized(&mut pods, "a", "3"), "3 1Gi ");
    assert_eq!(resized(&mut pods, "b", "3"), "1 1Gi Deferred");
    // A shrink needs no room, not even on a node that has less than it gave.
    let (less, lifecycle) = (amounts("1", "1Gi"), pods.get_mut("a").expect("runs"));
    let _ = lifecycle.update(pod(sized("2", "1Gi"), false));
    lifecycle.resize(&less, &amounts("3", "8Gi"));
    assert_eq!(has(lifecycle), ("2 1Gi".to_owned(), vec![]));
    assert_eq!(resized(&mut pods, "b", "2"), "2 1Gi ");
}

#[test]
fn room_is_counted_as_the_scheduler_counts_it() {
    let spec = |cpu: &str, init: &str| {
        let mut spec = sized(cpu, "1Gi");
        spec["overhead"] = json!({ "cpu": "500m" });
        spec["initContainers"] = json!([{ "name": "i", "resources": { "requests": { "cpu": init } } }]);
        spec
    };
    let mut lifecycle = Scenario::new(spec("1", "2")).lifecycle;
    assert_eq!(lifecycle.taken().millicpu, 2_500, "what the first needs, which has more, and the overhead");
    let typed: k8s_openapi::api::core::v1::PodSpec = serde_json::from_value(spec("1", "2")).expect("a spec");
    assert_eq!(lifecycle.taken(), Resources::requested_by(&typed, None));
    // 3 and the overhead fit beside nothing on a node of 4, and 4 do not.
    for (cpu, others, has) in [("4", "0", "1 1Gi"), ("3", "1", "1 1Gi"), ("2", "2", "2 1Gi"), ("3", "0", "3 1Gi")] {
        let _ = lifecycle.update(pod(spec(cpu, "2"), false));
        lifecycle.resize(&amounts("4", "8Gi"), &amounts(others, "0"));
        assert_eq!(has_now(&lifecycle), has, "{cpu} beside {others}");
    }
    let mut whole = sized("1", "1Gi");
    whole["resources"] = json!({ "requests": { "cpu": "3" } });
    assert_eq!(Scenario::new(whole).lifecycle.taken().millicpu, 3_000);
}

fn has_now(lifecycle: &Lifecycle) -> String {
    has(lifecycle).0
}

#[test]
fn nothing_runs_of_a_pod_that_has_ended() {
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{ "name": "s", "restartPolicy": "Always" }],
        "containers": [{ "name": "m" }],
        "ephemeralContainers": [{ "name": "d" }, { "name": "late" }],
    });
    let mut scenario = Scenario::new(spec.clone());
    scenario.look(0).happen(1, "d", Happened::Started).happen(2, "s", Happened::Started);
    scenario.happen(3, "m", Happened::Started).happen(4, "m", exited(0)).look(5);
    let told = scenario.lifecycle.status(at(5));
    let mut left = (*pod(spec.clone(), false)).clone();
    left.status = Some(told);
    scenario.happen(6, "late", Happened::NotStarted { reason: "ErrImagePull".to_owned(), message: String::new() });
    scenario.look(1_000).happen(1_001, "s", exited(137)).happen(1_002, "d", exited(137));
    scenario.expect(
        "0s [start d, start late, start s] Pending: s=ContainerCreating×0 m=ContainerCreating×0
         1s [] Pending: s=ContainerCreating×0 m=ContainerCreating×0
         2s [start m] Pending: s=running×0 m=ContainerCreating×0
         3s [] Running: s=running×0 m=running×0
         4s [stop d within 30 s, stop late within 30 s, stop s within 30 s] Running: s=running×0 m=ended 0×0
         5s [] Running: s=running×0 m=ended 0×0
         6s [] Running: s=running×0 m=ended 0×0
         1000s [] Running: s=running×0 m=ended 0×0
         1001s [] Running: s=ended 137×0 m=ended 0×0
         1002s [] Succeeded: s=ended 137×0 m=ended 0×0",
    );
    assert_eq!(scenario.lifecycle.next_at(), None, "nothing is tried again");
    let status = scenario.lifecycle.status(at(1_003));
    let initialized = status.conditions.iter().flatten().find(|condition| condition.type_ == "Initialized");
    assert_eq!(initialized.expect("is told").status, "True");
    // The next agent goes on with what this one has not seen to its end.
    let next = Lifecycle::new(Arc::new(left), String::new(), String::new(), BACKOFF, at(7));
    let mut next = Scenario { lifecycle: next, text: String::new() };
    next.look(7).happen(8, "s", exited(0)).happen(9, "d", exited(0));
    next.expect(
        "7s [stop d within 30 s, stop s within 30 s] Running: s=running×0 m=ended 0×0
         8s [] Running: s=ended 0×0 m=ended 0×0
         9s [] Succeeded: s=ended 0×0 m=ended 0×0",
    );
}

#[test]
fn a_pod_that_somebody_else_ends_is_stopped() {
    let spec = json!({ "containers": [{ "name": "a" }] });
    let mut scenario = Scenario::new(spec.clone());
    scenario.look(0).happen(1, "a", Happened::Started);
    let mut ended = (*pod(spec, false)).clone();
    ended.status = Some(serde_json::from_value(json!({ "phase": "Failed" })).expect("a status"));
    let _ = scenario.lifecycle.update(Arc::new(ended));
    scenario.look(2).happen(3, "a", exited(0));
    scenario.expect(
        "0s [start a] Pending: a=ContainerCreating×0
         1s [] Running: a=running×0
         2s [stop a within 30 s] Failed: a=running×0
         3s [] Failed: a=ended 0×0",
    );
}

#[test]
fn a_condition_that_is_over_is_taken_out_of_the_status() {
    let mut scenario = Scenario::new(sized("1", "1Gi"));
    scenario.look(0).happen(1, "a", Happened::Started);
    let mut told = (*pod(sized("1", "1Gi"), false)).clone();
    let over = json!({ "conditions": [{ "type": "PodResizePending", "status": "True" }] });
    told.status = serde_json::from_value(over).expect("a status");
    let _ = scenario.lifecycle.update(Arc::new(told));
    let patch = scenario.lifecycle.status_patch(at(2));
    let conditions = patch["status"]["conditions"].as_array().expect("conditions");
    assert!(conditions.contains(&json!({ "type": "PodResizePending", "$patch": "delete" })), "{conditions:?}");
}
