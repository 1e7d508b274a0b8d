use k8s_openapi::api::core::v1::{
    Container, ContainerPort, PodCondition, PodIP, PodSpec, PodStatus, ServicePort, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::*;
use crate::plan::Item;

fn service() -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some("web".into()),
            namespace: Some("blue".into()),
            uid: Some("service-uid".into()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            selector: Some([("app".to_owned(), "web".to_owned())].into()),
            ports: Some(vec![ServicePort {
                name: Some("http".into()),
                port: 80,
                target_port: Some(IntOrString::String("http".into())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn pod(number: usize, ready: bool, port: i32) -> Arc<Pod> {
    let address = format!("10.0.{}.{}", number / 250, number % 250 + 1);
    Arc::new(Pod {
        metadata: ObjectMeta {
            name: Some(format!("web-{number}")),
            namespace: Some("blue".into()),
            uid: Some(format!("uid-{number:04}")),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            node_name: Some("n1".into()),
            containers: vec![Container {
                ports: Some(vec![ContainerPort {
                    name: Some("http".into()),
                    container_port: port,
                    ..ContainerPort::default()
                }]),
                ..Container::default()
            }],
            ..PodSpec::default()
        }),
        status: Some(PodStatus {
            phase: Some("Running".into()),
            pod_ip: Some(address.clone()),
            pod_ips: Some(vec![PodIP { ip: address }]),
            conditions: Some(vec![PodCondition {
                type_: "Ready".into(),
                status: if ready { "True" } else { "False" }.into(),
                ..PodCondition::default()
            }]),
            ..PodStatus::default()
        }),
    })
}

fn snapshot(pods: Vec<Arc<Pod>>, slices: Vec<EndpointSlice>) -> Snapshot {
    Snapshot {
        service: Some(Arc::new(service())),
        pods,
        slices: slices.into_iter().map(Arc::new).collect(),
        zones: HashMap::new(),
    }
}

fn key() -> Key {
    Key::new("blue", "web")
}

/// What the slices are after the plan.
fn executed(mut slices: Vec<EndpointSlice>, plan: &Plan) -> Vec<EndpointSlice> {
    for write in &plan.writes {
        match write {
            Write::Create(Item::EndpointSlice(slice)) => {
                let mut slice = EndpointSlice::clone(slice);
                slice.metadata.uid = slice.metadata.name.clone();
                slices.push(slice);
            }
            Write::Update(Item::EndpointSlice(slice)) => {
                let old = slices.iter_mut().find(|old| old.metadata.name == slice.metadata.name);
                *old.expect("only what exists is updated") = EndpointSlice::clone(slice);
            }
            Write::Delete(name, _) => slices.retain(|slice| slice.metadata.name.as_deref() != Some(name.name.as_str())),
            other => panic!("unexpected {other}"),
        }
    }
    slices
}

#[test]
fn a_service_without_pods_has_one_empty_slice() {
    let plan_empty = plan(&snapshot(vec![], vec![]), &key());
    let slices = executed(vec![], &plan_empty);
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].endpoints, Some(vec![]));
    assert_eq!(plan(&snapshot(vec![], slices), &key()).to_string(), "nothing: 1 slices are right");
}

#[test]
fn endpoints_fill_slices_of_one_hundred_and_stay_where_they_are() {
    let pods: Vec<_> = (0..250).map(|number| pod(number, true, 8080)).collect();
    let slices = executed(vec![], &plan(&snapshot(pods.clone(), vec![]), &key()));
    let sizes: Vec<_> = slices.iter().map(|slice| slice.endpoints.iter().flatten().count()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    let settled = plan(&snapshot(pods.clone(), slices.clone()), &key());
    assert!(settled.is_nothing(), "{settled}");
    let mut fewer = pods;
    fewer.remove(3);
    let change = plan(&snapshot(fewer, slices), &key());
    assert_eq!(change.writes.len(), 1, "{change}");
}

#[test]
fn conditions_follow_the_pod() {
    let mut leaving = Pod::clone(&pod(2, true, 8080));
    leaving.metadata.deletion_timestamp = Some(meta::whole_seconds(jiff::Timestamp::UNIX_EPOCH));
    let pods = vec![pod(0, true, 8080), pod(1, false, 8080), Arc::new(leaving)];
    let slices = executed(vec![], &plan(&snapshot(pods, vec![]), &key()));
    let conditions: Vec<_> = slices[0]
        .endpoints
        .iter()
        .flatten()
        .filter_map(|endpoint| endpoint.conditions.as_ref())
        .map(|conditions| (conditions.ready, conditions.serving, conditions.terminating))
        .collect();
    let told = |ready, serving, terminating| (Some(ready), Some(serving), Some(terminating));
    assert_eq!(conditions, [told(true, true, false), told(false, false, false), told(false, true, true)]);
}

#[test]
fn pods_that_name_different_ports_are_in_different_slices() {
    let slices = executed(vec![], &plan(&snapshot(vec![pod(0, true, 8080), pod(1, true, 9090)], vec![]), &key()));
    let mut ports: Vec<_> =
        slices.iter().flat_map(|slice| slice.ports.iter().flatten()).map(|port| port.port).collect();
    ports.sort_unstable();
    assert_eq!(ports, [Some(8080), Some(9090)]);
    assert!(slices.iter().all(|slice| meta::label(slice, SERVICE_NAME_LABEL) == "web"));
}

#[test]
fn slices_of_others_are_left_alone() {
    let foreign = EndpointSlice {
        metadata: ObjectMeta { name: Some("foreign".into()), ..ObjectMeta::default() },
        ..EndpointSlice::default()
    };
    let plan = plan(&snapshot(vec![pod(0, true, 80)], vec![foreign]), &key());
    assert_eq!(plan.writes.len(), 1);
    assert!(matches!(plan.writes[0], Write::Create(_)), "{plan}");
}
