//! `logs`: what a container said.

use std::time::Duration;

use clap::Args;
use keelson_client::proto;
use serde_json::Value;

use crate::Error;
use crate::arguments::parse_duration;
use crate::context::Context;
use crate::pod;
use crate::render::{items, text};

const EXAMPLES: &str = "\
Examples:
  keelctl logs web-1
  keelctl logs -f deployment/web --tail 20
  keelctl logs web-1 -c sidecar -p           the run before the last restart
  keelctl logs web-1 --since 10m --timestamps";

/// Show what a container wrote
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Logs {
    /// A pod, or KIND/NAME of something that has pods: one of them is chosen
    #[arg(value_name = "POD")]
    pod: String,

    /// Which container; the first one without it
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,

    /// Go on with what it writes
    #[arg(short, long)]
    follow: bool,

    /// The run before the current one
    #[arg(short, long)]
    previous: bool,

    /// Only the last so many lines
    #[arg(long, value_name = "LINES", allow_hyphen_values = true)]
    tail: Option<i64>,

    /// Begin each line with its time
    #[arg(long)]
    timestamps: bool,

    /// Only what is younger: 30s, 10m, 2h
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    since: Option<Duration>,

    /// At most so many bytes
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<i64>,
}

impl Logs {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let pod = pod::find(&self.pod, context).await?;
        let container = match &self.container {
            Some(container) => container.clone(),
            None => {
                let (container, others) = choose_container(&pod);
                if others > 0 {
                    context.note(format!("Showing container {container:?}; -c chooses one of {others} others."));
                }
                container
            }
        };
        let request = proto::LogsRequest {
            namespace: text(&pod["metadata"]["namespace"]),
            pod: text(&pod["metadata"]["name"]),
            container,
            follow: self.follow,
            previous: self.previous,
            // As with kubectl, -1 means all.
            tail_lines: self.tail.filter(|lines| *lines >= 0),
            timestamps: self.timestamps,
            since_seconds: self.since.map(|since| i64::try_from(since.as_secs().max(1)).unwrap_or(i64::MAX)),
            limit_bytes: self.limit_bytes,
            ..proto::LogsRequest::default()
        };
        let mut stream = context.client()?.pods_logs(request).await?;
        while let Some(data) = stream.next().await? {
            context.bytes(&data)?;
        }
        Ok(())
    }
}

/// The text of an object's selector; absent when it has none.
pub(crate) fn selector_of(object: &Value) -> Option<String> {
    let selector = &object["spec"]["selector"];
    let equal = |map: &Value| -> Vec<String> {
        map.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", text(value))).collect()
    };
    let mut terms = equal(&selector["matchLabels"]);
    for expression in items(&selector["matchExpressions"]) {
        let key = text(&expression["key"]);
        let values: Vec<String> = items(&expression["values"]).iter().map(text).collect();
        terms.push(match text(&expression["operator"]).as_str() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key,
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    // A service's selector is the map itself.
    if terms.is_empty() && selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none() {
        terms = equal(selector);
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

/// The container that the pod itself recommends, or its first; and how many others there are.
pub(crate) fn choose_container(pod: &Value) -> (String, usize) {
    let containers = items(&pod["spec"]["containers"]);
    let names: Vec<String> = containers.iter().map(|container| text(&container["name"])).collect();
    let recommended = text(&pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"]);
    let chosen = names.iter().find(|name| **name == recommended).or(names.first()).cloned().unwrap_or_default();
    (chosen, names.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_become_text() {
        let of = |selector: Value| selector_of(&json!({"spec": {"selector": selector}}));
        assert_eq!(of(json!({"matchLabels": {"app": "web", "tier": "a"}})).as_deref(), Some("app=web,tier=a"));
        assert_eq!(of(json!({"app": "web"})).as_deref(), Some("app=web"));
        let expressions = json!({"matchExpressions": [
            {"key": "a", "operator": "In", "values": ["x", "y"]}, {"key": "b", "operator": "DoesNotExist"}]});
        assert_eq!(of(expressions).as_deref(), Some("a in (x,y),!b"));
        assert_eq!(of(Value::Null), None);
        assert_eq!(of(json!({})), None);
    }

    #[test]
    fn the_recommended_container_is_shown_first() {
        let mut pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "metadata": {"annotations": {}}});
        assert_eq!(choose_container(&pod), ("a".to_owned(), 1));
        pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = "b".into();
        assert_eq!(choose_container(&pod), ("b".to_owned(), 1));
    }
}
