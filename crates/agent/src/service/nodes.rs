//! Registers the nodes, keeps them Ready, and renews their leases.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use keelson_client::reflector::Cache;
use keelson_client::{Client, Operation, Patch};
use keelson_types::meta;
use serde_json::json;

use crate::{Options, node, writer};

/// Pause before what could not be done is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Keeps the nodes registered, ready and leased, for ever.
pub async fn keep(client: Client, options: Options, nodes: Cache<Node>) {
    nodes.synced().await;
    let mut leased = HashMap::new();
    loop {
        let registered = register(&client, &options, &nodes).await;
        let renewed = renew(&client, &options, &nodes, &mut leased).await;
        let pause =
            if registered && renewed { options.lease_interval } else { RETRY_AFTER.min(options.lease_interval) };
        tokio::time::sleep(pause).await;
    }
}

/// Creates the nodes that are missing, and says Ready where somebody said otherwise. Whether all went well.
async fn register(client: &Client, options: &Options, nodes: &Cache<Node>) -> bool {
    let now = Timestamp::now();
    let mut operations = Vec::new();
    for name in &options.nodes {
        let operation = match nodes.get("", name) {
            None => Operation::create(&node::node(name, &options.capacity, now)),
            Some(present) if !node::says_ready(&present) && !node::is_dead(&present) => {
                let patch = json!({ "status": { "conditions": node::conditions(Some(&*present), now) } });
                Operation::patch_status::<Node>("", name, &Patch::Strategic(patch))
            }
            Some(_) => continue,
        };
        match operation {
            Ok(operation) => operations.push(operation),
            Err(error) => tracing::error!(node = name, error = %error, "a node has no JSON form"),
        }
    }
    let mut well = true;
    for result in writer::write(client, operations).await {
        // It exists when the cache is late.
        if let Err(error) = result
            && !error.is_already_exists()
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "a node is not registered; trying again");
            well = false;
        }
    }
    well
}

/// Renews the leases of the nodes that exist. `leased` has the UIDs of the nodes whose leases were made. Whether all went well.
async fn renew(client: &Client, options: &Options, nodes: &Cache<Node>, leased: &mut HashMap<String, String>) -> bool {
    let now = Timestamp::now();
    let (mut names, mut operations) = (Vec::new(), Vec::new());
    let mut missing = false;
    for name in &options.nodes {
        let Some(present) = nodes.get("", name) else {
            missing = true;
            continue;
        };
        if node::is_dead(&present) {
            continue;
        }
        let uid = meta::uid(&*present);
        let operation = if leased.get(name).is_some_and(|leased| leased == uid) {
            let patch = json!({ "spec": { "holderIdentity": name, "renewTime": MicroTime(now) } });
            Operation::patch::<Lease>(node::LEASE_NAMESPACE, name, &Patch::Merge(patch))
        } else {
            Operation::create(&node::lease(name, uid, options.lease_interval, now))
        };
        match operation {
            Ok(operation) => {
                names.push((name.clone(), uid.to_owned()));
                operations.push(operation);
            }
            Err(error) => tracing::error!(node = name, error = %error, "a lease has no JSON form"),
        }
    }
    let mut well = !missing;
    for ((name, uid), result) in names.into_iter().zip(writer::write(client, operations).await) {
        match result {
            Ok(()) => drop(leased.insert(name, uid)),
            Err(error) if error.is_already_exists() => {
                // Left by a former agent of this node: renew it from now on.
                leased.insert(name, uid);
                well = false;
            }
            Err(error) => {
                if error.is_not_found() {
                    leased.remove(&name);
                }
                tracing::warn!(node = name, error = &error as &dyn std::error::Error, "the lease is not renewed");
                well = false;
            }
        }
    }
    well
}
