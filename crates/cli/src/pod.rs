//! The pod that is meant by a name, or by something that has pods.

use keelson_client::ListOptions;
use serde_json::Value;

use crate::Error;
use crate::commands::logs::selector_of;
use crate::context::{Context, resource};
use crate::render::text;
use crate::target::{self, display};

/// Reads a pod by its name, or one of those that a KIND/NAME selects.
pub(crate) async fn find(name: &str, context: &mut Context) -> Result<Value, Error> {
    let (object, pod) = find_with(name, context).await?;
    Ok(pod.unwrap_or(object))
}

/// The object that is named and, when that is no pod, one of its pods.
pub(crate) async fn find_with(name: &str, context: &mut Context) -> Result<(Value, Option<Value>), Error> {
    let pods = target::by_name("pods")?;
    let namespace = context.namespace_for(pods, false)?;
    let raw = context.raw()?;
    let (kind, name) = match name.contains('/') {
        true => target::parse_one(&[name.to_owned()], context).await?,
        false => (pods, name.to_owned()),
    };
    let object = raw.get(&resource(kind).object(&*namespace, &name)).await?;
    if std::ptr::eq(kind, pods) {
        return Ok((object, None));
    }
    let shown = display(kind, &name);
    let selector = selector_of(&object).ok_or_else(|| Error::Usage(format!("{shown} has no pods")))?;
    let list = raw.list(&resource(pods).object(&*namespace, ""), &ListOptions::default().labels(selector)).await?;
    // A running pod says more than one that waits.
    let mut found = list.items;
    found.sort_by_key(|pod| (pod["status"]["phase"] != "Running", text(&pod["metadata"]["creationTimestamp"])));
    let count = found.len();
    let pod = found.into_iter().next().ok_or_else(|| Error::Failed(format!("{shown} has no pods now")))?;
    if count > 1 {
        context.note(format!("Found {count} pods, showing pod/{}", text(&pod["metadata"]["name"])));
    }
    Ok((object, Some(pod)))
}
