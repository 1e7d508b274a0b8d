//! Objects by the typed API and by one that learns the kinds: made, read, listed by pages, changed, applied, deleted, refused.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, pinned_kind};
use kube::runtime::conditions::{is_deleted, is_deployment_completed};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::cluster::{Cluster, causes, configmap, deployment, map, refused, secret, until, until_it};

#[tokio::test]
async fn a_deployment_lives() {
    let cluster = Cluster::with_namespace("a-deployment-lives").await;
    let [one, two, three] = [0, 1, 2].map(|member| cluster.api::<Deployment>(member));
    let made = one.create(&PostParams::default(), &deployment("d", 2)).await.expect("is made");
    assert_eq!(made.metadata.generation, Some(1));
    let ready =
        until_it("two replicas are ready", two.clone(), "d", is_deployment_completed()).await.expect("is there");
    assert_eq!(ready.status.and_then(|status| status.ready_replicas), Some(2));

    let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let scaled = three.patch_scale("d", &PatchParams::default(), &patch).await.expect("is scaled");
    assert_eq!(scaled.spec.and_then(|spec| spec.replicas), Some(3));
    let three_ready = |found: Option<&Deployment>| {
        let status = found.and_then(|found| found.status.as_ref());
        status.is_some_and(|status| status.ready_replicas == Some(3))
    };
    until_it("three replicas are ready", one.clone(), "d", three_ready).await;

    // One that was read before is not written over what came since.
    let stale = refused(two.replace("d", &PostParams::default(), &made).await);
    assert_eq!((stale.code, stale.reason.as_str()), (409, "Conflict"));

    let pods: Api<Pod> = cluster.pods(1);
    let running = pods.list(&ListParams::default().labels("app=d").fields("status.phase=Running")).await.expect("pods");
    assert_eq!(running.items.len(), 3);
    assert!(running.iter().all(|pod| pod.owner_references()[0].kind == "ReplicaSet"));

    let uid = made.uid().expect("a UID");
    one.delete("d", &DeleteParams::foreground()).await.expect("is deleted");
    until_it("the Deployment is gone", three, "d", is_deleted(&uid)).await;
    // In the foreground: it goes when its pods have gone.
    assert_eq!(pods.list(&ListParams::default()).await.expect("pods").items.len(), 0);
    assert!(two.get_opt("d").await.expect("is looked for").is_none());
}

#[tokio::test]
async fn a_configmap_lives() {
    let cluster = Cluster::with_namespace("a-configmap-lives").await;
    let [one, two, three] = [0, 1, 2].map(|member| cluster.configmaps(member));
    let mut new = configmap("m", &[("size", "größe")]);
    new.metadata.labels = Some(map(&[("is", "here")]));
    let made = one.create(&PostParams::default(), &new).await.expect("is made");
    assert_eq!(two.get("m").await.expect("is there"), made);
    let metadata = three.get_metadata("m").await.expect("is there");
    assert_eq!((metadata.metadata.uid.as_ref(), metadata.labels()), (made.metadata.uid.as_ref(), made.labels()));

    // What this crate calls an entry: read, changed, and written back if nobody was faster.
    let mut entry = three.entry("m").await.expect("is read").and_modify(|found| {
        found.data.get_or_insert_default().insert("more".to_owned(), "2".to_owned());
    });
    if let kube::api::entry::Entry::Occupied(entry) = &mut entry {
        entry.commit(&PostParams::default()).await.expect("is written");
    }
    let read = one.get("m").await.expect("is there");
    assert_eq!(read.data, Some(map(&[("more", "2"), ("size", "größe")])));
    assert_ne!(read.resource_version(), made.resource_version());

    let dry = PostParams { dry_run: true, ..PostParams::default() };
    assert!(two.create(&dry, &configmap("dry", &[])).await.expect("is tried").uid().is_some());
    assert!(two.get_opt("dry").await.expect("is looked for").is_none());

    let all: Api<ConfigMap> = Api::all(cluster.members[1].clone());
    let here = ListParams::default().labels("is in (here, there)");
    let names: Vec<_> = all.list_metadata(&here).await.expect("a list").iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["m"]);
    three.delete_collection(&DeleteParams::default(), &here).await.expect("are deleted");
    assert_eq!(one.list(&here).await.expect("a list").items.len(), 0);
}

#[tokio::test]
async fn lists_come_by_pages() {
    let cluster = Cluster::with_namespace("lists-come-by-pages").await;
    let one = cluster.api::<Secret>(0);
    let expected: Vec<String> = (0..25).map(|number| format!("m{number:02}")).collect();
    for name in &expected {
        one.create(&PostParams::default(), &secret(name)).await.expect("is made");
    }
    let mut page = ListParams::default().limit(9);
    let (mut names, mut versions, mut remaining) = (Vec::new(), BTreeSet::new(), Vec::new());
    for member in 0..3 {
        let found = cluster.api::<Secret>(member).list(&page).await.expect("a page");
        names.extend(found.items.iter().map(ResourceExt::name_any));
        versions.insert(found.metadata.resource_version.clone());
        remaining.push(found.metadata.remaining_item_count);
        page = page.continue_token(found.metadata.continue_.as_deref().unwrap_or_default());
        // What is made between two pages is in none of them.
        one.create(&PostParams::default(), &secret(&format!("n{member}"))).await.expect("is made");
    }
    assert_eq!(page.continue_token.as_deref(), Some(""), "there are no more");
    assert_eq!((names, versions.len(), remaining), (expected, 1, vec![Some(16), Some(7), None]));

    let found = cluster.api::<Secret>(1).list(&ListParams::default().limit(9)).await.expect("a page");
    let newest = one.create(&PostParams::default(), &secret("newest")).await.expect("is made");
    cluster.compact(&newest.resource_version().expect("a version")).await;
    let next = ListParams::default().limit(9).continue_token(found.metadata.continue_.as_deref().expect("a token"));
    let told = refused(cluster.api::<Secret>(2).list(&next).await);
    assert_eq!((told.code, told.reason.as_str()), (410, "Expired"));
    // With the token in the refusal a client goes on with what there is now.
    let token = told.metadata.and_then(|metadata| metadata.continue_).expect("a token");
    let rest = one.list(&ListParams::default().continue_token(&token)).await.expect("a page");
    assert_eq!(rest.items.first().map(ResourceExt::name_any).as_deref(), Some("m09"));
    assert!(rest.iter().any(|found| found.name_any() == "newest"));
}

#[tokio::test]
async fn fields_are_applied_by_their_managers() {
    let cluster = Cluster::with_namespace("fields-are-applied").await;
    let [one, two, three] = [0, 1, 2].map(|member| cluster.configmaps(member));
    let config = Patch::Apply(configmap("m", &[("a", "1"), ("b", "1")]));
    let made = one.patch("m", &PatchParams::apply("first"), &config).await.expect("is applied");
    assert_eq!(made.managed_fields()[0].manager.as_deref(), Some("first"));
    assert_eq!(made.managed_fields()[0].operation.as_deref(), Some("Apply"));

    let other = Patch::Apply(configmap("m", &[("a", "2"), ("c", "2")]));
    let conflict = refused(two.patch("m", &PatchParams::apply("second"), &other).await);
    assert_eq!((conflict.code, causes(&conflict)), (409, vec![".data.a"]));
    assert!(conflict.message.contains("first"), "{}", conflict.message);
    let forced = two.patch("m", &PatchParams::apply("second").force(), &other).await.expect("is forced");
    assert_eq!(forced.data, Some(map(&[("a", "2"), ("b", "1"), ("c", "2")])));

    // What a manager does not name any more goes, unless somebody else has it.
    let less = Patch::Apply(configmap("m", &[("a", "2")]));
    let left = three.patch("m", &PatchParams::apply("first"), &less).await.expect("is applied");
    assert_eq!(left.data, Some(map(&[("a", "2"), ("c", "2")])));
    let dry = PatchParams::apply("third").force().dry_run();
    let tried = three.patch("m", &dry, &Patch::Apply(configmap("m", &[("a", "3")]))).await.expect("is tried");
    assert_eq!(tried.data.and_then(|data| data.get("a").cloned()).as_deref(), Some("3"));
    assert_eq!(one.get("m").await.expect("is there").data, Some(map(&[("a", "2"), ("c", "2")])));
}

#[tokio::test]
async fn refusals_say_why() {
    let cluster = Cluster::with_namespace("refusals-say-why").await;
    let deployments = cluster.api::<Deployment>(0);
    let invalid = refused(deployments.create(&PostParams::default(), &deployment("d", -1)).await);
    assert!(invalid.is_invalid());
    assert_eq!(causes(&invalid), ["spec.replicas"]);
    let configmaps = cluster.configmaps(1);
    configmaps.create(&PostParams::default(), &configmap("m", &[])).await.expect("is made");
    assert!(refused(configmaps.create(&PostParams::default(), &configmap("m", &[])).await).is_already_exists());
    assert!(refused(configmaps.get("none").await).is_not_found());

    let unknown = Patch::Merge(json!({"datum": {"a": "1"}}));
    let strict = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() };
    let told = refused(configmaps.patch("m", &strict, &unknown).await);
    assert!(told.message.contains("unknown field \"datum\""), "{}", told.message);
}

#[tokio::test]
async fn kinds_are_discovered() {
    let cluster = Cluster::with_namespace("kinds-are-discovered").await;
    let [one, two, three] = &cluster.members;
    assert_eq!(one.apiserver_version().await.expect("a version").major, "1");
    let legacy = Discovery::new(one.clone()).run().await.expect("is discovered");
    let aggregated = Discovery::new(two.clone()).run_aggregated().await.expect("is discovered");
    let groups = |found: &Discovery| found.groups().map(|group| group.name().to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(groups(&legacy), groups(&aggregated));
    assert!(aggregated.has_group("apps"));

    let (kind, capabilities) =
        pinned_kind(three, &GroupVersionKind::gvk("batch", "v1", "CronJob")).await.expect("is discovered");
    assert!(capabilities.supports_operation("patch") && kind.plural == "cronjobs");
    let cronjobs: Api<DynamicObject> = Api::namespaced_with(three.clone(), &cluster.namespace, &kind);
    let job = json!({"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c:1"}]}}});
    let spec = json!({"spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": job}}});
    let new = DynamicObject::new("c", &kind).data(spec);
    let made = cronjobs.create(&PostParams::default(), &new).await.expect("is made");
    assert_eq!(made.data["spec"]["concurrencyPolicy"], "Allow");
    cronjobs.delete("c", &DeleteParams::background()).await.expect("is deleted");
    until("it is gone", || async { cronjobs.get_opt("c").await.expect("is looked for").is_none().then_some(()) }).await;
}
