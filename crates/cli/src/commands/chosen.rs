//! The objects that a command changes, named or selected, one after the other.

use keelson_client::{ListOptions, ObjectName};
use keelson_types::Kind;
use serde_json::Value;

use super::Selection;
use crate::Error;
use crate::context::{Context, resource};
use crate::target::{self, display};

/// An object as it is now.
pub(super) struct Chosen {
    pub kind: &'static Kind,
    pub name: ObjectName,
    pub object: Value,
    pub shown: String,
}

/// Reads the objects that are named, or all that a selection chooses.
pub(super) async fn objects(
    resources: &[String],
    selection: &Selection,
    all: bool,
    context: &mut Context,
) -> Result<Vec<Chosen>, Error> {
    let mut chosen = Vec::new();
    for target in target::parse(resources, context).await? {
        let namespace = context.namespace_for(target.kind, false)?;
        let raw = context.raw()?;
        let selects = all || !selection.selector.is_empty();
        match (target.names.is_empty(), selects) {
            (false, true) => return Err(Error::Usage("a name and a selection exclude each other".to_owned())),
            (true, false) => {
                let plural = target.kind.plural;
                return Err(Error::Usage(format!("say which {plural}: names, -l LABELS, or --all")));
            }
            (true, true) => {
                let options = ListOptions::default().labels(&*selection.selector);
                let list = raw.list(&resource(target.kind).object(&*namespace, ""), &options).await?;
                for object in list.items {
                    chosen.push(Chosen::new(target.kind, &namespace, object));
                }
            }
            (false, false) => {
                for name in &target.names {
                    let object = raw.get(&resource(target.kind).object(&*namespace, name)).await?;
                    chosen.push(Chosen::new(target.kind, &namespace, object));
                }
            }
        }
    }
    Ok(chosen)
}

impl Chosen {
    fn new(kind: &'static Kind, namespace: &str, object: Value) -> Chosen {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let shown = display(kind, &name);
        Chosen { kind, name: resource(kind).object(namespace, name), object, shown }
    }
}
