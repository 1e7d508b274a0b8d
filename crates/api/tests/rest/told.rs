//! What is told of the cluster rather than of its objects: components, probes, and answers for people.

use std::sync::Arc;

use http::Method;
use keelson_api::pipeline::{Identity, User};
use serde_json::{Value, json};

use crate::member::Member;

const COMPONENTS: &str = "/api/v1/componentstatuses";

#[tokio::test]
async fn components_are_told_with_a_warning_that_they_are_deprecated() {
    let member = Member::start().await;
    let answer = member.get(COMPONENTS).await;
    assert_eq!(answer.headers["warning"], "299 - \"v1 ComponentStatus is deprecated in v1.19+\"");
    let list = answer.expect(200);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ComponentStatusList"), &json!("v1")));
    let items = list["items"].as_array().expect("a list");
    let names: Vec<&Value> = items.iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["controller-manager", "scheduler", "etcd-0"]);
    for item in items {
        assert_eq!(item["conditions"], json!([{"type": "Healthy", "status": "True", "message": "ok"}]), "{item}");
    }

    let one = member.get(&format!("{COMPONENTS}/scheduler")).await.expect(200);
    assert_eq!((&one, &one["kind"]), (&items[1], &json!("ComponentStatus")));
    let none = member.get(&format!("{COMPONENTS}/etcd-1")).await.expect(404);
    assert_eq!(none["message"], "componentstatuses \"etcd-1\" not found");

    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
    let table = member.send(Method::GET, COMPONENTS, &table, "").await.expect(200);
    assert_eq!(table["rows"][0]["cells"], json!(["controller-manager", "Healthy", "ok", ""]), "{table}");
    let protobuf = [("accept", "application/vnd.kubernetes.protobuf")];
    let (parts, body) = member.send_bytes(Method::GET, COMPONENTS, &protobuf, "").await;
    assert_eq!((parts.status.as_u16(), &body[..4]), (200, &b"k8s\0"[..]));

    for method in [Method::POST, Method::DELETE, Method::PUT] {
        assert_eq!(member.send(method, COMPONENTS, &[], "{}").await.code.as_u16(), 405);
    }
    member.get(&format!("{COMPONENTS}?watch=true")).await.expect(405);
    let jane = Identity::Verified(Arc::new(User::known("jane", Vec::new())));
    member.send_as(jane, Method::GET, COMPONENTS, &[], "").await.expect(403);

    let resources = member.get("/api/v1").await.expect(200);
    let offers = |name: &str| {
        let all = resources["resources"].as_array().expect("a list");
        all.iter().find(|resource| resource["name"] == name).map(|resource| resource["verbs"].clone())
    };
    assert_eq!(offers("componentstatuses"), Some(json!(["get", "list"])));
    assert_eq!(offers("bindings"), Some(json!(["create"])));
}

#[tokio::test]
async fn what_a_probe_is_told_to_exclude_does_not_count() {
    let member = Member::unready().await;
    assert_eq!(member.get("/readyz").await.code.as_u16(), 503);
    assert_eq!(member.get("/readyz?exclude=ping").await.code.as_u16(), 503);
    assert_eq!(member.get("/readyz?exclude=caches").await.text, "ok");
    assert_eq!(
        member.get("/readyz?verbose&exclude=ping&exclude=caches&exclude=x").await.text,
        "[+]ping excluded: ok\n[+]caches excluded: ok\nwarn: there is no check \"x\" to exclude\nreadyz check passed\n"
    );
}

#[tokio::test]
async fn json_is_printed_for_people_who_ask() {
    let member = Member::start().await;
    let path = "/api/v1/namespaces/default";
    let plain = member.get(path).await;
    let pretty = member.get(&format!("{path}?pretty=true")).await;
    assert!(!plain.text.trim_end().contains('\n') && pretty.text.starts_with("{\n  \""), "{}", pretty.text);
    assert_eq!(pretty.json(), plain.json());
    let list = member.get("/api/v1/namespaces?pretty=true").await;
    assert!(list.text.contains("\n  \"items\": [\n    {\n"), "{}", list.text);
    let refused = member.get("/api/v1/namespaces/none?pretty=true").await;
    assert!(refused.code.as_u16() == 404 && refused.text.contains("\n  \"reason\": \"NotFound\""), "{}", refused.text);
}

#[tokio::test]
async fn a_cluster_has_what_clients_list_in_every_cluster() {
    let member = Member::start().await;
    let cells = async |path: &str| -> Vec<Value> {
        let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")];
        let table = member.send(Method::GET, path, &table, "").await.expect(200);
        table["rows"].as_array().expect("rows").iter().map(|row| row["cells"].clone()).collect()
    };
    let services = cells("/apis/apiregistration.k8s.io/v1/apiservices").await;
    let groups = member.get("/apis").await.expect(200);
    let mut served = vec!["v1.".to_owned()];
    for group in groups["groups"].as_array().expect("a list") {
        for version in group["versions"].as_array().expect("a list") {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            served.push(format!("{}.{}", text(&version["version"]), text(&group["name"])));
        }
    }
    for name in &served {
        let row = services.iter().find(|row| row[0] == **name).unwrap_or_else(|| panic!("{name} is not told of"));
        assert_eq!((&row[1], &row[2]), (&json!("Local"), &json!("True")), "{row}");
    }
    assert_eq!(services.len(), served.len());

    let networks = cells("/apis/networking.k8s.io/v1/servicecidrs").await;
    assert_eq!((&networks[0][0], &networks[0][1]), (&json!("kubernetes"), &json!("10.96.0.0/12")));
    let service = member.get("/api/v1/namespaces/default/services/kubernetes").await.expect(200);
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1", "it is of that range");
    let flows = "/apis/flowcontrol.apiserver.k8s.io/v1";
    for (row, wanted) in cells(&format!("{flows}/flowschemas"))
        .await
        .iter()
        .zip([json!(["catch-all", "catch-all", 10_000, "ByUser"]), json!(["exempt", "exempt", 1, "<none>"])])
    {
        let columns = row.as_array().expect("cells");
        assert_eq!((json!(columns[..4]), &columns[5]), (wanted, &json!("False")));
    }
    let levels = cells(&format!("{flows}/prioritylevelconfigurations")).await;
    let names: Vec<_> = levels.iter().map(|row| (&row[0], &row[1])).collect();
    assert_eq!(names, [(&json!("catch-all"), &json!("Limited")), (&json!("exempt"), &json!("Exempt"))]);
    let classes = cells("/apis/scheduling.k8s.io/v1/priorityclasses").await;
    assert_eq!(classes.len(), 2);
}
