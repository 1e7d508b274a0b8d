use serde_json::json;

use super::*;

fn asking(cpu: &str, generation: i64) -> Arc<Pod> {
    let pod = json!({
        "metadata": { "name": "p", "namespace": "default", "uid": "u", "generation": generation },
        "spec": { "nodeName": "n", "containers": [{ "name": "a", "resources": { "requests": { "cpu": cpu } } }] },
    });
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

/// An agent that nobody answers.
fn work() -> Loop {
    let options = Options::new(vec!["n".to_owned()], vec!["http://127.0.0.1:1".to_owned()], None);
    let client = Service::new(options.clone()).expect("an agent").client;
    let pods = Reflector::<Pod>::new(client.clone()).start();
    let nodes = Reflector::<Node>::new(client.clone()).start();
    Loop::new(client, options, pods, nodes, Arc::new(RwLock::new(Simulated::new(1))))
}

#[tokio::test]
async fn the_status_is_written_when_a_resize_is_taken_back() {
    let mut work = work();
    let key = Key::of(&*asking("1", 1));
    work.set(&key, Some(asking("1", 1)));
    assert!(work.dirty.remove("u"), "it is new");
    work.set(&key, Some(asking("1", 1)));
    assert!(work.dirty.is_empty(), "nothing has changed");
    work.set(&key, Some(asking("1", 2)));
    assert!(work.dirty.remove("u"), "the status says for which generation it holds");

    work.set(&key, Some(asking("9", 2)));
    let lifecycle = work.running.get_mut("u").expect("runs");
    assert!(lifecycle.resize(&Resources::default(), &Resources::default()).is_some(), "it waits");
    work.dirty.clear();
    work.set(&key, Some(asking("1", 2)));
    assert!(work.dirty.contains("u"), "it does not wait any more");
}

fn node(cpu: &str) -> Node {
    let node = json!({ "metadata": { "name": "n" }, "status": { "allocatable": { "cpu": cpu, "memory": "1Gi" } } });
    serde_json::from_value(node).expect("a node")
}

fn of(uid: &str, cpu: &str) -> (Key, Arc<Pod>) {
    let mut pod = (*asking(cpu, 1)).clone();
    (pod.metadata.uid, pod.metadata.name) = (Some(uid.to_owned()), Some(uid.to_owned()));
    (Key::of(&pod), Arc::new(pod))
}

#[tokio::test]
async fn a_pod_that_waits_for_room_has_it_as_soon_as_there_is_some() {
    let mut work = work();
    work.set_allocatable("n", Some(&node("4")));
    for uid in ["a", "b", "c"] {
        let (key, pod) = of(uid, "1");
        work.set(&key, Some(pod));
    }
    let taken = |work: &Loop, uid: &str| {
        work.room.validate().expect("sums up");
        work.running[uid].taken().millicpu
    };
    let (key, wants_more) = of("a", "3");
    work.set(&key, Some(wants_more));
    work.resize_freed();
    assert_eq!(taken(&work, "a"), 1_000, "the others are there");
    let (key, _) = of("b", "1");
    work.set(&key, None);
    work.resize_freed();
    assert_eq!(taken(&work, "a"), 3_000, "one has gone");

    let (key, wants_more) = of("c", "2");
    work.set(&key, Some(wants_more));
    work.set_allocatable("n", Some(&node("4")));
    work.resize_freed();
    assert_eq!(taken(&work, "c"), 1_000);
    work.set_allocatable("n", Some(&node("5")));
    work.resize_freed();
    assert_eq!(taken(&work, "c"), 2_000, "the node has grown");

    let (key, wants_more) = of("c", "3");
    work.set(&key, Some(wants_more));
    let (key, wants_less) = of("a", "1");
    work.set(&key, Some(wants_less));
    work.resize_freed();
    assert_eq!(taken(&work, "c"), 3_000, "another one has less");
}
