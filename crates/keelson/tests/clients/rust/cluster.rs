//! What the tests share: the members' APIs, a namespace for each test, and waiting on a condition.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Container, Namespace, Pod, PodSpec, PodTemplateSpec, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::config::KubeConfigOptions;
use kube::core::{NamespaceResourceScope, Status};
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;

/// What may take so long on a busy machine at most.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Selects what tests make: every namespace has a ConfigMap that nobody asked for.
pub const OWN: &str = "metadata.name!=kube-root-ca.crt";
const MEMBERS: [&str; 3] = ["keelson", "keelson-m2", "keelson-m3"];

/// The members, and the namespace of one test.
pub struct Cluster {
    pub members: [Client; 3],
    pub namespace: String,
}

impl Cluster {
    /// Makes the namespace.
    pub async fn with_namespace(name: &str) -> Cluster {
        let mut members = Vec::new();
        for member in 0..MEMBERS.len() {
            members.push(Client::try_from(config(member).await).expect("a client"));
        }
        let members: [Client; 3] = members.try_into().ok().expect("three members");
        let namespaces: Api<Namespace> = Api::all(members[0].clone());
        let metadata = named(name);
        namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await.expect(name);
        Cluster { members, namespace: name.to_owned() }
    }

    /// A kind in this test's namespace, by the API of one member: 0, 1 or 2.
    pub fn api<K>(&self, member: usize) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.members[member].clone(), &self.namespace)
    }

    pub fn configmaps(&self, member: usize) -> Api<ConfigMap> {
        self.api(member)
    }

    pub fn pods(&self, member: usize) -> Api<Pod> {
        self.api(member)
    }

    /// Forgets what was overwritten before this version, as a cluster does by and by; returns when all members have done so.
    pub async fn compact(&self, version: &str) {
        let etcdctl = std::env::var_os("KEELSON_TEST_ETCDCTL_35").expect("KEELSON_TEST_ETCDCTL_35 names etcdctl");
        let output = tokio::process::Command::new(etcdctl).args(["compaction", version]).output().await.expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for member in &self.members {
            // Answered from what a majority knew when it was asked, so after that.
            let all: Api<ConfigMap> = Api::all(member.clone());
            all.list(&ListParams::default().limit(1)).await.expect("is listed");
        }
    }
}

/// How one member is reached.
pub async fn config(member: usize) -> Config {
    let options = KubeConfigOptions { context: Some(MEMBERS[member].to_owned()), ..KubeConfigOptions::default() };
    Config::from_kubeconfig(&options).await.expect("KUBECONFIG has a context for each member")
}

/// What comes within [`PATIENCE`].
pub async fn in_time<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, coming).await {
        Ok(came) => came,
        Err(_) => panic!("{what} did not come true within {PATIENCE:?}"),
    }
}

/// Waits, by a watch, until the object is so; the object.
pub async fn until_it<K>(what: &str, api: Api<K>, name: &str, is_so: impl Condition<K>) -> Option<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    in_time(what, await_condition(api, name, is_so)).await.expect("is watched")
}

/// Waits until the condition gives something, by looking.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    in_time(what, looking).await
}

/// What the server said of a refusal.
#[track_caller]
pub fn refused<T: Debug>(result: kube::Result<T>) -> Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("must be refused: {other:?}"),
    }
}

/// The fields that a refusal is about.
pub fn causes(status: &Status) -> Vec<&str> {
    status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.field.as_str()).collect()
}

pub fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn configmap(name: &str, data: &[(&str, &str)]) -> ConfigMap {
    ConfigMap { metadata: named(name), data: Some(map(data)), ..ConfigMap::default() }
}

pub fn secret(name: &str) -> Secret {
    Secret { metadata: named(name), ..Secret::default() }
}

pub fn container(name: &str) -> Container {
    Container { name: name.to_owned(), image: Some(format!("{name}:1")), ..Container::default() }
}

pub fn deployment(name: &str, replicas: i32) -> Deployment {
    let labels = map(&[("app", name)]);
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels.clone()), ..ObjectMeta::default() }),
        spec: Some(PodSpec { containers: vec![container("web")], ..PodSpec::default() }),
    };
    let selector = LabelSelector { match_labels: Some(labels), ..LabelSelector::default() };
    let spec = DeploymentSpec { replicas: Some(replicas), selector, template, ..DeploymentSpec::default() };
    Deployment { metadata: named(name), spec: Some(spec), ..Deployment::default() }
}
