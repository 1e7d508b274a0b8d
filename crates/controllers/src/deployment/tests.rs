use k8s_openapi::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as Selector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::prelude::*;

use super::*;
use crate::plan::Item;

fn labels() -> std::collections::BTreeMap<String, String> {
    [("app".to_owned(), "web".to_owned())].into()
}

fn template(image: &str) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels()), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            containers: vec![Container { image: Some(image.to_owned()), ..Container::default() }],
            ..PodSpec::default()
        }),
    }
}

fn deployment(replicas: i32, max_surge: i32, max_unavailable: i32) -> Deployment {
    Deployment {
        metadata: ObjectMeta {
            name: Some("web".into()),
            namespace: Some("blue".into()),
            uid: Some("deployment-uid".into()),
            generation: Some(1),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            selector: Selector { match_labels: Some(labels()), ..Selector::default() },
            template: template("v1"),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(max_surge)),
                    max_unavailable: Some(IntOrString::Int(max_unavailable)),
                }),
            }),
            progress_deadline_seconds: Some(600),
            revision_history_limit: Some(10),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// A Deployment with its ReplicaSets, and a ReplicaSet controller that is as slow as a test wants.
struct World {
    deployment: Deployment,
    sets: Vec<ReplicaSet>,
    /// The pods that really exist, (all, available) by set name.
    pods: std::collections::BTreeMap<String, (i32, i32)>,
    now: Timestamp,
    messages: Vec<String>,
}

impl World {
    fn new(deployment: Deployment) -> Self {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        Self { deployment, sets: Vec::new(), pods: std::collections::BTreeMap::new(), now, messages: Vec::new() }
    }

    fn plan(&self) -> Plan {
        let snapshot = Snapshot {
            deployment: Some(Arc::new(self.deployment.clone())),
            replica_sets: self.sets.iter().cloned().map(Arc::new).collect(),
            pods: self.running(),
        };
        plan(&snapshot, &Key::new("blue", "web"), self.now)
    }

    fn running(&self) -> Vec<Arc<Pod>> {
        let pods = self.sets.iter().flat_map(|set| {
            let count = self.pods.get(meta::name(set)).map_or(0, |(all, _)| *all);
            (0..count).map(|_| {
                let owner_references = Some(vec![meta::controller_reference(set)]);
                Arc::new(Pod { metadata: ObjectMeta { owner_references, ..ObjectMeta::default() }, ..Pod::default() })
            })
        });
        pods.collect()
    }

    /// One step of the controller. Whether it wrote anything.
    fn step(&mut self) -> bool {
        let plan = self.plan();
        self.messages.extend(plan.notes.iter().map(|note| note.message.clone()));
        for write in &plan.writes {
            match write {
                Write::Create(Item::ReplicaSet(set)) => {
                    let mut set = ReplicaSet::clone(set);
                    set.metadata.uid = Some(format!("{}-uid", meta::name(&set)));
                    set.metadata.generation = Some(1);
                    set.metadata.creation_timestamp = Some(meta::whole_seconds(self.now));
                    self.sets.push(set);
                }
                Write::Update(Item::ReplicaSet(set)) => {
                    let old = self.sets.iter_mut().find(|old| old.metadata.name == set.metadata.name);
                    let old = old.expect("only what exists is updated");
                    let generation = old.metadata.generation.unwrap_or(0) + i64::from(old.spec != set.spec);
                    *old = ReplicaSet::clone(set);
                    old.metadata.generation = Some(generation);
                }
                Write::Update(Item::Deployment(deployment)) | Write::UpdateStatus(Item::Deployment(deployment)) => {
                    self.deployment = Deployment::clone(deployment);
                }
                Write::Delete(name, _) => {
                    self.sets.retain(|set| set.metadata.name.as_deref() != Some(name.name.as_str()));
                }
                other => panic!("unexpected {other}"),
            }
        }
        self.now += jiff::SignedDuration::from_secs(1);
        !plan.writes.is_empty()
    }

    /// The ReplicaSet controller catches up with one set: pods exist as its spec says, those that are new not available.
    fn sync_pods(&mut self, index: usize) {
        let Some(set) = self.sets.get(index) else { return };
        let wanted = sets::size(set);
        let (all, available) = self.pods.entry(meta::name(set).to_owned()).or_default();
        // Unavailable pods go first, as the ranking says.
        *available = (*available).min(wanted);
        *all = wanted;
    }

    fn sync_status(&mut self, index: usize) {
        let Some(set) = self.sets.get_mut(index) else { return };
        let (all, available) = self.pods.get(meta::name(set)).copied().unwrap_or_default();
        let status = set.status.get_or_insert_default();
        status.replicas = all;
        status.ready_replicas = Some(available);
        status.available_replicas = Some(available);
        status.observed_generation = set.metadata.generation;
    }

    fn make_available(&mut self, index: usize, count: i32) {
        let Some(set) = self.sets.get(index) else { return };
        if let Some((all, available)) = self.pods.get_mut(meta::name(set)) {
            *available = (*available + count).min(*all);
        }
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            let wrote = self.step();
            for index in 0..self.sets.len() {
                self.sync_pods(index);
                self.make_available(index, i32::MAX / 2);
                self.sync_status(index);
            }
            if !wrote && self.plan().is_nothing() {
                return;
            }
        }
        panic!("does not settle: {}", self.plan());
    }

    fn set_image(&mut self, image: &str) {
        self.deployment.spec.get_or_insert_default().template = template(image);
        self.bump();
    }

    fn bump(&mut self) {
        self.deployment.metadata.generation = self.deployment.metadata.generation.map(|generation| generation + 1);
    }

    fn sizes(&self) -> Vec<i32> {
        self.sets.iter().map(sets::size).collect()
    }

    fn revisions(&self) -> Vec<i64> {
        self.sets.iter().map(revision::of).collect()
    }

    fn reason(&self, kind: &str) -> String {
        let status = self.deployment.status.clone().unwrap_or_default();
        condition::get(&status, kind).and_then(|condition| condition.reason.clone()).unwrap_or_default()
    }

    fn all_pods(&self) -> i32 {
        self.pods.values().map(|(all, _)| all).sum()
    }

    fn available_pods(&self) -> i32 {
        self.pods.values().map(|(_, available)| available).sum()
    }
}

#[test]
fn a_new_deployment_makes_a_set_and_says_so() {
    let mut world = World::new(deployment(3, 1, 0));
    world.step();
    assert_eq!(world.sizes(), [3]);
    let name = world.sets[0].metadata.name.clone().unwrap_or_default();
    assert_eq!(world.messages, [format!("Scaled up replica set {name} from 0 to 3")]);
    assert_eq!(world.reason("Progressing"), "NewReplicaSetCreated");
    assert_eq!(world.reason("Available"), "MinimumReplicasUnavailable");
    world.settle();
    assert_eq!(world.reason("Progressing"), "NewReplicaSetAvailable");
    assert_eq!(world.reason("Available"), "MinimumReplicasAvailable");
    assert_eq!(meta::annotation(&world.deployment, revision::REVISION), Some("1"));
    assert_eq!(world.plan().to_string(), "nothing: the rollout is complete");
}

#[test]
fn a_rollback_reuses_the_old_set_with_a_new_revision() {
    let mut world = World::new(deployment(2, 1, 0));
    world.settle();
    world.set_image("v2");
    world.settle();
    assert_eq!((world.sizes(), world.revisions()), (vec![0, 2], vec![1, 2]));
    world.set_image("v1");
    world.settle();
    assert_eq!((world.sizes(), world.revisions()), (vec![2, 0], vec![3, 2]));
    assert_eq!(meta::annotation(&world.sets[0], revision::REVISION_HISTORY), Some("1"));
    assert_eq!(meta::annotation(&world.deployment, revision::REVISION), Some("3"));
}

#[test]
fn old_revisions_go_beyond_the_limit() {
    let mut world = World::new(deployment(1, 1, 0));
    world.deployment.spec.get_or_insert_default().revision_history_limit = Some(1);
    for image in ["v1", "v2", "v3", "v4"] {
        world.set_image(image);
        world.settle();
    }
    assert_eq!(world.revisions(), [3, 4]);
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll_out() {
    let mut world = World::new(deployment(2, 1, 0));
    world.settle();
    world.deployment.spec.get_or_insert_default().paused = Some(true);
    world.set_image("v2");
    world.settle();
    assert_eq!((world.sizes(), world.reason("Progressing")), (vec![2], "DeploymentPaused".to_owned()));
    world.deployment.spec.get_or_insert_default().replicas = Some(4);
    world.bump();
    world.settle();
    assert_eq!(world.sizes(), [4]);
    world.deployment.spec.get_or_insert_default().paused = Some(false);
    world.bump();
    world.settle();
    assert_eq!((world.sizes(), world.reason("Progressing")), (vec![0, 4], "NewReplicaSetAvailable".to_owned()));
}

#[test]
fn scaling_in_the_middle_of_a_rollout_keeps_the_mix() {
    let mut world = World::new(deployment(10, 3, 2));
    world.settle();
    world.set_image("v2");
    for _ in 0..4 {
        world.step();
        for index in 0..world.sets.len() {
            world.sync_pods(index);
            world.sync_status(index);
        }
    }
    assert_eq!(world.sizes(), [8, 5]);
    world.deployment.spec.get_or_insert_default().replicas = Some(15);
    world.bump();
    world.step();
    // 18 pods shared out as 8:5, the rest to the largest.
    assert_eq!(world.sizes(), [11, 7]);
}

#[test]
fn recreate_ends_everything_old_before_anything_new_starts() {
    let mut world = World::new(deployment(3, 0, 0));
    world.deployment.spec.get_or_insert_default().strategy =
        Some(DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None });
    world.settle();
    world.set_image("v2");
    world.step();
    assert_eq!(world.sizes(), [0]);
    world.step();
    assert_eq!(world.sizes(), [0], "the old pods still run");
    world.settle();
    assert_eq!(world.sizes(), [0, 3]);
}

#[test]
fn a_rollout_without_progress_times_out() {
    let mut world = World::new(deployment(1, 1, 0));
    world.step();
    for _ in 0..5 {
        world.step();
    }
    assert!(world.plan().requeue_after.is_some(), "{}", world.plan());
    world.now += jiff::SignedDuration::from_secs(700);
    world.step();
    assert_eq!(world.reason("Progressing"), "ProgressDeadlineExceeded");
}

#[test]
fn a_taken_name_leads_to_another_hash() {
    let mut world = World::new(deployment(1, 1, 0));
    world.step();
    let mut stranger = world.sets.remove(0);
    stranger.metadata.owner_references = None;
    stranger.metadata.labels = None;
    world.sets.push(stranger);
    world.step();
    assert_eq!(world.deployment.status.as_ref().and_then(|status| status.collision_count), Some(1));
    world.step();
    assert_eq!(world.sets.len(), 2);
}

#[derive(Clone, Debug)]
enum Happening {
    Deployment,
    Pods(usize),
    Status(usize),
    Available(usize, i32),
    Image(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => Just(Happening::Deployment),
        2 => (0usize..4).prop_map(Happening::Pods),
        2 => (0usize..4).prop_map(Happening::Status),
        2 => ((0usize..4), 1i32..3).prop_map(|(index, count)| Happening::Available(index, count)),
        1 => (1u8..4).prop_map(Happening::Image),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_rolling_update_stays_within_its_bounds_in_any_order_of_events(
        replicas in 1i32..12,
        surge in 0i32..4,
        unavailable in 0i32..4,
        happenings in proptest::collection::vec(happening(), 1..150),
    ) {
        let surge = if unavailable == 0 { surge.max(1) } else { surge };
        let mut world = World::new(deployment(replicas, surge, unavailable));
        world.settle();
        let bounds = Bounds::of(world.deployment.spec.as_ref().expect("a spec"));
        for happening in happenings {
            match happening {
                Happening::Deployment => drop(world.step()),
                Happening::Pods(index) => world.sync_pods(index),
                Happening::Status(index) => world.sync_status(index),
                Happening::Available(index, count) => world.make_available(index, count),
                Happening::Image(version) => world.set_image(&format!("v{version}")),
            }
            let wanted: i32 = world.sizes().iter().sum();
            prop_assert!(wanted <= bounds.total_max(), "{:?}", world.sizes());
            prop_assert!(world.available_pods() >= bounds.available_min(), "{:?} {:?}", world.sizes(), world.pods);
        }
        world.settle();
        prop_assert_eq!(world.available_pods(), replicas);
        prop_assert_eq!(world.all_pods(), replicas);
    }
}
