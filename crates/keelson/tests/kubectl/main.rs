//! kubectl as people use it, without a flag that is there for us: what is made by arguments is sent as protobuf.

mod access;
mod apply;
mod changes;
mod custom;
mod everyday;
mod harness;
mod kinds;
mod looks;
mod nodes;
mod pods;
mod resizes;
mod running;
mod tops;

use harness::{Kubectl, tools};
use keelson::dev::{Scratch, Spec};

#[tokio::test(flavor = "multi_thread")]
async fn everyday_commands_work_by_every_kubectl() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    for name in ["kubectl-1.32", "kubectl-1.35", "kubectl-1.37"] {
        let kubectl = Kubectl::new(tools().join(name), &cluster, name.replace('.', "-"));
        kubectl.everyday();
        kubectl.server_side_apply();
        kubectl.explains();
        kubectl.many_kinds();
        kubectl.access();
        kubectl.resizes();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_kinds_work_by_every_kubectl() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    for name in ["kubectl-1.32", "kubectl-1.35", "kubectl-1.37"] {
        let kubectl = Kubectl::new(tools().join(name), &cluster, name.replace('.', "-"));
        kubectl.custom_kinds();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nodes_and_pods_use_is_shown_by_every_kubectl() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    for (name, context) in [("kubectl-1.32", "keelson"), ("kubectl-1.35", "keelson-m2"), ("kubectl-1.37", "keelson-m3")]
    {
        let namespace = name.replace('.', "-");
        let kubectl = Kubectl { program: tools().join(name), cluster: &cluster, namespace, context };
        kubectl.run(&["create", "namespace", &kubectl.namespace]);
        kubectl.tops();
        kubectl.run(&["delete", "namespace", &kubectl.namespace]);
    }
}

/// Every other command, each kubectl by another member and with a node of its own.
#[tokio::test(flavor = "multi_thread")]
async fn every_verb_works_by_every_kubectl() {
    let cluster = Scratch::start(Spec::undisturbed()).await.expect("the cluster becomes ready");
    for (name, context, node) in [
        ("kubectl-1.32", "keelson", "node-1"),
        ("kubectl-1.35", "keelson-m2", "node-2"),
        ("kubectl-1.37", "keelson-m3", "node-3"),
    ] {
        let namespace = name.replace('.', "-");
        let kubectl = Kubectl { program: tools().join(name), cluster: &cluster, namespace, context };
        kubectl.run(&["create", "namespace", &kubectl.namespace]);
        kubectl.looks();
        kubectl.changes();
        kubectl.rolls_out();
        kubectl.pods();
        kubectl.nodes(node);
        kubectl.run(&["delete", "namespace", &kubectl.namespace]);
    }
}
