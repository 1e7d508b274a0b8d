//! One file for each kind.
//!
//! # How to add a kind
//!
//! Say, `PodDisruptionBudget` of `policy/v1`:
//!
//! 1. Write `kinds/pod_disruption_budget.rs` with a `pub static KIND: Kind`. Names and scope come from Kubernetes' API
//!    reference; `Behaviour::of::<PodDisruptionBudget>()` takes the fields from the `k8s-openapi` struct and behaves like
//!    a kind without peculiarities, so that only what is special is written:
//!
//!    ```text
//!    pub static KIND: Kind = Kind {
//!        group: "policy",
//!        version: "v1",
//!        kind: "PodDisruptionBudget",
//!        list_kind: "PodDisruptionBudgetList",
//!        plural: "poddisruptionbudgets",
//!        singular: "poddisruptionbudget",
//!        short_names: &["pdb"],
//!        categories: &[],
//!        namespaced: true,
//!        status: true,
//!        scale: false,
//!        columns: &[Column::NAME, Column::string("Min Available", "…"), Column::AGE],
//!        selectable_fields: &[],
//!        merge_rules: &[Rules { prefix: "status", rules: &[("conditions", by("type"))] }],
//!        behaviour: Behaviour { counts_generation: true, validate, cells, ..Behaviour::of::<PodDisruptionBudget>() },
//!    };
//!    ```
//! 2. `default` fills in what `SetDefaults_PodDisruptionBudget` does; it must be idempotent. `validate` gives
//!    Kubernetes' complaints word for word, `validate_update` what may not change, `cells` one cell for each column.
//!    A list that Kubernetes marks with `patchMergeKey` gets a merge rule.
//! 3. Add it below and to [`crate::registry`]. Discovery, REST, gRPC, caches and the command line find it there.
//! 4. Test it as `deployment/tests.rs` does: defaults, complaints, rows.

pub mod config_map;
pub mod deployment;
pub mod endpoint_slice;
pub mod event;
pub mod lease;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod replica_set;
pub mod secret;
pub mod service;
pub mod service_account;

mod check;
mod resources;
mod workload;
