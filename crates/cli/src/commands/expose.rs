//! `expose`: a service for what has pods.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::context::{Context, resource};
use crate::render::{items, text};
use crate::target;

const EXAMPLES: &str = "\
Examples:
  keelctl expose deployment/web --port 80 --target-port 8080
  keelctl expose pod/web-1 --name front --port 80 --type NodePort";

/// Make a service for an object's pods
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Expose {
    /// KIND/NAME, or KIND NAME: a pod, a service, or something that makes pods
    #[arg(required = true, value_name = "KIND")]
    resources: Vec<String>,

    /// The service's port; the ports of the object without it
    #[arg(long)]
    port: Option<u16>,

    /// The pods' port, a number or a name; as --port without it
    #[arg(long, value_name = "PORT")]
    target_port: Option<String>,

    #[arg(long, default_value = "TCP", value_parser = ["TCP", "UDP", "SCTP"])]
    protocol: String,

    /// The service's name; that of the object without it
    #[arg(long)]
    name: Option<String>,

    #[arg(long = "type", default_value = "ClusterIP", value_parser = ["ClusterIP", "NodePort", "LoadBalancer"])]
    kind: String,
}

impl Expose {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let (kind, name) = target::parse_one(&self.resources, context).await?;
        let namespace = context.namespace_for(kind, false)?;
        let object = context.raw()?.get(&resource(kind).object(&*namespace, &name)).await?;
        let service_name = self.name.clone().unwrap_or(name);
        let selector = selector(&object)?;
        let ports = self.ports(&object)?;
        let mut metadata = json!({"name": service_name});
        if let Some(labels) = object["metadata"].get("labels") {
            metadata["labels"] = labels.clone();
        }
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": selector, "ports": ports, "type": self.kind},
        });
        let place = resource(target::by_name("services")?).object(namespace, &*service_name);
        let created = context.raw()?.create(&place, &service).await?;
        context.warn(&created.warnings);
        context.line(format!("service/{service_name} exposed"))
    }

    fn ports(&self, object: &Value) -> Result<Vec<Value>, Error> {
        let own = || -> Vec<Value> {
            let spec = if object["spec"]["template"].is_object() {
                &object["spec"]["template"]["spec"]
            } else {
                &object["spec"]
            };
            let containers = items(&spec["containers"]).iter().flat_map(|container| items(&container["ports"]));
            containers.map(|port| port["containerPort"].clone()).filter(|port| !port.is_null()).collect()
        };
        let ports = self.port.map_or_else(own, |port| vec![port.into()]);
        if ports.is_empty() {
            return Err(Error::Failed("couldn't find port via --port flag or introspection".to_owned()));
        }
        let several = ports.len() > 1;
        let port = ports.into_iter().enumerate().map(|(index, port)| {
            let target = match &self.target_port {
                Some(target) => target.parse::<u16>().map_or_else(|_| target.as_str().into(), Value::from),
                None => port.clone(),
            };
            let mut made = json!({"port": port, "protocol": self.protocol, "targetPort": target});
            if several {
                made["name"] = format!("port-{}", index + 1).into();
            }
            made
        });
        Ok(port.collect())
    }
}

/// What the service selects pods by.
fn selector(object: &Value) -> Result<Map<String, Value>, Error> {
    let own = &object["spec"]["selector"];
    let found = match object["kind"].as_str() {
        Some("Pod") => &object["metadata"]["labels"],
        Some("Service") => own,
        _ if items(&own["matchExpressions"]).is_empty() => &own["matchLabels"],
        _ => {
            return Err(Error::Failed("couldn't convert expressions of its selector to a map of labels".to_owned()));
        }
    };
    let map = found.as_object().filter(|map| !map.is_empty()).cloned();
    map.ok_or_else(|| {
        Error::Failed(format!("{} has no labels to select its pods by", text(&object["metadata"]["name"])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selector_is_that_of_the_pods() {
        let of = |object: Value| selector(&object).map(Value::from).ok();
        assert_eq!(of(json!({"kind": "Pod", "metadata": {"labels": {"a": "b"}}})), Some(json!({"a": "b"})));
        assert_eq!(
            of(json!({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"a": "b"}}}})),
            Some(json!({"a": "b"}))
        );
        assert_eq!(of(json!({"kind": "Pod"})), None);
        assert_eq!(
            of(
                json!({"kind": "Deployment", "spec": {"selector": {"matchExpressions": [{}], "matchLabels": {"a": "b"}}}})
            ),
            None
        );
    }
}
