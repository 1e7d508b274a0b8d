//! The kinds that the pipeline itself knows.

use keelson_types::status::Status;
use keelson_types::{Kind, registry};

/// By what they are to the pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    pub namespaces: &'static Kind,
    pub pods: &'static Kind,
    pub nodes: &'static Kind,
    pub components: &'static Kind,
    pub services: &'static Kind,
    pub endpoints: &'static Kind,
    pub endpoint_slices: &'static Kind,
    pub events: &'static Kind,
    pub budgets: &'static Kind,
    pub storage_classes: &'static Kind,
    pub priority_classes: &'static Kind,
    pub ingress_classes: &'static Kind,
    pub runtime_classes: &'static Kind,
    pub accounts: &'static Kind,
    pub definitions: &'static Kind,
}

impl Kinds {
    /// # Errors
    /// Internal, when one of them is not registered.
    pub fn find() -> Result<Kinds, Status> {
        let of =
            |group, name| registry::by_resource(group, name).ok_or_else(|| Status::internal(format!("no kind {name}")));
        let kind = |name| of("", name);
        Ok(Kinds {
            namespaces: kind("namespaces")?,
            pods: kind("pods")?,
            nodes: kind("nodes")?,
            components: kind("componentstatuses")?,
            services: kind("services")?,
            endpoints: kind("endpoints")?,
            endpoint_slices: of("discovery.k8s.io", "endpointslices")?,
            events: kind("events")?,
            budgets: of("policy", "poddisruptionbudgets")?,
            storage_classes: of("storage.k8s.io", "storageclasses")?,
            priority_classes: of("scheduling.k8s.io", "priorityclasses")?,
            ingress_classes: of("networking.k8s.io", "ingressclasses")?,
            runtime_classes: of("node.k8s.io", "runtimeclasses")?,
            accounts: kind("serviceaccounts")?,
            definitions: &keelson_types::kinds::custom_resource_definition::KIND,
        })
    }

    /// Whether other requests are decided by objects of this kind without being guarded by them.
    pub fn decide_requests(&self, kind: &'static Kind) -> bool {
        let own = [
            self.budgets,
            self.storage_classes,
            self.priority_classes,
            self.ingress_classes,
            self.runtime_classes,
            self.accounts,
            self.definitions,
        ];
        kind.group == crate::rbac::GROUP || own.iter().any(|known| std::ptr::eq(*known, kind))
    }
}
