use k8s_openapi::api::apps::v1::ReplicaSetSpec;
use k8s_openapi::api::core::v1::{PodCondition, PodSpec, PodStatus, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as Selector, Time};

use keelson_client::Patch;

use super::*;
use crate::plan::Item;

fn labels() -> std::collections::BTreeMap<String, String> {
    [("app".to_owned(), "web".to_owned())].into()
}

fn set(replicas: i32) -> ReplicaSet {
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some("web".into()),
            namespace: Some("blue".into()),
            uid: Some("set-uid".into()),
            generation: Some(1),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(replicas),
            selector: Selector { match_labels: Some(labels()), ..Selector::default() },
            template: Some(PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels()), ..ObjectMeta::default() }),
                spec: Some(PodSpec::default()),
            }),
            ..ReplicaSetSpec::default()
        }),
        status: None,
    }
}

fn pod(name: &str, owner: Option<&ReplicaSet>) -> Pod {
    Pod {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some("blue".into()),
            uid: Some(format!("{name}-uid")),
            labels: Some(labels()),
            owner_references: owner.map(|owner| vec![meta::controller_reference(owner)]),
            ..ObjectMeta::default()
        },
        ..Pod::default()
    }
}

fn running(mut pod: Pod, node: &str, ready: bool) -> Pod {
    pod.spec = Some(PodSpec { node_name: Some(node.into()), ..PodSpec::default() });
    pod.status = Some(PodStatus {
        phase: Some("Running".into()),
        conditions: Some(vec![PodCondition {
            type_: "Ready".into(),
            status: if ready { "True" } else { "False" }.into(),
            last_transition_time: Some(Time(Timestamp::UNIX_EPOCH)),
            ..PodCondition::default()
        }]),
        ..PodStatus::default()
    });
    pod
}

fn snapshot(set: ReplicaSet, pods: Vec<Pod>) -> Snapshot {
    let mut related_on_node = HashMap::new();
    for pod in pods.iter().filter(|pod| pods::is_active(pod)) {
        *related_on_node.entry(pods::node_name(pod).to_owned()).or_default() += 1;
    }
    Snapshot {
        replica_set: Some(Arc::new(set)),
        pods: pods.into_iter().map(Arc::new).collect(),
        related_on_node,
        is_taken: Box::new(|_| false),
    }
}

fn key() -> Key {
    Key::new("blue", "web")
}

fn created(plan: &Plan) -> Vec<String> {
    let names = plan.writes.iter().filter_map(|write| match write {
        Write::Create(Item::Pod(pod)) => pod.metadata.name.clone(),
        _ => None,
    });
    names.collect()
}

fn deleted(plan: &Plan) -> Vec<String> {
    let names = plan.writes.iter().filter_map(|write| match write {
        Write::Delete(name, _) => Some(name.name.clone()),
        _ => None,
    });
    names.collect()
}

#[test]
fn missing_pods_are_created_and_the_same_view_names_them_alike() {
    let now = Timestamp::UNIX_EPOCH;
    let first = plan(&snapshot(set(3), vec![]), &key(), now);
    assert_eq!(created(&first).len(), 3);
    assert_eq!(created(&first), created(&plan(&snapshot(set(3), vec![]), &key(), now)));
    let owner = set(3);
    let next = plan(&snapshot(owner.clone(), vec![pod("web-a", Some(&owner))]), &key(), now);
    assert_eq!(created(&next).len(), 2);
    assert!(created(&next).iter().all(|name| !created(&first).contains(name)));
}

#[test]
fn a_name_that_is_taken_is_passed_over() {
    let now = Timestamp::UNIX_EPOCH;
    let names = created(&plan(&snapshot(set(2), vec![]), &key(), now));
    let mut crowded = snapshot(set(2), vec![]);
    let taken = names[0].clone();
    crowded.is_taken = Box::new(move |name| name == taken);
    let others = created(&plan(&crowded, &key(), now));
    assert_eq!(others.len(), 2);
    assert!(!others.contains(&names[0]));
}

#[test]
fn pods_that_ended_or_are_being_deleted_are_replaced() {
    let owner = set(2);
    let mut failed = running(pod("web-a", Some(&owner)), "n1", false);
    if let Some(status) = &mut failed.status {
        status.phase = Some("Failed".into());
    }
    let mut leaving = running(pod("web-b", Some(&owner)), "n1", true);
    leaving.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    let plan = plan(&snapshot(owner, vec![failed, leaving]), &key(), Timestamp::UNIX_EPOCH);
    assert_eq!(created(&plan).len(), 2);
    assert!(deleted(&plan).is_empty());
}

#[test]
fn surplus_pods_go_unassigned_first_then_unready_then_the_doubled_up() {
    let owner = set(1);
    let pods = vec![
        running(pod("lonely", Some(&owner)), "n1", true),
        running(pod("doubled-1", Some(&owner)), "n2", true),
        running(pod("doubled-2", Some(&owner)), "n2", true),
        running(pod("unready", Some(&owner)), "n1", false),
        pod("unassigned", Some(&owner)),
    ];
    let plan = plan(&snapshot(owner, pods), &key(), Timestamp::UNIX_EPOCH);
    assert_eq!(deleted(&plan)[..2], ["unassigned", "unready"]);
    assert_eq!(deleted(&plan).len(), 4);
    assert!(deleted(&plan)[2].starts_with("doubled"));
}

#[test]
fn matching_orphans_are_adopted_and_others_released() {
    let owner = set(1);
    let mut stranger = pod("stranger", Some(&owner));
    stranger.metadata.labels = None;
    let plan = plan(&snapshot(owner, vec![pod("orphan", None), stranger]), &key(), Timestamp::UNIX_EPOCH);
    let owners: Vec<(String, usize)> = plan
        .writes
        .iter()
        .filter_map(|write| match write {
            Write::Patch(name, Patch::Merge(patch)) => {
                assert_eq!(patch["metadata"]["uid"], format!("{}-uid", name.name), "of this very pod");
                assert_eq!(name.resource.resource, "pods");
                Some((name.name.clone(), patch["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len)))
            }
            _ => None,
        })
        .collect();
    assert_eq!(owners, [("orphan".to_owned(), 1), ("stranger".to_owned(), 0)]);
    assert!(created(&plan).is_empty(), "the adopted pod is the one wanted");
}

#[test]
fn a_pod_is_never_adopted_and_deleted_in_one_plan() {
    let owner = set(0);
    let plan = plan(&snapshot(owner, vec![pod("orphan", None)]), &key(), Timestamp::UNIX_EPOCH);
    assert!(deleted(&plan).is_empty(), "{plan}");
}

#[test]
fn a_settled_set_plans_nothing_and_says_why() {
    let owner = set(1);
    let pods = vec![running(pod("web-a", Some(&owner)), "n1", true)];
    let mut settled = snapshot(owner.clone(), pods);
    let active: Vec<&Arc<Pod>> = settled.pods.iter().collect();
    let status = status::observe(&owner, &active, 0, Timestamp::UNIX_EPOCH);
    assert_eq!((status.replicas, status.ready_replicas, status.available_replicas), (1, Some(1), Some(1)));
    settled.replica_set = Some(Arc::new(ReplicaSet { status: Some(status), ..owner }));
    let plan = plan(&settled, &key(), Timestamp::UNIX_EPOCH);
    assert_eq!(plan.to_string(), "nothing: all 1 pods are there");
}
