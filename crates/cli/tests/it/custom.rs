//! Kinds that users define: keelctl learns of them from the API.

use keelson_client::proto;
use serde_json::json;

use crate::api::Api;
use crate::{Run, keelctl};

const CRON_TAB: &str = "\
apiVersion: example.com/v1
kind: CronTab
metadata: {name: nightly}
spec: {cronSpec: '0 3 * * *', replicas: 2}
";

/// Its definition comes last.
const DEFINED: &str = "\
apiVersion: example.com/v1
kind: CronTab
metadata: {name: nightly}
spec: {cronSpec: '0 3 * * *', replicas: 2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: crontabs, kind: CronTab}
  versions: [{name: v1, served: true, storage: true}, {name: v2, served: false, storage: false}]
";

async fn started() -> Api {
    Api::with_kinds(kinds()).await
}

fn kinds() -> Vec<(&'static [&'static str], proto::Kind)> {
    let column = |name: &str, r#type: &str, json_path: &str, priority| proto::kind::Column {
        name: name.into(),
        r#type: r#type.into(),
        json_path: json_path.into(),
        priority,
        ..Default::default()
    };
    let schema = json!({"type": "object", "description": "Runs now and then.", "properties": {
        "spec": {"type": "object", "required": ["cronSpec"], "properties": {
            "cronSpec": {"type": "string", "description": "When."},
            "replicas": {"type": "integer"},
            "ports": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer"}}}},
        }},
    }});
    let kind = proto::Kind {
        group: "example.com".into(),
        version: "v1".into(),
        kind: "CronTab".into(),
        list_kind: "CronTabList".into(),
        plural: "crontabs".into(),
        singular: "crontab".into(),
        short_names: vec!["ct".into()],
        categories: vec!["all".into()],
        namespaced: true,
        columns: vec![
            column("Spec", "string", ".spec.cronSpec", 0),
            column("Replicas", "integer", ".spec.replicas", 0),
            column("Image", "string", ".spec.image", 1),
        ],
        schema: schema.to_string().into(),
        ..Default::default()
    };
    vec![(&["ct", "crontab", "crontabs", "crontabs.example.com", "all"], kind)]
}

async fn run(api: &Api, line: &str) -> Run {
    let words: Vec<&str> = line.split(' ').collect();
    keelctl(Some(api.address), &words, CRON_TAB).await
}

/// Runs a line and gives what it prints, its columns told apart by single spaces.
async fn says(api: &Api, line: &str) -> String {
    let ran = run(api, line).await;
    assert_eq!(ran.code, Some(0), "{line}: {}{}", ran.out, ran.err);
    let lines: Vec<String> =
        ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.join("\n")
}

#[tokio::test]
async fn objects_of_users_kinds_are_handled_as_others_are() {
    let api = started().await;
    assert_eq!(says(&api, "apply -f -").await, "crontab.example.com/nightly created");
    assert_eq!(says(&api, "get ct").await, "NAME SPEC REPLICAS\nnightly 0 3 * * * 2");
    assert_eq!(says(&api, "get crontabs -o wide").await, "NAME SPEC REPLICAS IMAGE\nnightly 0 3 * * * 2");
    assert_eq!(says(&api, "get crontab/nightly -o name").await, "crontab.example.com/nightly");
    assert!(says(&api, "get all").await.contains("crontab.example.com/nightly 0 3 * * * 2"));
    assert!(says(&api, "get ct nightly -o yaml").await.contains("kind: CronTab"));
    assert!(says(&api, "describe ct nightly").await.contains("Name: nightly"));
    assert_eq!(says(&api, "label ct/nightly a=b").await, "crontab.example.com/nightly labeled");
    // Such kinds have no strategic patch.
    let patched = keelctl(Some(api.address), &["patch", "ct/nightly", "-p", "{\"spec\":{\"replicas\":3}}"], "").await;
    assert_eq!((patched.code, patched.out.as_str()), (Some(0), "crontab.example.com/nightly patched\n"));
    assert_eq!(says(&api, "get ct/nightly -o jsonpath={.spec.replicas}").await, "3");
    assert_eq!(says(&api, "delete ct nightly --wait=false").await, "crontab.example.com \"nightly\" deleted");
}

#[tokio::test]
async fn users_kinds_are_listed_and_explained() {
    let api = started().await;
    let all = says(&api, "api-resources").await;
    assert!(all.contains("crontabs ct example.com/v1 true CronTab") && all.contains("pods po v1 true Pod"), "{all}");
    assert_eq!(says(&api, "api-resources --api-group example.com -o name").await, "crontabs.example.com");
    let whole = says(&api, "explain ct").await;
    assert_eq!(
        whole,
        "GROUP: example.com\nKIND: CronTab\nVERSION: v1\n\nDESCRIPTION:\nRuns now and then.\n\nFIELDS:\nspec <Object>"
    );
    let spec = says(&api, "explain crontabs.spec").await;
    assert!(spec.contains("FIELD: spec <Object>"), "{spec}");
    assert!(spec.ends_with("FIELDS:\ncronSpec <string> -required-\nports <[]Object>\nreplicas <integer>"), "{spec}");
    let port = says(&api, "explain ct.spec.ports.port").await;
    assert!(port.ends_with("FIELD: port <integer>\n"), "{port}");
    let missing = run(&api, "explain ct.spec.nothing").await;
    assert_eq!((missing.code, missing.err.as_str()), (Some(1), "error: field \"nothing\" does not exist\n"));
}

#[tokio::test]
async fn what_nobody_has_defined_is_told() {
    for api in [Api::start().await, Api::with_kinds(Vec::new()).await] {
        let unknown = run(&api, "get ct").await;
        assert_eq!(unknown.code, Some(2), "{}", unknown.err);
        assert!(unknown.err.starts_with("error: there is no kind of resource called \"ct\""), "{}", unknown.err);
        let undefined = run(&api, "apply -f -").await;
        assert_eq!(undefined.code, Some(1));
        assert!(undefined.err.contains("nobody has defined CronTab in example.com/v1"), "{}", undefined.err);
        assert!(api.is_empty());
    }
}

#[tokio::test]
async fn objects_wait_for_the_kinds_that_the_same_files_define() {
    for verb in ["apply", "create"] {
        let api = Api::with_kinds_to_come(kinds()).await;
        let ran = keelctl(Some(api.address), &[verb, "-f", "-"], DEFINED).await;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let expected = "customresourcedefinition.apiextensions.k8s.io/crontabs.example.com created\n\
                        crontab.example.com/nightly created\nconfigmap/a created\n";
        assert_eq!(ran.out, expected);
        assert!(ran.err.contains("waiting for crontabs.example.com to be served, 30s at most"), "{}", ran.err);
        assert_eq!(says(&api, "get crontab/nightly -o name").await, "crontab.example.com/nightly");
    }
}

#[tokio::test]
async fn objects_do_not_wait_for_ever_nor_for_what_does_not_come() {
    let api = Api::with_kinds_to_come(kinds()).await;
    let line = ["apply", "--definition-timeout", "0s", "-f", "-"];
    let late = keelctl(Some(api.address), &line, DEFINED).await;
    assert_eq!(late.code, Some(1), "{}", late.out);
    assert!(late.err.contains("document 1: crontabs.example.com is not served after 0ns"), "{}", late.err);
    assert!(late.out.ends_with("configmap/a created\n"), "it keeps nothing else: {}", late.out);

    let api = Api::with_kinds_to_come(kinds()).await;
    let tried = keelctl(Some(api.address), &["apply", "--dry-run", "-f", "-"], DEFINED).await;
    assert_eq!(tried.code, Some(1));
    assert!(tried.err.contains("which a dry run does not make"), "{}", tried.err);
    assert!(api.is_empty());

    let unserved = DEFINED.replacen("example.com/v1", "example.com/v2", 1);
    let never = keelctl(Some(api.address), &["apply", "-f", "-"], &unserved).await;
    assert_eq!(never.code, Some(1));
    assert!(never.err.contains("nobody has defined CronTab in example.com/v2"), "{}", never.err);
    assert!(api.is_empty());
}
