//! The same of a pod's containers: variables and ports of which one hides another.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::fractions;
use crate::field::Path;
use crate::json::{items, text};

/// So many definitions of one port are compared with those after them.
const SEEN_MAX: usize = 100;

/// Where a port was seen: its place, and the address and port of the host.
type Seen<'a> = (String, &'a str, i64);

pub(super) fn of(spec: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let mut ports: HashMap<(i64, &str), Vec<Seen<'_>>> = HashMap::new();
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        let path = path.child(field);
        for (index, container) in items(&spec[field]) {
            let path = path.index(index);
            let resources = path.child("resources");
            for part in ["limits", "requests"] {
                fractions(&container["resources"][part], &resources.child(part), warnings);
            }
            of_variables(&container["env"], &path.child("env"), warnings);
            let path = path.child("ports");
            for (index, port) in items(&container["ports"]) {
                of_port(port, path.index(index).to_string(), &mut ports, warnings);
            }
        }
    }
}

/// A variable may build on an earlier one of its name: `PATH=/bin`, `PATH=$(PATH):/more`.
fn of_variables(variables: &Value, path: &Path<'_>, warnings: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for (index, variable) in items(variables) {
        let (name, value) = (text(&variable["name"]), text(&variable["value"]));
        let known = !seen.insert(name);
        let earlier = format!("$({name})");
        let builds_on = variable["valueFrom"].is_null() && value != earlier && value.contains(&earlier);
        if known && !builds_on {
            let why = format!("hides previous definition of {name:?}, which may be dropped when using apply");
            warnings.push(format!("{}: {why}", path.index(index)));
        }
    }
}

fn of_port<'a>(
    port: &'a Value,
    at: String,
    ports: &mut HashMap<(i64, &'a str), Vec<Seen<'a>>>,
    warnings: &mut Vec<String>,
) {
    let number = |field: &str| port[field].as_i64().unwrap_or(0);
    let (host_ip, host_port) = (text(&port["hostIP"]), number("hostPort"));
    if !host_ip.is_empty() && host_port == 0 {
        warnings.push(format!("{at}: hostIP set without hostPort: {port}"));
    }
    let others = ports.entry((number("containerPort"), text(&port["protocol"]))).or_default();
    for (other, other_ip, other_port) in others.iter() {
        let what = if (host_ip, host_port) == (*other_ip, *other_port) {
            "duplicate"
        } else if host_port == 0 || *other_port == 0 {
            "overlapping"
        } else if host_port == *other_port && host_ip.is_empty() != other_ip.is_empty() {
            "dangerously ambiguous"
        } else {
            continue;
        };
        warnings.push(format!("{at}: {what} port definition with {other}"));
        // One is enough to look at: were each with each told of, a long list would be told at the length of its square.
        break;
    }
    if others.len() < SEEN_MAX {
        others.push((at, host_ip, host_port));
    }
}
