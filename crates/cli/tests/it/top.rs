//! What is used, as a table.

use serde_json::{Value, json};

use crate::api::Api;
use crate::{Run, keelctl};

async fn measured() -> Api {
    let api = Api::start().await;
    let used = |cpu: &str, memory: &str| json!({"cpu": cpu, "memory": memory});
    for (name, usage) in [("n1", Some(used("250m", "3Gi"))), ("n2", Some(used("2", "1Gi"))), ("silent", None)] {
        let has = used("8", "32Gi");
        let all = used("16", "32Gi");
        let node = json!({"metadata": {"name": name}, "status": {"allocatable": has, "capacity": all}});
        api.put("nodes", "", name, node);
        if let Some(usage) = usage {
            api.put("nodes.metrics.k8s.io", "", name, json!({"metadata": {"name": name}, "usage": usage}));
        }
    }
    let pod = |namespace: &str, name: &str, containers: Value| {
        let metadata = json!({"name": name, "namespace": namespace});
        api.put("pods.metrics.k8s.io", namespace, name, json!({"metadata": metadata, "containers": containers}));
    };
    pod("default", "a", json!([{"name": "main", "usage": used("100m", "64Mi")}]));
    let two = [("main", used("1500000n", "200Mi")), ("sidecar", used("1m", "8Mi"))];
    pod("default", "b", two.map(|(name, usage)| json!({"name": name, "usage": usage})).to_vec().into());
    pod("other", "c", json!([{"name": "main", "usage": used("1", "1Mi")}]));
    api
}

async fn top(api: &Api, line: &str) -> Run {
    let words: Vec<&str> = line.split(' ').collect();
    keelctl(Some(api.address), &[&["top"], &words[..]].concat(), "").await
}

#[tokio::test]
async fn nodes_are_compared_with_what_they_have() {
    let api = measured().await;
    let shown = top(&api, "nodes").await;
    assert_eq!(
        (shown.code, shown.out.as_str()),
        (
            Some(0),
            "\
NAME     CPU(cores)   CPU(%)      MEMORY(bytes)   MEMORY(%)
n1       250m         3%          3072Mi          9%
n2       2000m        25%         1024Mi          3%
silent   <unknown>    <unknown>   <unknown>       <unknown>
"
        ),
        "{}",
        shown.err
    );
    let one = top(&api, "node n2 --show-capacity --no-headers").await;
    assert_eq!(one.out, "n2   2000m   12%   1024Mi   3%\n", "{}", one.err);
    let first = top(&api, "no --sort-by cpu --no-headers").await;
    assert!(first.out.starts_with("n2 "), "{}{}", first.out, first.err);
    assert_eq!(top(&api, "nodes --sort-by disk").await.code, Some(2));
    assert_eq!(top(&api, "nodes n1 -l a=b").await.code, Some(2));
    assert_eq!(top(&api, "nodes missing").await.code, Some(1));
}

#[tokio::test]
async fn pods_are_shown_whole_or_by_their_containers() {
    let api = measured().await;
    for (line, expected) in [
        ("pods", "NAME   CPU(cores)   MEMORY(bytes)\na      100m         64Mi\nb      3m           208Mi\n"),
        ("po --sort-by memory --no-headers", "b   3m     208Mi\na   100m   64Mi\n"),
        ("pod b --no-headers", "b   3m   208Mi\n"),
        (
            "pods -A --sort-by cpu",
            "\
NAMESPACE   NAME   CPU(cores)   MEMORY(bytes)
other       c      1000m        1Mi
default     a      100m         64Mi
default     b      3m           208Mi
",
        ),
        (
            "pods --containers",
            "\
POD   NAME      CPU(cores)   MEMORY(bytes)
a     main      100m         64Mi
b     main      2m           200Mi
b     sidecar   1m           8Mi
",
        ),
    ] {
        let shown = top(&api, line).await;
        assert_eq!((shown.code, shown.out.as_str()), (Some(0), expected), "{line}: {}", shown.err);
    }
    let none = top(&api, "pods -n empty").await;
    assert_eq!((none.code, none.err.as_str()), (Some(0), "No resources found in empty namespace.\n"));
}
