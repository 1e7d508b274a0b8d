//! What the system adds to a new object or refuses about it, beyond what its kind alone can say.

use keelson_types::status::{Cause, Status};
use keelson_types::{Kind, field};
use serde_json::{Value, json};

use super::plan::{Guard, Planner};
use super::request::Target;
use crate::custom::{self, DEFINITIONS_MAX, Served};
use crate::keys;
use crate::value;

/// Namespaces without which the system does not work.
pub const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
/// Of these, the ones that may not be deleted, as in Kubernetes.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The account of pods that name none.
const DEFAULT_ACCOUNT: &str = "default";

impl Planner<'_> {
    /// The namespace of a new object must exist and stay: the write is guarded by it.
    pub(super) fn admit_namespace(&self, target: &Target, name: &str) -> Result<Option<Guard>, Status> {
        if !target.kind.namespaced {
            return Ok(None);
        }
        let namespace = target.namespace.as_str();
        let found = self.cached(self.kinds.namespaces, "", namespace)?;
        let object = found.value().map_err(Status::internal)?;
        if value::is_deleting(&object) {
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            let mut status = Status::forbidden(target.kind.group, target.kind.plural, name, &why);
            if let Some(details) = &mut status.details {
                details.causes.push(Cause {
                    reason: "NamespaceTerminating".to_owned(),
                    message: format!("namespace {namespace} is being terminated"),
                    field: "metadata.namespace".to_owned(),
                });
            }
            return Err(status);
        }
        Ok(Some(Guard::unmodified(keys::object(self.kinds.namespaces, namespace), found.revision())))
    }

    /// An object of a kind that users define needs its definition, which must stay: the write is guarded by it, so that nothing
    /// is created behind the cleanup of a definition that is deleted.
    pub(super) fn admit_defined(&self, target: &Target) -> Result<Option<Guard>, Status> {
        let kind = target.kind;
        if std::ptr::eq(kind, self.kinds.definitions) {
            let (definitions, _) = self.caches.snapshot(kind);
            // Those of the same batch are in no cache yet. Nobody allocates below this prefix.
            let prefix = keys::prefix(kind);
            let mut taken = self.taken.lock();
            let earlier = taken.iter().filter(|key| key.starts_with(&prefix)).count();
            taken.insert(format!("{prefix}{earlier}"));
            if definitions.len() + earlier >= DEFINITIONS_MAX {
                let why = format!("there are {DEFINITIONS_MAX} CustomResourceDefinitions, and no more are served");
                return Err(Status::forbidden(kind.group, kind.plural, &target.name, &why));
            }
        }
        // One snapshot says all: what is guarded is what was looked at.
        let served = self.caches.served();
        if served.resource(kind).is_some_and(|resource| resource.terminating) {
            let mut status = Status::method_not_allowed();
            status.message = "create not allowed while custom resource definition is terminating".to_owned();
            return Err(status);
        }
        self.defined_in(&served, kind)
    }

    /// What an object is written by that a user's definition says the kind of: the definition must still be the one that this
    /// member knows when the object is written, so that a member that lags does not let through what is no longer allowed.
    pub(super) fn defined(&self, kind: &'static Kind) -> Result<Option<Guard>, Status> {
        self.defined_in(&self.caches.served(), kind)
    }

    /// One snapshot says both: that this very schema is in force, and since when.
    fn defined_in(&self, served: &Served, kind: &'static Kind) -> Result<Option<Guard>, Status> {
        if !kind.is_custom() {
            return Ok(None);
        }
        let resource = served.resource(kind).filter(|_| served.serves(kind));
        let revision = resource.ok_or_else(|| super::plan::redefined(kind))?.revision;
        let key = keys::object(self.kinds.definitions, &format!("{}.{}", kind.plural, kind.group));
        Ok(Some(Guard::unmodified(key, revision)))
    }

    /// Checks the schemas of a definition and the expressions of other kinds, but those that did not change: what was good once
    /// stays so.
    pub(super) fn check_definition(
        &self,
        kind: &'static Kind,
        new: &Value,
        old: Option<&Value>,
        errors: &mut Vec<field::Error>,
    ) {
        if std::ptr::eq(kind, self.kinds.definitions) {
            custom::check(new, old, errors);
        }
        if !kind.is_custom() {
            super::expressions::check(kind, new, old, errors);
        }
    }

    /// Fills in what depends on the cluster.
    ///
    /// # Errors
    /// Forbidden for what the cluster does not have.
    pub(super) fn admit_create(&self, target: &Target, object: &mut Value) -> Result<(), Status> {
        if std::ptr::eq(target.kind, self.kinds.pods) {
            self.admit_priority(target, object)?;
            self.admit_runtime_class(target, object)?;
            self.admit_account(target, object)?;
            self.admit_pod(object);
        }
        match target.kind.kind {
            // Users may call their kinds as they like.
            _ if target.kind.is_custom() => {}
            "PersistentVolumeClaim" => self.admit_storage_class(object),
            "Ingress" => self.admit_ingress_class(object),
            _ => {}
        }
        if std::ptr::eq(target.kind, self.kinds.namespaces) {
            admit_new_namespace(object);
        }
        Ok(())
    }

    /// A pod gets the priority of its class; one that names none, that of the default class, or none without such a class.
    ///
    /// # Errors
    /// Forbidden for a class that is not there, and for a priority that is not the one of the class.
    fn admit_priority(&self, target: &Target, pod: &mut Value) -> Result<(), Status> {
        let kind = target.kind;
        let name = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
        let class = if name.is_empty() {
            self.first(self.kinds.priority_classes, |class| class["globalDefault"] == true)
        } else {
            let Ok(found) = self.cached(self.kinds.priority_classes, "", &name) else {
                let why = format!("no PriorityClass with name {name} was found");
                return Err(Status::forbidden(kind.group, kind.plural, &target.name, &why));
            };
            found.value().ok()
        };
        let (value, policy) = match &class {
            Some(class) => (class["value"].as_i64().unwrap_or(0), class["preemptionPolicy"].clone()),
            None => (0, "PreemptLowerPriority".into()),
        };
        let Some(spec) = value::map(pod, "spec") else { return Ok(()) };
        // Whoever makes pods must not put them before those of others: the classes say who may.
        let refused = |given: String, computed: String| {
            let why = format!(
                "the {given} must not be provided in pod spec; priority admission controller computed {computed} from the \
                 given PriorityClass name"
            );
            Status::forbidden(kind.group, kind.plural, &target.name, &why)
        };
        if let Some(given) = spec.get("priority").and_then(Value::as_i64).filter(|given| *given != value) {
            return Err(refused(format!("integer value of priority ({given})"), value.to_string()));
        }
        if let Some(given) = spec.get("preemptionPolicy").and_then(Value::as_str).filter(|given| policy != *given) {
            let computed = policy.as_str().unwrap_or_default();
            return Err(refused(format!("string value of PreemptionPolicy ({given})"), computed.to_owned()));
        }
        if let Some(class) = class {
            spec.insert("priorityClassName".to_owned(), class["metadata"]["name"].clone());
        }
        spec.insert("priority".to_owned(), value.into());
        spec.insert("preemptionPolicy".to_owned(), policy);
        Ok(())
    }

    /// The class of the runtime that runs a pod must be there, and says what the pod costs beside its containers and where it
    /// can run.
    ///
    /// # Errors
    /// Forbidden for a class that is not there, and for a pod that contradicts it.
    fn admit_runtime_class(&self, target: &Target, pod: &mut Value) -> Result<(), Status> {
        let kind = target.kind;
        let own = value::metadata_text(pod, "name").to_owned();
        let refused = |why: &str| Err(Status::forbidden(kind.group, kind.plural, &own, why));
        let name = pod["spec"]["runtimeClassName"].as_str().unwrap_or_default().to_owned();
        let class = if name.is_empty() {
            Value::Null
        } else {
            match self.cached(self.kinds.runtime_classes, "", &name).map(|found| found.value()) {
                Ok(Ok(class)) => class,
                _ => return refused(&format!("pod rejected: RuntimeClass {name:?} not found")),
            }
        };
        let (given, fixed) = (&pod["spec"]["overhead"], &class["overhead"]["podFixed"]);
        let some = |amounts: &Value| amounts.as_object().is_some_and(|amounts| !amounts.is_empty());
        match (some(given), some(fixed)) {
            (true, false) => {
                let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                return refused(why);
            }
            (true, true) if given != fixed => {
                return refused("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
            }
            _ => {}
        }
        let Some(spec) = value::map(pod, "spec").filter(|_| class.is_object()) else { return Ok(()) };
        if some(fixed) {
            spec.insert("overhead".to_owned(), fixed.clone());
        }
        for (label, wanted) in class["scheduling"]["nodeSelector"].as_object().into_iter().flatten() {
            let selector = spec.entry("nodeSelector").or_insert_with(|| json!({}));
            let Some(selector) = selector.as_object_mut() else { continue };
            if selector.get(label).is_some_and(|own| own != wanted) {
                return refused("conflict: runtimeClass.scheduling.nodeSelector and pod.spec.nodeSelector differ");
            }
            selector.insert(label.clone(), wanted.clone());
        }
        for toleration in class["scheduling"]["tolerations"].as_array().into_iter().flatten() {
            let own = spec.entry("tolerations").or_insert_with(|| json!([]));
            if let Some(own) = own.as_array_mut().filter(|own| !own.contains(toleration)) {
                own.push(toleration.clone());
            }
        }
        Ok(())
    }

    /// The account that a pod names must be there. The default one is made for each namespace, and may come after its pods.
    ///
    /// # Errors
    /// Forbidden.
    fn admit_account(&self, target: &Target, pod: &Value) -> Result<(), Status> {
        let kind = target.kind;
        let named = |field: &str| pod["spec"][field].as_str().filter(|name| !name.is_empty());
        let name = named("serviceAccountName").or_else(|| named("serviceAccount")).unwrap_or(DEFAULT_ACCOUNT);
        let is_static = pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string();
        let namespace = &target.namespace;
        if name == DEFAULT_ACCOUNT || is_static || self.cached(self.kinds.accounts, namespace, name).is_ok() {
            return Ok(());
        }
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        Err(Status::forbidden(kind.group, kind.plural, value::metadata_text(pod, "name"), &why))
    }

    /// A claim that leaves its class open gets the default one. An empty name is a choice.
    fn admit_storage_class(&self, claim: &mut Value) {
        let annotated = !claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].is_null();
        if annotated || !claim["spec"]["storageClassName"].is_null() {
            return;
        }
        let is_default = keelson_types::kinds::storage_class::is_default;
        if let (Some(class), Some(spec)) =
            (self.first(self.kinds.storage_classes, is_default), value::map(claim, "spec"))
        {
            spec.insert("storageClassName".to_owned(), class["metadata"]["name"].clone());
        }
    }

    /// The same for an Ingress.
    fn admit_ingress_class(&self, ingress: &mut Value) {
        const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
        let annotated = !ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"].is_null();
        if annotated || !ingress["spec"]["ingressClassName"].is_null() {
            return;
        }
        let is_default = |class: &Value| class["metadata"]["annotations"][DEFAULT] == "true";
        if let (Some(class), Some(spec)) =
            (self.first(self.kinds.ingress_classes, is_default), value::map(ingress, "spec"))
        {
            spec.insert("ingressClassName".to_owned(), class["metadata"]["name"].clone());
        }
    }

    /// The newest of the objects of a cluster-scoped kind that are as wanted, by name where they are of the same second.
    fn first(&self, kind: &'static Kind, is_wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let (objects, _) = self.caches.snapshot(kind);
        let values = objects.iter().filter_map(|(_, object)| object.value().ok());
        let time = |object: &Value| object["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
        let mut wanted: Vec<Value> = values.filter(is_wanted).collect();
        // They are in the order of their names, and the order stays where times are equal.
        wanted.sort_by_key(|object| std::cmp::Reverse(time(object)));
        wanted.into_iter().next()
    }

    fn admit_pod(&self, pod: &mut Value) {
        let Some(spec) = value::map(pod, "spec") else { return };
        let account = spec.get("serviceAccountName").or_else(|| spec.get("serviceAccount")).and_then(Value::as_str);
        let account = account.filter(|account| !account.is_empty()).unwrap_or(DEFAULT_ACCOUNT).to_owned();
        spec.insert("serviceAccountName".to_owned(), account.clone().into());
        spec.insert("serviceAccount".to_owned(), account.into());
        let Some(seconds) = self.settings.default_toleration_seconds else { return };
        let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
        let Some(tolerations) = tolerations.as_array_mut() else { return };
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let tolerated = tolerations.iter().any(|toleration| {
                let own = toleration["key"].as_str().unwrap_or_default();
                let effect = toleration["effect"].as_str().unwrap_or_default();
                (own == key || own.is_empty()) && (effect == "NoExecute" || effect.is_empty())
            });
            if !tolerated {
                tolerations.push(json!({
                    "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds,
                }));
            }
        }
    }
}

fn admit_new_namespace(namespace: &mut Value) {
    let name = value::metadata_text(namespace, "name").to_owned();
    if let Some(metadata) = value::map(namespace, "metadata") {
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
        }
    }
    if let Some(spec) = value::map(namespace, "spec") {
        spec.insert("finalizers".to_owned(), json!(["kubernetes"]));
    }
    if let Some(status) = value::map(namespace, "status") {
        status.insert("phase".to_owned(), "Active".into());
    }
}

/// # Errors
/// Forbidden for a namespace that the system lives in.
pub fn admit_delete(target: &Target) -> Result<(), Status> {
    let kind = target.kind;
    if kind.group.is_empty() && kind.plural == "namespaces" && IMMORTAL.contains(&target.name.as_str()) {
        return Err(Status::forbidden(kind.group, kind.plural, &target.name, "this namespace may not be deleted"));
    }
    Ok(())
}
