//! The whole API of one member over a real store in a temporary folder: the pipeline, both watches and lists through it, and
//! the port with its certificates.

#[path = "pipeline/applies.rs"]
mod applies;
#[path = "pipeline/budget.rs"]
mod budget;
#[path = "pipeline/definitions.rs"]
mod definitions;
#[path = "pipeline/figures.rs"]
mod figures;
#[path = "pipeline/fronts.rs"]
mod fronts;
#[path = "pipeline/grpc.rs"]
mod grpc;
#[path = "pipeline/https.rs"]
mod https;
#[path = "pipeline/kept.rs"]
mod kept;
#[path = "pipeline/measured.rs"]
mod measured;
#[path = "pipeline/member.rs"]
mod member;
#[path = "pipeline/offered.rs"]
mod offered;
#[path = "pipeline/pki.rs"]
mod pki;
#[path = "../../store/tests/etcd_v3/ports.rs"]
#[expect(dead_code, reason = "the store's own tests use more of it")]
mod ports;
#[path = "pipeline/reads.rs"]
mod reads;
#[path = "pipeline/refusals.rs"]
mod refusals;
#[path = "pipeline/shown.rs"]
mod shown;
#[path = "common/stored.rs"]
mod stored;
#[path = "pipeline/verbs.rs"]
mod verbs;
#[path = "pipeline/writes.rs"]
mod writes;
