//! A cordoned node takes no new pods, except those that tolerate the taint of that name.

use k8s_openapi::api::core::v1::Taint;

use super::taint_toleration::tolerates;
use super::{Event, Filter, Reasons};
use crate::node::NodeInfo;
use crate::pod::Shape;

pub const FILTER: Filter = Filter { name: "NodeUnschedulable", filter, helped_by: &[Event::Node] };

fn filter(shape: &Shape, node: &NodeInfo) -> Option<Reasons> {
    if !node.unschedulable {
        return None;
    }
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    (!tolerates(&shape.tolerations, &taint)).then(|| vec!["node(s) were unschedulable".to_owned()])
}
