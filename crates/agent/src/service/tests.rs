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
    assert!(lifecycle.resize(&lifecycle::Amounts::new(), &lifecycle::Amounts::new()).is_some(), "it waits");
    work.dirty.clear();
    work.set(&key, Some(asking("1", 2)));
    assert!(work.dirty.contains("u"), "it does not wait any more");
}
