use k8s_openapi::api::core::v1::{NodeSpec, NodeStatus, PodCondition, PodSpec, PodStatus, Toleration};

use super::*;
use crate::plan::Item;

fn node(ready: &str, taints: &[(&str, &str)]) -> Node {
    let mut node = Node {
        spec: Some(NodeSpec {
            taints: Some(
                taints
                    .iter()
                    .map(|(key, effect)| Taint {
                        key: (*key).to_owned(),
                        effect: (*effect).to_owned(),
                        time_added: Some(meta::whole_seconds(Timestamp::UNIX_EPOCH)),
                        value: None,
                    })
                    .collect(),
            ),
            ..NodeSpec::default()
        }),
        status: Some(NodeStatus {
            conditions: Some(
                CONDITIONS
                    .iter()
                    .map(|kind| NodeCondition {
                        type_: (*kind).to_owned(),
                        status: if *kind == "Ready" || ready == "Unknown" { ready } else { "False" }.to_owned(),
                        ..NodeCondition::default()
                    })
                    .collect(),
            ),
            ..NodeStatus::default()
        }),
        ..Node::default()
    };
    node.metadata.name = Some("n1".to_owned());
    node
}

fn pod(ready: bool, toleration: Option<(&str, i64)>) -> Pod {
    let mut pod = Pod {
        spec: Some(PodSpec {
            node_name: Some("n1".to_owned()),
            tolerations: toleration.map(|(key, seconds)| {
                vec![Toleration {
                    key: Some(key.to_owned()),
                    operator: Some("Exists".to_owned()),
                    toleration_seconds: Some(seconds),
                    ..Toleration::default()
                }]
            }),
            ..PodSpec::default()
        }),
        status: Some(PodStatus {
            phase: Some("Running".to_owned()),
            conditions: Some(vec![PodCondition {
                type_: "Ready".to_owned(),
                status: if ready { "True" } else { "False" }.to_owned(),
                ..PodCondition::default()
            }]),
            ..PodStatus::default()
        }),
        ..Pod::default()
    };
    pod.metadata.name = Some("web".to_owned());
    pod.metadata.namespace = Some("blue".to_owned());
    pod
}

fn snapshot(node: Node, silent_seconds: u64) -> Snapshot {
    Snapshot {
        node: Some(Arc::new(node)),
        silent_for: Duration::from_secs(silent_seconds),
        grace: Duration::from_secs(40),
        all_lost: false,
        eviction_wait: Duration::ZERO,
        pods: vec![Arc::new(pod(true, None))],
    }
}

fn planned(snapshot: &Snapshot) -> String {
    plan(snapshot, "n1", Timestamp::UNIX_EPOCH).to_string()
}

const LOST: [(&str, &str); 2] = [(UNREACHABLE, NO_SCHEDULE), (UNREACHABLE, NO_EXECUTE)];

#[test]
fn a_silent_node_is_marked_then_tainted_then_its_pods_are_unready() {
    assert_eq!(planned(&snapshot(node("True", &[]), 10)), "nothing: the node is ready (again in 30.0 s)");
    assert_eq!(planned(&snapshot(node("True", &[]), 40)), "update nodes/status n1: no sign of life for 40 s");
    assert_eq!(
        planned(&snapshot(node("Unknown", &[]), 41)),
        "update nodes n1: tainted node.kubernetes.io/unreachable:NoSchedule; tainted node.kubernetes.io/unreachable:NoExecute"
    );
    assert_eq!(planned(&snapshot(node("Unknown", &LOST), 42)), "update pods/status blue/web: the node is not ready");
}

#[test]
fn a_node_that_is_back_loses_its_taints_and_keeps_those_of_others() {
    let mut taints = LOST.to_vec();
    taints.push(("dedicated", NO_EXECUTE));
    let plan = plan(&snapshot(node("True", &taints), 0), "n1", Timestamp::UNIX_EPOCH);
    let [Write::Update(Item::Node(node))] = plan.writes.as_slice() else { panic!("{plan}") };
    let left: Vec<&str> = super::taints(node).map(|taint| taint.key.as_str()).collect();
    assert_eq!(left, ["dedicated"]);
}

#[test]
fn nothing_is_given_up_when_all_is_lost_or_too_fast() {
    let mut all_lost = snapshot(node("Unknown", &LOST), 50);
    all_lost.all_lost = true;
    let plan_all = plan(&all_lost, "n1", Timestamp::UNIX_EPOCH);
    let [Write::Update(Item::Node(kept))] = plan_all.writes.as_slice() else { panic!("{plan_all}") };
    assert!(taints(kept).all(|taint| taint.effect == NO_SCHEDULE));
    let mut fast = snapshot(node("Unknown", &LOST[..1]), 50);
    fast.eviction_wait = Duration::from_secs(7);
    fast.pods.clear();
    assert_eq!(planned(&fast), "nothing: another node was given up just now; the node is not ready (again in 7.0 s)");
}

#[test]
fn pods_leave_when_their_toleration_ends() {
    let cases = [
        (None, 300, 299, Some(1)),
        (None, 300, 300, Some(0)),
        (None, 1, 2, Some(0)),
        (Some((UNREACHABLE, 20)), 0, 10, Some(10)),
        (Some((UNREACHABLE, 20)), 300, 20, Some(0)),
        (Some(("other", 20)), 0, 0, Some(0)),
    ];
    for (toleration, eviction_after, passed, expected) in cases {
        let snapshot = evict::Snapshot {
            node: Some(Arc::new(node("Unknown", &LOST))),
            pods: vec![Arc::new(pod(true, toleration))],
            eviction_after: Duration::from_secs(eviction_after),
        };
        let now = Timestamp::from_second(passed).expect("a time");
        let plan = evict::plan(&snapshot, "n1", now);
        let stays = if plan.is_nothing() { plan.requeue_after.map(|after| after.as_secs()) } else { Some(0) };
        assert_eq!(stays, expected, "{toleration:?} {eviction_after} {passed}: {plan}");
    }
}
