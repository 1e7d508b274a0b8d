//! `describe`: everything about an object, for people.

mod node;
mod pod;
mod service;
mod workload;

use clap::Args;
use jiff::Timestamp;
use keelson_client::{ListOptions, Raw};
use keelson_types::Kind;
use serde_json::Value;

use super::{Selection, events};
use crate::Error;
use crate::context::{Context, resource};
use crate::render::describe::Section;
use crate::render::objects::yaml_text;
use crate::render::{items, text};
use crate::target;

pub(super) use pod::template as pod_template;

const EXAMPLES: &str = "\
Examples:
  keelctl describe pod web-1
  keelctl describe node/node-1
  keelctl describe deployments -l app=web";

/// Show everything about objects, with what happened to them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Describe {
    /// KIND [NAME…], or KIND/NAME…
    #[arg(required = true, value_name = "KIND")]
    resources: Vec<String>,

    #[command(flatten)]
    selection: Selection,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

impl Describe {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let mut first = true;
        for target in target::parse(&self.resources, context).await? {
            let namespace = context.namespace_for(target.kind, self.all_namespaces)?;
            let raw = context.raw()?;
            let objects = if target.names.is_empty() {
                let options = ListOptions::default().labels(&*self.selection.selector);
                raw.list(&resource(target.kind).object(&*namespace, ""), &options).await?.items
            } else {
                let mut objects = Vec::new();
                for name in &target.names {
                    match raw.get(&resource(target.kind).object(&*namespace, name)).await {
                        Ok(object) => objects.push(object),
                        Err(error) if error.is_not_found() => context.fail(&error.into()),
                        Err(error) => return Err(error.into()),
                    }
                }
                objects
            };
            for object in &objects {
                if !std::mem::take(&mut first) {
                    context.text("\n\n")?;
                }
                let text = describe(&raw, target.kind, object).await?;
                context.text(&text)?;
            }
        }
        if first && context.failed().is_none() {
            context.note("No resources found");
        }
        Ok(())
    }
}

/// Fetches what belongs to the object and lays everything out.
async fn describe(raw: &Raw, kind: &Kind, object: &Value) -> Result<String, Error> {
    let now = Timestamp::now();
    let mut section = match (kind.group, kind.kind) {
        ("", "Pod") => pod::describe(object),
        ("", "Node") => {
            let name = text(&object["metadata"]["name"]);
            let pods = target::by_name("pods")?;
            let options = ListOptions::default().fields(format!("spec.nodeName={name}"));
            let pods = raw.list(&resource(pods).object("", ""), &options).await?.items;
            let lease = resource(target::by_name("leases")?).object("kube-node-lease", name);
            let lease = match raw.get(&lease).await {
                Ok(lease) => Some(lease),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error.into()),
            };
            node::describe(object, lease.as_ref(), &pods, now)
        }
        ("", "Service") => {
            let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
            let slices = resource(target::by_name("endpointslices")?).object(namespace, "");
            let options = ListOptions::default().labels(format!("kubernetes.io/service-name={name}"));
            service::describe(object, &raw.list(&slices, &options).await?.items)
        }
        ("apps", "Deployment") => {
            workload::deployment(object, &super::rollout::history::replica_sets(raw, object).await?)
        }
        ("apps", "ReplicaSet") => workload::replica_set(object),
        _ => generic(kind, object)?,
    };
    // An event about an event says nothing.
    if (kind.group, kind.kind) != ("", "Event") {
        section.table("Events", events::of_object(raw, object, now).await?);
    }
    Ok(section.render())
}

/// Name, namespace, labels, annotations and age, which every object has.
fn head(object: &Value) -> Section {
    let metadata = &object["metadata"];
    let mut section = Section::new();
    section
        .field("Name", text(&metadata["name"]))
        .optional("Namespace", text(&metadata["namespace"]))
        .lines("Labels", map_lines(&metadata["labels"], '='))
        .lines("Annotations", map_lines(&metadata["annotations"], ':'))
        .field("Created", text(&metadata["creationTimestamp"]))
        .optional("Deleting since", text(&metadata["deletionTimestamp"]));
    section
}

/// A kind that has no layout of its own: its head, and the rest as it is. The values of secrets stay secret.
fn generic(kind: &Kind, object: &Value) -> Result<Section, Error> {
    let mut section = head(object);
    section.lines("Owned By", owners(object));
    for (name, value) in object.as_object().into_iter().flatten() {
        match (name.as_str(), kind.kind) {
            ("apiVersion" | "kind" | "metadata", _) => {}
            ("data" | "stringData", "Secret") => {
                let sizes = value.as_object().into_iter().flatten();
                let lines = sizes.map(|(key, value)| format!("{key}: {} bytes", secret_size(value)));
                section.lines("Data", lines.collect());
            }
            (name, _) => {
                let title = capitalized(name);
                match value {
                    Value::Object(_) | Value::Array(_) => {
                        section.lines(&title, yaml_text(value)?.lines().map(str::to_owned).collect());
                    }
                    scalar => {
                        section.field(&title, text(scalar));
                    }
                }
            }
        }
    }
    Ok(section)
}

/// `data` becomes `Data`.
fn capitalized(name: &str) -> String {
    let mut title = name.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

/// The length of what a base64 text holds.
fn secret_size(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// One line an entry; the configuration that apply keeps is left out.
fn map_lines(map: &Value, separator: char) -> Vec<String> {
    let gap = if separator == ':' { " " } else { "" };
    map.as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "kubectl.kubernetes.io/last-applied-configuration")
        .map(|(key, value)| format!("{key}{separator}{gap}{}", text(value)))
        .collect()
}

/// `ReplicaSet/web-5d9c`; the controlling owner first.
fn owners(object: &Value) -> Vec<String> {
    let mut owners: Vec<&Value> = items(&object["metadata"]["ownerReferences"]).iter().collect();
    owners.sort_by_key(|owner| owner["controller"] != true);
    owners.iter().map(|owner| format!("{}/{}", text(&owner["kind"]), text(&owner["name"]))).collect()
}

/// A table of conditions with these columns beside type and status.
fn conditions(object: &Value, columns: &[(&str, &str)]) -> crate::render::table::Table {
    let header = ["Type", "Status"].into_iter().chain(columns.iter().map(|(name, _)| *name));
    let mut table = crate::render::table::Table::new(header);
    for condition in items(&object["status"]["conditions"]) {
        let fields = ["type", "status"].into_iter().chain(columns.iter().map(|(_, field)| *field));
        table.row(fields.map(|field| text(&condition[field])));
    }
    table
}

#[cfg(test)]
mod tests {
    use keelson_types::registry;
    use serde_json::json;

    use super::*;

    #[test]
    fn any_kind_can_be_described_and_secrets_stay_secret() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "s", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "data": {"password": "aGVsbG8="}});
        let kind = registry::by_name("secrets").expect("it is a kind");
        assert_eq!(
            generic(kind, &secret).expect("it is laid out").render(),
            "\
Name:         s
Namespace:    default
Labels:       <none>
Annotations:  <none>
Created:      2026-01-01T00:00:00Z
Owned By:     <none>
Data:         password: 5 bytes
Type:         Opaque
"
        );
    }

    #[test]
    fn sizes_of_secrets_are_those_of_the_bytes() {
        for (text, size) in [("", 0), ("aGVsbG8=", 5), ("aGVsbA==", 4), ("aGVsbG8h", 6), ("=", 0)] {
            assert_eq!(secret_size(&json!(text)), size, "{text}");
        }
    }
}
