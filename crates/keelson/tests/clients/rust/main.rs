//! What programs in Rust do by the crate `kube`. They run against the cluster that `KUBECONFIG` names, one after another.

mod cluster;
mod controller;
mod cut;
mod election;
mod objects;
mod sessions;
mod watches;
