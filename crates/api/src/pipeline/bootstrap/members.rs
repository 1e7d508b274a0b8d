//! Where the Service `kubernetes` leads to: the members' APIs, as Endpoints and as EndpointSlices. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

pub const SERVICE: &str = "kubernetes";

/// The addresses by port. The Service has an IPv4 address, so these are the ones that it leads to.
fn by_port(members: &[SocketAddr]) -> BTreeMap<u16, BTreeSet<Ipv4Addr>> {
    let mut ports: BTreeMap<u16, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for member in members {
        if let SocketAddr::V4(member) = member {
            ports.entry(member.port()).or_default().insert(*member.ip());
        }
    }
    ports
}

fn port(number: u16) -> Value {
    json!([{"name": "https", "port": number, "protocol": "TCP"}])
}

/// The Endpoints of the members.
pub fn endpoints(members: &[SocketAddr]) -> Value {
    let subsets: Vec<Value> = by_port(members)
        .into_iter()
        .map(|(number, addresses)| {
            let addresses: Vec<Value> = addresses.iter().map(|address| json!({"ip": address.to_string()})).collect();
            json!({"addresses": addresses, "ports": port(number)})
        })
        .collect();
    json!({
        // Nobody needs to make slices of them: they are there.
        "metadata": {"name": SERVICE, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": subsets,
    })
}

/// The slices of the members: one, unless they listen on different ports.
pub fn slices(members: &[SocketAddr]) -> Vec<Value> {
    let slice = |(index, (number, addresses)): (usize, (u16, BTreeSet<Ipv4Addr>))| {
        let name = if index == 0 { SERVICE.to_owned() } else { format!("{SERVICE}-{number}") };
        let endpoint = |address: &Ipv4Addr| json!({"addresses": [address.to_string()], "conditions": {"ready": true}});
        json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": SERVICE}},
            "addressType": "IPv4",
            "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
            "ports": port(number),
        })
    };
    by_port(members).into_iter().enumerate().map(slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_by_their_ports() {
        let member = |text: &str| text.parse().expect("is an address");
        let same = [member("10.0.0.2:6443"), member("10.0.0.1:6443"), member("10.0.0.1:6443")];
        assert_eq!(
            endpoints(&same)["subsets"],
            json!([{"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
                "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}])
        );
        assert_eq!(slices(&same).len(), 1);
        let other = slices(&[member("127.0.0.1:6443"), member("127.0.0.1:6444")]);
        let names: Vec<&Value> = other.iter().map(|slice| &slice["metadata"]["name"]).collect();
        assert_eq!(names, ["kubernetes", "kubernetes-6444"]);
        assert_eq!(other[1]["ports"][0]["port"], 6444);
    }
}
