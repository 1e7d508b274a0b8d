//! The EndpointSlices of a Service say which addresses serve it.
//!
//! Endpoints stay in the slice where they are; only what differs is written. Names of new slices are a function of the
//! Service and the slices it is seen to have, as everywhere in this crate.

pub mod endpoint;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keelson_client::Error;
use keelson_types::meta::{self, Key};
use keelson_types::pods;
use keelson_types::selector::LabelSelector;

use crate::caches::{Caches, NAMESPACE, SERVICE, SERVICE_NAME_LABEL};
use crate::driver::{Controller, Signals};
use crate::plan::{Note, Plan, WRITES_MAX, Write};
use crate::suffix;

const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGED_BY: &str = "endpointslice-controller.k8s.io";
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Kubernetes' default; the API's limit is 1,000.
const ENDPOINTS_MAX: usize = 100;

/// What is known about one Service.
pub struct Snapshot {
    pub service: Option<Arc<Service>>,
    /// The pods of its namespace that its selector matches.
    pub pods: Vec<Arc<Pod>>,
    /// Every slice that names the Service.
    pub slices: Vec<Arc<EndpointSlice>>,
    /// Zones by node name.
    pub zones: HashMap<String, String>,
}

/// The slices that one address family and one set of resolved ports share.
type Group = (String, Vec<EndpointPort>);

/// Plans the slices of the Service `key`.
pub fn plan(snapshot: &Snapshot, key: &Key) -> Plan {
    let Some(service) = snapshot.service.as_deref() else { return Plan::nothing(format!("{key} is gone")) };
    if meta::is_deleting(service) {
        return Plan::nothing("the Service is being deleted");
    }
    let spec = service.spec.clone().unwrap_or_default();
    if spec.selector.as_ref().is_none_or(BTreeMap::is_empty) || spec.type_.as_deref() == Some("ExternalName") {
        return Plan::nothing("the Service selects no pods");
    }
    let families = endpoint::families(&spec);
    let mut wanted: Vec<(Group, BTreeMap<String, Endpoint>)> = Vec::new();
    for pod in snapshot.pods.iter().filter(|pod| endpoint::belongs(pod)) {
        let zone = snapshot.zones.get(pods::node_name(pod));
        for family in &families {
            let Some(address) = endpoint::address(pod, family) else { continue };
            let group = ((*family).to_owned(), endpoint::ports(&spec, pod));
            let made = endpoint::of(service, &spec, pod, address, zone);
            match wanted.iter_mut().find(|(known, _)| *known == group) {
                Some((_, endpoints)) => drop(endpoints.insert(meta::uid(pod.as_ref()).to_owned(), made)),
                None => wanted.push((group, [(meta::uid(pod.as_ref()).to_owned(), made)].into())),
            }
        }
    }
    // A Service without endpoints has one empty slice a family, so that this is told apart from not having been looked at.
    for family in &families {
        if !wanted.iter().any(|((known, _), _)| known == family) {
            wanted.push((((*family).to_owned(), Vec::new()), BTreeMap::new()));
        }
    }
    arrange(snapshot, service, wanted)
}

/// Fits the wanted endpoints into the slices that are there.
fn arrange(snapshot: &Snapshot, service: &Service, wanted: Vec<(Group, BTreeMap<String, Endpoint>)>) -> Plan {
    let mut mine: Vec<&Arc<EndpointSlice>> = snapshot
        .slices
        .iter()
        .filter(|slice| {
            meta::label(slice.as_ref(), MANAGED_BY_LABEL) == MANAGED_BY && !meta::is_deleting(slice.as_ref())
        })
        .collect();
    mine.sort_by(|a, b| meta::name(a.as_ref()).cmp(meta::name(b.as_ref())));
    let prefix = format!("{}-", meta::name(service));
    let seen: Vec<&str> = snapshot.slices.iter().map(|slice| meta::uid(slice.as_ref())).collect();
    let mut names = suffix::names(&prefix, meta::uid(service), seen);
    let labels = labels(service);
    let mut plan = Plan::default();
    let mut kept = 0;
    for (group, mut missing) in wanted {
        let (of_group, others): (Vec<_>, Vec<_>) =
            mine.into_iter().partition(|slice| (slice.address_type.clone(), ports(slice)) == group);
        mine = others;
        let mut contents: Vec<(Option<&Arc<EndpointSlice>>, Vec<Endpoint>)> = of_group
            .into_iter()
            .map(|slice| {
                let present = slice.endpoints.iter().flatten().filter_map(|known| missing.remove(pod_uid(known)));
                (Some(slice), present.collect())
            })
            .collect();
        let mut left: Vec<Endpoint> = missing.into_values().collect();
        for (_, endpoints) in &mut contents {
            let room = ENDPOINTS_MAX.saturating_sub(endpoints.len()).min(left.len());
            endpoints.extend(left.drain(..room));
        }
        for chunk in left.chunks(ENDPOINTS_MAX) {
            contents.push((None, chunk.to_vec()));
        }
        if contents.is_empty() {
            contents.push((None, Vec::new()));
        }
        let filled = contents.iter().any(|(_, endpoints)| !endpoints.is_empty());
        for (index, (slice, endpoints)) in contents.into_iter().enumerate() {
            if endpoints.is_empty() && (filled || index > 0) {
                plan.writes.extend(slice.map(|slice| Write::delete(slice.as_ref(), None)));
                continue;
            }
            match slice {
                Some(slice) if is_same(slice, &endpoints, &labels) => kept += 1,
                Some(slice) => {
                    let mut updated = EndpointSlice::clone(slice);
                    updated.endpoints = Some(endpoints);
                    updated.metadata.labels = Some(labels.clone());
                    plan.writes.push(Write::Update(updated.into()));
                }
                None => {
                    let Some(name) = names.next() else { continue };
                    plan.writes.push(Write::Create(build(service, name, &group, endpoints, &labels).into()));
                }
            }
        }
    }
    plan.writes.extend(mine.into_iter().map(|slice| Write::delete(slice.as_ref(), None)));
    plan.because(format!("{kept} slices are right"));
    if plan.writes.len() > WRITES_MAX {
        plan.writes.truncate(WRITES_MAX);
        plan.requeue(std::time::Duration::ZERO);
    }
    let message = format!("Error updating Endpoint Slices for Service {}: ", Key::of(service));
    plan.on_refusal = Some(Note::warning(service, "FailedToUpdateEndpointSlices", message));
    plan
}

fn is_same(slice: &EndpointSlice, endpoints: &[Endpoint], labels: &BTreeMap<String, String>) -> bool {
    slice.endpoints.as_deref().unwrap_or_default() == endpoints && slice.metadata.labels.as_ref() == Some(labels)
}

fn pod_uid(endpoint: &Endpoint) -> &str {
    endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or_default()
}

fn ports(slice: &EndpointSlice) -> Vec<EndpointPort> {
    slice.ports.clone().unwrap_or_default()
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS_LABEL);
    if service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None") {
        labels.insert(HEADLESS_LABEL.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME_LABEL.to_owned(), meta::name(service).to_owned());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    labels
}

fn build(
    service: &Service,
    name: String,
    (address_type, ports): &Group,
    endpoints: Vec<Endpoint>,
    labels: &BTreeMap<String, String>,
) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: service.metadata.namespace.clone(),
            generate_name: Some(format!("{}-", meta::name(service))),
            labels: Some(labels.clone()),
            owner_references: Some(vec![meta::controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: address_type.clone(),
        endpoints: Some(endpoints),
        ports: (!ports.is_empty()).then(|| ports.clone()),
    }
}

pub(crate) struct Loop {
    caches: Caches,
}

impl Loop {
    pub fn new(caches: Caches) -> Self {
        Self { caches }
    }

    fn observe(&self, key: &Key) -> Snapshot {
        let service = self.caches.services.get_key(key);
        let selector = service.as_deref().and_then(selector);
        let mut pods = match &selector {
            Some(_) => self.caches.pods.by_index(NAMESPACE, &key.namespace),
            None => Vec::new(),
        };
        pods.retain(|pod| selector.as_ref().is_some_and(|selector| selector.matches(&pod.metadata.labels)));
        let mut zones = HashMap::new();
        for node in pods.iter().map(|pod| pods::node_name(pod)).filter(|node| !node.is_empty()) {
            if !zones.contains_key(node)
                && let Some(found) = self.caches.nodes.get("", node)
            {
                match meta::label(found.as_ref(), ZONE_LABEL) {
                    "" => {}
                    zone => drop(zones.insert(node.to_owned(), zone.to_owned())),
                }
            }
        }
        Snapshot { service, pods, slices: self.caches.endpoint_slices.by_index(SERVICE, &key.to_string()), zones }
    }
}

fn selector(service: &Service) -> Option<LabelSelector> {
    let selector = service.spec.as_ref()?.selector.as_ref().filter(|selector| !selector.is_empty())?;
    Some(LabelSelector::from_map(selector))
}

impl Controller for Loop {
    type Key = Key;
    const NAME: &'static str = "endpointslice";

    fn signals(self: &Arc<Self>, signals: &mut Signals<Key>) {
        signals.on(&self.caches.services, |change| vec![change.key.clone()]);
        signals.on(&self.caches.endpoint_slices, |change| {
            let slice = change.new.as_deref().or(change.old.as_deref());
            let service = slice.map(|slice| Key::new(meta::namespace(slice), meta::label(slice, SERVICE_NAME_LABEL)));
            service.into_iter().filter(|service| !service.name.is_empty()).collect()
        });
        let caches = self.caches.clone();
        signals.on(&self.caches.pods, move |change| {
            if let (Some(old), Some(new)) = (&change.old, &change.new)
                && endpoint::is_same_for_services(old, new)
            {
                return Vec::new();
            }
            let services = caches.services.by_index(NAMESPACE, &change.key.namespace);
            let matching = services.iter().filter(|service| {
                let Some(selector) = selector(service) else { return false };
                let states = [change.old.as_deref(), change.new.as_deref()];
                states.into_iter().flatten().any(|pod| selector.matches(&pod.metadata.labels))
            });
            matching.map(|service| Key::of(service.as_ref())).collect()
        });
    }

    fn keys(&self) -> Vec<Key> {
        self.caches.services.keys()
    }

    async fn reconcile(&self, key: &Key) -> Result<Plan, Error> {
        Ok(plan(&self.observe(key), key))
    }
}

#[cfg(test)]
mod tests;
