//! A container's environment: its own variables, and those that ConfigMaps and Secrets give it. What is missing and not
//! optional keeps the container from starting.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, EnvVar, Pod, Secret, Volume};
use keelson_client::Client;
use keelson_types::meta;

use crate::containers::named;
use crate::runtime::Variable;

/// Whether the container, or a volume of its pod, refers to another object.
pub fn needs_lookup(pod: &Pod, name: &str) -> bool {
    named(pod, name).is_some_and(|container| {
        container.env_from.as_ref().is_some_and(|sources| !sources.is_empty())
            || container.env.iter().flatten().any(|variable| {
                let source = variable.value_from.as_ref();
                source.is_some_and(|source| source.config_map_key_ref.is_some() || source.secret_key_ref.is_some())
            })
    }) || volumes(pod).iter().any(|volume| volume.config_map.is_some() || volume.secret.is_some())
}

/// The variables whose values stand in the pod.
pub fn literal(pod: &Pod, name: &str) -> Vec<Variable> {
    let Some(container) = named(pod, name) else { return Vec::new() };
    container.env.iter().flatten().filter_map(|variable| own(pod, variable)).collect()
}

/// All variables, later ones winning over earlier ones of the same name, as Kubernetes has it.
///
/// # Errors
/// Says what is missing, as Kubernetes words it.
pub async fn resolve(client: &Client, pod: &Pod, name: &str) -> Result<Vec<Variable>, String> {
    let mut found: BTreeMap<String, Variable> = BTreeMap::new();
    let lookup = Lookup { client, namespace: meta::namespace(pod) };
    for volume in volumes(pod) {
        if let Some(source) = &volume.config_map {
            lookup.config_map(&source.name, source.optional).await?;
        }
        if let Some(source) = &volume.secret {
            lookup.secret(source.secret_name.as_deref().unwrap_or_default(), source.optional).await?;
        }
    }
    let Some(container) = named(pod, name) else { return Ok(Vec::new()) };
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let (values, secret) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(from), _) => (lookup.config_map(&from.name, from.optional).await?, false),
            (None, Some(from)) => (lookup.secret(&from.name, from.optional).await?, true),
            (None, None) => continue,
        };
        for (key, value) in values {
            let name = format!("{prefix}{key}");
            found.insert(name.clone(), Variable { name, value, secret });
        }
    }
    for variable in container.env.iter().flatten() {
        let source = variable.value_from.as_ref();
        let from_config_map = source.and_then(|source| source.config_map_key_ref.as_ref());
        let from_secret = source.and_then(|source| source.secret_key_ref.as_ref());
        let value = if let Some(from) = from_config_map {
            let values = lookup.config_map(&from.name, from.optional).await?;
            pick(&values, &from.key, from.optional, "ConfigMap", lookup.namespace, &from.name)?
        } else if let Some(from) = from_secret {
            let values = lookup.secret(&from.name, from.optional).await?;
            pick(&values, &from.key, from.optional, "Secret", lookup.namespace, &from.name)?
        } else {
            own(pod, variable).map(|variable| variable.value)
        };
        if let Some(value) = value {
            let name = variable.name.clone();
            found.insert(name.clone(), Variable { name, value, secret: from_secret.is_some() });
        }
    }
    Ok(found.into_values().collect())
}

fn volumes(pod: &Pod) -> &[Volume] {
    pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
}

/// A variable's own value, or the field of the pod that it names.
fn own(pod: &Pod, variable: &EnvVar) -> Option<Variable> {
    let field = variable.value_from.as_ref().and_then(|source| source.field_ref.as_ref());
    let value = match field.map(|field| field.field_path.as_str()) {
        Some("metadata.name") => meta::name(pod).to_owned(),
        Some("metadata.namespace") => meta::namespace(pod).to_owned(),
        Some("metadata.uid") => meta::uid(pod).to_owned(),
        Some("spec.nodeName") => keelson_types::pods::node_name(pod).to_owned(),
        Some(_) => return None,
        None if variable.value_from.is_some() => return None,
        None => variable.value.clone().unwrap_or_default(),
    };
    Some(Variable { name: variable.name.clone(), value, secret: false })
}

fn pick(
    values: &BTreeMap<String, String>,
    key: &str,
    optional: Option<bool>,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Result<Option<String>, String> {
    match values.get(key) {
        Some(value) => Ok(Some(value.clone())),
        None if optional == Some(true) => Ok(None),
        None => Err(format!("couldn't find key {key} in {kind} {namespace}/{name}")),
    }
}

struct Lookup<'a> {
    client: &'a Client,
    namespace: &'a str,
}

impl Lookup<'_> {
    async fn config_map(&self, name: &str, optional: Option<bool>) -> Result<BTreeMap<String, String>, String> {
        match self.client.get_opt::<ConfigMap>(self.namespace, name).await {
            Ok(Some(found)) => Ok(found.data.unwrap_or_default()),
            Ok(None) if optional == Some(true) => Ok(BTreeMap::new()),
            Ok(None) => Err(format!("configmap {name:?} not found")),
            Err(error) => Err(format!("cannot read configmap {name:?}: {error}")),
        }
    }

    async fn secret(&self, name: &str, optional: Option<bool>) -> Result<BTreeMap<String, String>, String> {
        let text = |bytes: k8s_openapi::ByteString| String::from_utf8_lossy(&bytes.0).into_owned();
        match self.client.get_opt::<Secret>(self.namespace, name).await {
            Ok(Some(found)) => {
                Ok(found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, text(value))).collect())
            }
            Ok(None) if optional == Some(true) => Ok(BTreeMap::new()),
            Ok(None) => Err(format!("secret {name:?} not found")),
            Err(error) => Err(format!("cannot read secret {name:?}: {error}")),
        }
    }
}
