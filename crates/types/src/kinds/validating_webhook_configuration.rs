//! ValidatingWebhookConfiguration: who is asked before an object is written.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;

use super::webhooks;
use crate::kind::{Behaviour, Kind};
use crate::merge::{Rules, by};

pub static KIND: Kind = Kind {
    categories: &["api-extensions"],
    columns: webhooks::COLUMNS,
    merge_rules: &[Rules { prefix: "", rules: &[("webhooks", by("name"))] }],
    behaviour: Behaviour {
        counts_generation: true,
        default: |object| webhooks::default(object, false),
        validate: webhooks::validate,
        cells: webhooks::cells,
        ..Behaviour::of::<ValidatingWebhookConfiguration>()
    },
    ..Kind::cluster::<ValidatingWebhookConfiguration>("validatingwebhookconfiguration")
};
