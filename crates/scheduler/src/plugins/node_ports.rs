//! Two pods on one node cannot take the same port of it.

use super::{Event, Filter, Reasons};
use crate::node::NodeInfo;
use crate::pod::{HostPort, Shape};

pub const FILTER: Filter = Filter { name: "NodePorts", filter, helped_by: &[Event::Node, Event::PodGone] };

fn filter(shape: &Shape, node: &NodeInfo) -> Option<Reasons> {
    let taken = shape.host_ports.iter().any(|wanted| node.host_ports.keys().any(|used| collide(wanted, used)));
    taken.then(|| vec!["node(s) didn't have free ports for the requested pod ports".to_owned()])
}

/// The same protocol and port, at the same address or where either takes all addresses.
fn collide((address, protocol, port): &HostPort, (used_address, used_protocol, used_port): &HostPort) -> bool {
    protocol == used_protocol
        && port == used_port
        && (address == used_address || address.is_empty() || used_address.is_empty())
}
