//! Binding: which node a pod goes to. It stands beside the registry, since what creates one is a subresource of pods, or
//! `POST namespaces/<namespace>/bindings` with the pod's name in the body.

use k8s_openapi::api::core::v1::Binding;

use crate::kind::Kind;

pub static KIND: Kind = Kind::answered::<Binding>("binding", true);
