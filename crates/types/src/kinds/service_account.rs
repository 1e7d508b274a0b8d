//! ServiceAccount: whom a pod acts as.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use serde_json::{Value, json};

use crate::json::items;
use crate::kind::{Behaviour, Kind, Served};
use crate::merge::{Rules, by};
use crate::table::{self, Column};

pub static KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ServiceAccount",
    list_kind: "ServiceAccountList",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    categories: &[],
    namespaced: true,
    status: false,
    scale: false,
    approval: false,
    served: Served::Stored,
    columns: &[
        Column::NAME,
        Column::string(
            "Secrets",
            "Secrets is a list of the secrets in the same namespace that pods running using this ServiceAccount are allowed to use.",
        ),
        Column::AGE,
    ],
    selectable_fields: &[],
    merge_rules: &[Rules { prefix: "", rules: &[("secrets", by("name"))] }],
    behaviour: Behaviour { cells, ..Behaviour::of::<ServiceAccount>() },
};

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let count = items(&object["secrets"]).count();
    vec![table::name(object), json!(count), table::object_age(object, now)]
}
