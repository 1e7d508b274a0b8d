//! The REST front over a real pipeline on a real single-member store: what Kubernetes' clients see, request by request.

#[path = "rest/access.rs"]
mod access;
#[path = "rest/apply.rs"]
mod apply;
#[path = "rest/cron_tabs.rs"]
mod cron_tabs;
#[path = "rest/custom_access.rs"]
mod custom_access;
#[path = "rest/custom_objects.rs"]
mod custom_objects;
#[path = "rest/definitions.rs"]
mod definitions;
#[path = "rest/depth.rs"]
mod depth;
#[path = "rest/examples.rs"]
mod examples;
#[path = "rest/fixed.rs"]
mod fixed;
#[path = "rest/harm.rs"]
mod harm;
#[path = "rest/kinds.rs"]
mod kinds;
#[path = "rest/lagging.rs"]
mod lagging;
#[path = "rest/media.rs"]
mod media;
#[path = "rest/member.rs"]
mod member;
#[path = "rest/names.rs"]
mod names;
#[path = "rest/objects.rs"]
mod objects;
#[path = "rest/parts.rs"]
mod parts;
#[path = "rest/pod_parts.rs"]
mod pod_parts;
#[path = "../../store/tests/etcd_v3/ports.rs"]
#[expect(dead_code, reason = "the store's own tests use more of it")]
mod ports;
#[path = "rest/puts.rs"]
mod puts;
#[path = "rest/refusals.rs"]
mod refusals;
#[path = "rest/roles.rs"]
mod roles;
#[path = "rest/signers.rs"]
mod signers;
#[path = "common/stored.rs"]
mod stored;
#[path = "rest/told.rs"]
mod told;
#[path = "rest/versions.rs"]
mod versions;
#[path = "rest/watches.rs"]
mod watches;
