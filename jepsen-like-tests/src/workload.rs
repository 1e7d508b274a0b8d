//! Objects for the cluster to work on while it is hurt, and what must hold of them in the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use keelson_client::{Client, ListOptions, Patch};
use serde_json::json;

use crate::cluster::LOOK_INTERVAL;

/// How long anything may take that has no promise of its own.
const WITHIN: Duration = Duration::from_secs(120);
const NAMESPACE: &str = "default";

/// Looks until `holds`.
///
/// # Errors
/// When it does not hold in time.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    while !holds().await {
        if Instant::now() > deadline {
            bail!("not within {} s: {what}", WITHIN.as_secs());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

fn pod_spec() -> PodSpec {
    let container = Container { name: "main".to_owned(), image: Some("web:1".to_owned()), ..Container::default() };
    PodSpec { containers: vec![container], ..PodSpec::default() }
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), namespace: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() }
}

/// Creates a pod and waits until it is bound to a node.
///
/// # Errors
/// When it is not bound in time.
pub async fn a_pod_is_bound(api: &Client, name: &str) -> anyhow::Result<()> {
    let pod = Pod { metadata: metadata(name), spec: Some(pod_spec()), status: None };
    until(&format!("{name} is bound"), async || {
        // An unknown outcome is looked up by the next round, which finds that the name is taken.
        let exists = match api.create(&pod).await {
            Ok(_) => true,
            Err(error) => error.is_already_exists(),
        };
        exists
            && api
                .get::<Pod>(NAMESPACE, name)
                .await
                .is_ok_and(|pod| pod.spec.is_some_and(|spec| spec.node_name.is_some()))
    })
    .await
}

/// Makes the deployment `name` or scales it, and waits until all of its replicas are available.
///
/// # Errors
/// When they are not available in time.
pub async fn a_deployment_is_available(api: &Client, name: &str, replicas: i32) -> anyhow::Result<()> {
    let labels = BTreeMap::from([("app".to_owned(), name.to_owned())]);
    let deployment = Deployment {
        metadata: metadata(name),
        spec: Some(DeploymentSpec {
            replicas: Some(replicas),
            selector: LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                spec: Some(pod_spec()),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    };
    until(&format!("{name} is there with {replicas} replicas"), async || match api.create(&deployment).await {
        Ok(_) => true,
        Err(error) if error.is_already_exists() => {
            let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
            api.patch::<Deployment>(NAMESPACE, name, patch).await.is_ok()
        }
        Err(_) => false,
    })
    .await?;
    until(&format!("{replicas} replicas of {name} are available"), async || {
        api.get::<Deployment>(NAMESPACE, name).await.is_ok_and(|deployment| {
            let observed = deployment.status.as_ref().and_then(|status| status.observed_generation);
            observed == deployment.metadata.generation
                && deployment.status.is_some_and(|status| status.available_replicas == Some(replicas))
        })
    })
    .await
}

/// What the API lists, asked again while it does not answer.
async fn listed(api: &Client, namespace: &str, selector: &ListOptions) -> anyhow::Result<Vec<Pod>> {
    let deadline = Instant::now() + WITHIN;
    loop {
        match api.list::<Pod>(namespace, selector).await {
            Ok(pods) => return Ok(pods.items),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
        }
    }
}

/// The names and UIDs of the deployment's pods.
///
/// # Errors
/// When the API does not answer.
pub async fn pods(api: &Client, deployment: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let selector = ListOptions::default().labels(format!("app={deployment}"));
    let pods = listed(api, NAMESPACE, &selector).await?;
    let identity = |pod: Pod| (pod.metadata.name.unwrap_or_default(), pod.metadata.uid.unwrap_or_default());
    Ok(pods.into_iter().map(identity).collect())
}

/// Waits until a node is Ready.
///
/// # Errors
/// When it is not in time.
pub async fn a_node_is_ready(api: &Client, name: &str) -> anyhow::Result<()> {
    until(&format!("{name} is ready"), async || {
        api.get::<Node>("", name).await.is_ok_and(|node| {
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
    })
    .await
}

/// How many pods of all namespaces are bound to a node.
///
/// # Errors
/// When the API does not answer.
pub async fn pods_on(api: &Client, node: &str) -> anyhow::Result<usize> {
    let selector = ListOptions::default().fields(format!("spec.nodeName={node}"));
    Ok(listed(api, "", &selector).await?.len())
}

/// Waits until `replicas` pods of the deployment are ready on nodes other than `node`.
///
/// # Errors
/// When they are not in time.
pub async fn all_ready_elsewhere(api: &Client, deployment: &str, replicas: usize, node: &str) -> anyhow::Result<()> {
    let selector = ListOptions::default().labels(format!("app={deployment}"));
    until(&format!("{replicas} pods of {deployment} are ready elsewhere than on {node}"), async || {
        let Ok(pods) = api.list::<Pod>(NAMESPACE, &selector).await else { return false };
        pods.items.iter().filter(|pod| is_ready(pod) && node_of(pod) != Some(node)).count() >= replicas
    })
    .await
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
