//! The containers of a pod, whichever list they are in.

use std::borrow::Cow;
use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod};

/// The container of this name.
pub(crate) fn named<'a>(pod: &'a Pod, name: &str) -> Option<Cow<'a, Container>> {
    let spec = pod.spec.as_ref()?;
    let mut lasting = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    if let Some(container) = lasting.find(|container| container.name == name) {
        return Some(Cow::Borrowed(container));
    }
    ephemeral(pod).find(|container| container.name == name).map(|container| Cow::Owned(like_others(container)))
}

/// All but those that were added for debugging, by name.
pub(crate) fn lasting(pod: &Pod) -> HashMap<&str, &Container> {
    let spec = pod.spec.iter();
    let lasting = spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    lasting.map(|container| (container.name.as_str(), container)).collect()
}

/// The image of each container, by name.
pub(crate) fn images(pod: &Pod) -> HashMap<&str, &str> {
    let lasting = lasting(pod).into_iter().map(|(name, container)| (name, container.image.as_deref()));
    let added = ephemeral(pod).map(|container| (container.name.as_str(), container.image.as_deref()));
    lasting.chain(added).map(|(name, image)| (name, image.unwrap_or_default())).collect()
}

/// Those that were added for debugging.
pub(crate) fn ephemeral(pod: &Pod) -> impl Iterator<Item = &EphemeralContainer> {
    pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten())
}

/// What matters of it to those who run it.
fn like_others(container: &EphemeralContainer) -> Container {
    Container {
        name: container.name.clone(),
        image: container.image.clone(),
        command: container.command.clone(),
        args: container.args.clone(),
        env: container.env.clone(),
        env_from: container.env_from.clone(),
        stdin: container.stdin,
        tty: container.tty,
        ..Container::default()
    }
}
