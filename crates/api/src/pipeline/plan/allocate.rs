//! Addresses and ports of Services. Each is a key of its own, which the Service's transaction creates under the guard that
//! it does not exist, so that no two Services can ever hold the same one and none leaks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use bytes::Bytes;
use keelson_types::field::{self, Path};
use keelson_types::status::Status;
use serde_json::{Value, json};

use super::{Guard, Planner, Write};
use crate::keys;
use crate::pipeline::{CLUSTER_IPS_MAX, CLUSTER_IPS_RESERVED, FIRST_CLUSTER_IP, NODE_PORTS};
use crate::value;

/// Random draws before the numbers are tried one after the other.
const DRAWS_MAX: usize = 64;

/// Which allocations a Service takes and gives back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    taken: BTreeSet<String>,
    released: BTreeSet<String>,
}

impl Changes {
    /// Everything that a Service holds is given back.
    pub fn release(service: &Value) -> Changes {
        Changes { taken: BTreeSet::new(), released: held(service) }
    }

    pub fn add_to(self, path: &str, guards: &mut Vec<Guard>, writes: &mut BTreeMap<String, Write>) {
        for key in self.taken {
            guards.push(Guard::absent(key.clone()));
            writes.insert(key, Write::Put { value: Bytes::from(path.to_owned()), lease: 0 });
        }
        writes.extend(self.released.into_iter().map(|key| (key, Write::Delete)));
    }
}

impl Planner<'_> {
    /// Gives a Service the address and the ports that its type needs, keeping what `old` holds. What it asks for and
    /// cannot have is added to `errors`.
    pub(super) fn allocate(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        errors: &mut Vec<field::Error>,
    ) -> Result<Changes, Status> {
        let held = old.map(held).unwrap_or_default();
        if let Some(old) = old {
            carry_over(service, old);
            drop_what_went(service, old);
        }
        self.allocate_address(service, &held, errors)?;
        self.allocate_ports(service, &held, errors)?;
        self.allocate_health_port(service, &held, errors)?;
        let wanted = self::held(service);
        let changes = Changes {
            taken: wanted.difference(&held).cloned().collect(),
            released: held.difference(&wanted).cloned().collect(),
        };
        if errors.is_empty() {
            self.taken.lock().extend(changes.taken.iter().cloned());
        }
        Ok(changes)
    }

    fn is_free(&self, key: &str, held: &BTreeSet<String>) -> bool {
        held.contains(key) || !(self.caches.is_allocated(key) || self.taken.lock().contains(key))
    }

    fn allocate_address(
        &self,
        service: &mut Value,
        held: &BTreeSet<String>,
        errors: &mut Vec<field::Error>,
    ) -> Result<(), Status> {
        let Some(spec) = value::map(service, "spec") else { return Ok(()) };
        if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                spec.remove(field);
            }
            return Ok(());
        }
        let asked = spec.get("clusterIP").and_then(Value::as_str).filter(|address| !address.is_empty());
        let asked = asked.or_else(|| spec.get("clusterIPs")?.get(0)?.as_str()).map(str::to_owned);
        let address = match asked.as_deref() {
            Some("None") => "None".to_owned(),
            Some(asked) => {
                let path = Path::new("spec");
                let refuse = |why: &str| {
                    let detail = format!("failed to allocate IP {asked}: {why}");
                    field::Error::invalid(&path.child("clusterIPs"), json!([asked]), detail)
                };
                match asked.parse::<Ipv4Addr>().ok().filter(|address| offset(*address).is_some()) {
                    None => errors.push(refuse(
                        "the provided IP is not in the valid range. The range of valid IPs is 10.96.0.0/12",
                    )),
                    Some(address) if !self.is_free(&keys::cluster_ip(address), held) => {
                        errors.push(refuse("provided IP is already allocated"));
                    }
                    Some(_) => {}
                }
                asked.to_owned()
            }
            None => {
                let draw = || CLUSTER_IPS_RESERVED + rand::random::<u32>() % (CLUSTER_IPS_MAX - CLUSTER_IPS_RESERVED);
                let candidates = std::iter::repeat_with(draw).take(DRAWS_MAX).chain(1..CLUSTER_IPS_MAX);
                let address = candidates
                    .map(|offset| Ipv4Addr::from(u32::from(FIRST_CLUSTER_IP) + offset))
                    .find(|address| self.is_free(&keys::cluster_ip(*address), held))
                    .ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))?;
                address.to_string()
            }
        };
        spec.insert("clusterIPs".to_owned(), json!([address]));
        spec.insert("clusterIP".to_owned(), address.into());
        spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
        spec.entry("ipFamilyPolicy").or_insert_with(|| json!("SingleStack"));
        Ok(())
    }

    fn allocate_ports(
        &self,
        service: &mut Value,
        held: &BTreeSet<String>,
        errors: &mut Vec<field::Error>,
    ) -> Result<(), Status> {
        let Some(spec) = value::map(service, "spec") else { return Ok(()) };
        let needed = matches!(spec.get("type").and_then(Value::as_str), Some("NodePort" | "LoadBalancer"));
        let Some(ports) = spec.get_mut("ports").and_then(Value::as_array_mut) else { return Ok(()) };
        let mut own: BTreeSet<(u64, String)> = BTreeSet::new();
        for (index, port) in ports.iter_mut().enumerate() {
            let Some(port) = port.as_object_mut() else { continue };
            if !needed {
                port.remove("nodePort");
                continue;
            }
            let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP").to_owned();
            let asked = port.get("nodePort").and_then(Value::as_u64).filter(|&asked| asked != 0);
            let chosen = match asked {
                Some(asked) => {
                    if let Some(why) = self.refuse_port(asked, held, !own.contains(&(asked, protocol.clone()))) {
                        let spec = Path::new("spec");
                        let ports = spec.child("ports");
                        errors.push(field::Error::invalid(&ports.index(index).child("nodePort"), asked, why));
                    }
                    asked
                }
                None => {
                    let draw =
                        || NODE_PORTS.start() + rand::random::<u16>() % (NODE_PORTS.end() - NODE_PORTS.start() + 1);
                    std::iter::repeat_with(draw)
                        .take(DRAWS_MAX)
                        .chain(NODE_PORTS)
                        .find(|port| {
                            !own.iter().any(|(number, _)| *number == u64::from(*port))
                                && self.is_free(&keys::node_port(*port), held)
                        })
                        .map(u64::from)
                        .ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?
                }
            };
            own.insert((chosen, protocol));
            port.insert("nodePort".to_owned(), chosen.into());
        }
        Ok(())
    }

    /// Where a load balancer asks each node whether it has pods of the Service: only when it must choose among nodes by that.
    fn allocate_health_port(
        &self,
        service: &mut Value,
        held: &BTreeSet<String>,
        errors: &mut Vec<field::Error>,
    ) -> Result<(), Status> {
        let (needed, own) = (is_health_checked(&service["spec"]), self::held(service));
        let Some(spec) = value::map(service, "spec").filter(|_| needed) else { return Ok(()) };
        if let Some(asked) = spec.get("healthCheckNodePort").and_then(Value::as_u64).filter(|&asked| asked != 0) {
            if let Some(why) = self.refuse_port(asked, held, true) {
                let path = Path::new("spec");
                errors.push(field::Error::invalid(&path.child("healthCheckNodePort"), asked, why));
            }
            return Ok(());
        }
        let draw = || NODE_PORTS.start() + rand::random::<u16>() % (NODE_PORTS.end() - NODE_PORTS.start() + 1);
        let port = std::iter::repeat_with(draw).take(DRAWS_MAX).chain(NODE_PORTS).find(|port| {
            let key = keys::node_port(*port);
            !own.contains(&key) && self.is_free(&key, held)
        });
        let port = port.ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?;
        spec.insert("healthCheckNodePort".to_owned(), port.into());
        Ok(())
    }

    /// `first` is false when the same Service names the same port and protocol twice.
    fn refuse_port(&self, asked: u64, held: &BTreeSet<String>, first: bool) -> Option<String> {
        let Some(port) = u16::try_from(asked).ok().filter(|port| NODE_PORTS.contains(port)) else {
            return Some(format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                NODE_PORTS.start(),
                NODE_PORTS.end()
            ));
        };
        if first && self.is_free(&keys::node_port(port), held) {
            None
        } else {
            Some("provided port is already allocated".to_owned())
        }
    }
}

/// Where an address lies in the Services' range; None outside of it and for its first and last.
fn offset(address: Ipv4Addr) -> Option<u32> {
    let offset = u32::from(address).checked_sub(u32::from(FIRST_CLUSTER_IP))?;
    (offset > 0 && offset < CLUSTER_IPS_MAX).then_some(offset)
}

/// The allocations that a Service holds.
fn held(service: &Value) -> BTreeSet<String> {
    let spec = &service["spec"];
    let address = spec["clusterIP"].as_str().and_then(|address| address.parse::<Ipv4Addr>().ok());
    let ports = spec["ports"].as_array().into_iter().flatten().map(|port| &port["nodePort"]);
    let ports = ports.chain([&spec["healthCheckNodePort"]]);
    let ports = ports.filter_map(|port| u16::try_from(port.as_u64()?).ok()).filter(|&port| port != 0);
    address
        .filter(|address| offset(*address).is_some())
        .map(keys::cluster_ip)
        .into_iter()
        .chain(ports.map(keys::node_port))
        .collect()
}

fn is_health_checked(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

/// Whether a Service may say a field at all, by its type.
fn may_say(spec: &Value, field: &str) -> bool {
    let balanced = spec["type"] == "LoadBalancer";
    match field {
        "healthCheckNodePort" => is_health_checked(spec),
        "externalTrafficPolicy" => {
            balanced || spec["type"] == "NodePort" || spec["externalIPs"].as_array().is_some_and(|ips| !ips.is_empty())
        }
        _ => balanced,
    }
}

/// A Service that changes its type loses what only the old type had, unless it is said anew.
fn drop_what_went(service: &mut Value, old: &Value) {
    for field in ["externalTrafficPolicy", "healthCheckNodePort", "allocateLoadBalancerNodePorts", "loadBalancerClass"]
    {
        let (spec, old) = (&service["spec"], &old["spec"]);
        let went = may_say(old, field) && !may_say(spec, field);
        // The port goes with the policy, which is looked at before it.
        if went
            && spec[field] == old[field]
            && let Some(spec) = value::map(service, "spec")
        {
            spec.remove(field);
        }
    }
}

/// What an update leaves open stays as it was, so that a client that never saw the allocations does not lose them.
fn carry_over(service: &mut Value, old: &Value) {
    let Some(spec) = value::map(service, "spec") else { return };
    let is_open = |value: Option<&Value>| value.and_then(Value::as_str).is_none_or(str::is_empty);
    if is_open(spec.get("clusterIP"))
        && spec.get("clusterIPs").is_none()
        && let Some(address) = old["spec"].get("clusterIP")
    {
        spec.insert("clusterIP".to_owned(), address.clone());
    }
    if spec.get("healthCheckNodePort").and_then(Value::as_u64).unwrap_or(0) == 0
        && let Some(port) = old["spec"].get("healthCheckNodePort")
        && spec.get("type") == Some(&json!("LoadBalancer"))
        && spec.get("externalTrafficPolicy") == Some(&json!("Local"))
    {
        spec.insert("healthCheckNodePort".to_owned(), port.clone());
    }
    let empty = Vec::new();
    let old_ports = old["spec"]["ports"].as_array().unwrap_or(&empty);
    let Some(ports) = spec.get_mut("ports").and_then(Value::as_array_mut) else { return };
    for port in ports {
        if port["nodePort"].as_u64().unwrap_or(0) != 0 {
            continue;
        }
        let same = |old: &&Value| {
            old["port"] == port["port"]
                && old["protocol"].as_str().unwrap_or("TCP") == port["protocol"].as_str().unwrap_or("TCP")
        };
        if let Some(number) = old_ports.iter().find(same).and_then(|old| old.get("nodePort"))
            && let Some(port) = port.as_object_mut()
        {
            port.insert("nodePort".to_owned(), number.clone());
        }
    }
}
