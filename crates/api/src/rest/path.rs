//! What a request's path means. Pure: a registry of kinds in, a [`Route`] out.
//!
//! ```text
//! /api/v1/…                                  the core group
//! /apis/<group>/<version>/…                  every other group
//!   <plural>                                 all objects of the kind, in all namespaces
//!   <plural>/<name>[/<subresource>]          one object of a cluster-scoped kind
//!   namespaces/<namespace>/<plural>[/<name>[/<subresource>]]
//! ```

use keelson_types::Kind;
use keelson_types::registry::Registry;

use crate::pipeline::{Subresource, Target};

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Route {
    /// `/`
    Root,
    /// `/version`
    Version,
    Health(Probe),
    /// `/livez/ping` and the like: one check of a probe.
    HealthCheck(Probe, String),
    /// `/metrics`
    Metrics,
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/<group>`
    Group(&'static str),
    /// `/api/v1`, `/apis/<group>/<version>`
    Resources {
        group: &'static str,
        version: &'static str,
    },
    /// `/openapi/v2`
    OpenApiV2,
    /// `/openapi/v3`
    OpenApi,
    /// `/openapi/v3/api/v1`, `/openapi/v3/apis/<group>/<version>`
    OpenApiGroupVersion {
        group: &'static str,
        version: &'static str,
    },
    /// All objects of a kind, in one namespace or in all.
    Collection(Target),
    /// One object, or a subresource of it.
    Object(Target),
    /// `pods/<name>/log`
    Log {
        namespace: String,
        pod: String,
    },
    /// `pods/<name>/exec` and the like
    Session {
        what: Session,
        namespace: String,
        pod: String,
    },
}

/// What goes on between a client and a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    Exec,
    Attach,
    PortForward,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    Healthz,
    Livez,
    Readyz,
}

/// The route of `path`, None when there is nothing.
pub(super) fn route(registry: &Registry, path: &str) -> Option<Route> {
    let segments: Vec<String> =
        path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect::<Option<_>>()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [] => Some(Route::Root),
        ["version"] => Some(Route::Version),
        ["healthz"] => Some(Route::Health(Probe::Healthz)),
        ["livez"] => Some(Route::Health(Probe::Livez)),
        ["readyz"] => Some(Route::Health(Probe::Readyz)),
        ["healthz", check] => Some(Route::HealthCheck(Probe::Healthz, (*check).to_owned())),
        ["livez", check] => Some(Route::HealthCheck(Probe::Livez, (*check).to_owned())),
        ["readyz", check] => Some(Route::HealthCheck(Probe::Readyz, (*check).to_owned())),
        ["metrics"] => Some(Route::Metrics),
        ["openapi", "v2"] => Some(Route::OpenApiV2),
        ["openapi", "v3"] => Some(Route::OpenApi),
        ["openapi", "v3", "api", version] => {
            group_version(registry, "", version).map(|(group, version)| Route::OpenApiGroupVersion { group, version })
        }
        ["openapi", "v3", "apis", group, version] if !group.is_empty() => group_version(registry, group, version)
            .map(|(group, version)| Route::OpenApiGroupVersion { group, version }),
        ["api"] => Some(Route::CoreVersions),
        ["apis"] => Some(Route::Groups),
        ["apis", group] => registry.all().iter().find(|kind| kind.group == *group).map(|kind| Route::Group(kind.group)),
        ["api", version, rest @ ..] => resource(registry, "", version, rest),
        ["apis", group, version, rest @ ..] => resource(registry, group, version, rest),
        _ => None,
    }
}

fn group_version(registry: &Registry, group: &str, version: &str) -> Option<(&'static str, &'static str)> {
    registry
        .all()
        .iter()
        .find(|kind| kind.group == group && kind.version == version)
        .map(|kind| (kind.group, kind.version))
}

fn resource(registry: &Registry, group: &str, version: &str, rest: &[&str]) -> Option<Route> {
    let (group, version) = group_version(registry, group, version)?;
    let find = |plural: &str| registry.by_versioned_resource(group, version, plural);
    match rest {
        [] => Some(Route::Resources { group, version }),
        // As `pods/<name>/binding`, but the body says which pod.
        ["namespaces", namespace, "bindings"] if group.is_empty() => {
            Some(Route::Object(target(find("pods")?, namespace, "", Subresource::Binding)))
        }
        // A namespace's own subresources hide kinds of the same name, as in Kubernetes.
        ["namespaces", name, subresource @ ("status" | "finalize")] => {
            object(find("namespaces")?, "", name, Some(subresource))
        }
        ["namespaces", namespace, plural, rest @ ..] => {
            let kind = find(plural).filter(|kind| kind.namespaced)?;
            match rest {
                [] => Some(Route::Collection(target(kind, namespace, "", Subresource::None))),
                [name] => object(kind, namespace, name, None),
                [name, subresource] => object(kind, namespace, name, Some(subresource)),
                _ => None,
            }
        }
        [plural] => Some(Route::Collection(target(find(plural)?, "", "", Subresource::None))),
        [plural, name] => object(find(plural).filter(|kind| !kind.namespaced)?, "", name, None),
        [plural, name, subresource] => {
            object(find(plural).filter(|kind| !kind.namespaced)?, "", name, Some(subresource))
        }
        _ => None,
    }
}

fn object(kind: &'static Kind, namespace: &str, name: &str, subresource: Option<&str>) -> Option<Route> {
    let is = |plural| kind.group.is_empty() && kind.plural == plural;
    let subresource = match subresource {
        None => Subresource::None,
        Some("status") if kind.status => Subresource::Status,
        Some("scale") if kind.scale => Subresource::Scale,
        Some("approval") if kind.approval => Subresource::Approval,
        Some("binding") if is("pods") => Subresource::Binding,
        Some("eviction") if is("pods") => Subresource::Eviction,
        Some("ephemeralcontainers") if is("pods") => Subresource::EphemeralContainers,
        Some("resize") if is("pods") => Subresource::Resize,
        Some("finalize") if is("namespaces") => Subresource::Finalize,
        Some("log") if is("pods") => {
            return Some(Route::Log { namespace: namespace.to_owned(), pod: name.to_owned() });
        }
        Some("exec") if is("pods") => return Some(session(Session::Exec, namespace, name)),
        Some("attach") if is("pods") => return Some(session(Session::Attach, namespace, name)),
        Some("portforward") if is("pods") => return Some(session(Session::PortForward, namespace, name)),
        Some(_) => return None,
    };
    Some(Route::Object(target(kind, namespace, name, subresource)))
}

fn session(what: Session, namespace: &str, pod: &str) -> Route {
    Route::Session { what, namespace: namespace.to_owned(), pod: pod.to_owned() }
}

fn target(kind: &'static Kind, namespace: &str, name: &str, subresource: Subresource) -> Target {
    Target { kind, namespace: namespace.to_owned(), name: name.to_owned(), subresource }
}

/// One segment without its percent-encoding, None when that is no UTF-8.
fn decode(segment: &str) -> Option<String> {
    percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Texts, fuzz};
    use keelson_types::registry;

    use super::*;

    /// A route in short, for the table below.
    fn short(path: &str) -> String {
        let about = |target: &Target| {
            format!("{} {:?} {:?} {:?}", target.kind.plural, target.namespace, target.name, target.subresource)
        };
        match route(keelson_types::registry::built_in(), path) {
            None => "nothing".to_owned(),
            Some(Route::Collection(target)) => format!("all {}", about(&target)),
            Some(Route::Object(target)) => about(&target),
            Some(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn paths_mean_what_they_mean_in_kubernetes() {
        for (path, wanted) in [
            ("/", "Root"),
            ("/version", "Version"),
            ("/version/", "Version"),
            ("/readyz", "Health(Readyz)"),
            ("/livez/ping", "HealthCheck(Livez, \"ping\")"),
            ("/metrics", "Metrics"),
            ("/api", "CoreVersions"),
            ("/apis", "Groups"),
            ("/apis/apps", "Group(\"apps\")"),
            ("/apis/nobody", "nothing"),
            ("/api/v1", "Resources { group: \"\", version: \"v1\" }"),
            ("/api/v2", "nothing"),
            ("/apis/apps/v1", "Resources { group: \"apps\", version: \"v1\" }"),
            ("/apis/apps/v1beta1/deployments", "nothing"),
            ("/openapi/v3", "OpenApi"),
            ("/openapi/v2", "OpenApiV2"),
            ("/openapi/v3/api/v1", "OpenApiGroupVersion { group: \"\", version: \"v1\" }"),
            ("/openapi/v3/apis/apps/v1", "OpenApiGroupVersion { group: \"apps\", version: \"v1\" }"),
            ("/api/v1/pods", "all pods \"\" \"\" None"),
            ("/api/v1/pods/x", "nothing"),
            ("/api/v1/nodes/n1", "nodes \"\" \"n1\" None"),
            ("/api/v1/nodes/n1/status", "nodes \"\" \"n1\" Status"),
            ("/api/v1/namespaces", "all namespaces \"\" \"\" None"),
            ("/api/v1/namespaces/default", "namespaces \"\" \"default\" None"),
            ("/api/v1/namespaces/default/finalize", "namespaces \"\" \"default\" Finalize"),
            ("/api/v1/namespaces/default/pods", "all pods \"default\" \"\" None"),
            ("/api/v1/namespaces/default/pods/x", "pods \"default\" \"x\" None"),
            ("/api/v1/namespaces/default/pods/x/binding", "pods \"default\" \"x\" Binding"),
            ("/api/v1/namespaces/default/pods/x/ephemeralcontainers", "pods \"default\" \"x\" EphemeralContainers"),
            ("/api/v1/namespaces/default/pods/x/resize", "pods \"default\" \"x\" Resize"),
            ("/api/v1/namespaces/default/services/x/resize", "nothing"),
            ("/api/v1/namespaces/default/bindings", "pods \"default\" \"\" Binding"),
            ("/apis/apps/v1/namespaces/default/bindings", "nothing"),
            ("/api/v1/namespaces/default/pods/x/log", "Log { namespace: \"default\", pod: \"x\" }"),
            ("/api/v1/namespaces/default/pods/x/exec", "Session { what: Exec, namespace: \"default\", pod: \"x\" }"),
            (
                "/api/v1/namespaces/default/pods/x/portforward",
                "Session { what: PortForward, namespace: \"default\", pod: \"x\" }",
            ),
            ("/api/v1/namespaces/default/services/x/exec", "nothing"),
            ("/api/v1/namespaces/default/pods/x/y/z", "nothing"),
            ("/api/v1/namespaces/default/nodes", "nothing"),
            ("/api/v1/namespaces/default/configmaps/x/status", "nothing"),
            ("/apis/apps/v1/namespaces/d/deployments/x/scale", "deployments \"d\" \"x\" Scale"),
            ("/apis/apps/v1/namespaces/d/pods/x", "nothing"),
            ("/api/v1/namespaces/default/events/a%2Fb", "events \"default\" \"a/b\" None"),
            ("/api/v1/namespaces/default/pods/%ff", "nothing"),
            ("/nonsense", "nothing"),
        ] {
            assert_eq!(short(path), wanted, "{path}");
        }
    }

    /// The path of an object or a collection, with every byte of a name encoded.
    fn path(target: &Target) -> String {
        let segment =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let Kind { group, version, plural, .. } = target.kind;
        let mut path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        if !target.namespace.is_empty() {
            path += &format!("/namespaces/{}", segment(&target.namespace));
        }
        path += &format!("/{plural}");
        if !target.name.is_empty() {
            path += &format!("/{}", segment(&target.name));
        }
        path
    }

    #[test]
    fn what_a_path_leads_to_has_a_path_that_leads_there() {
        let seeds = [
            "/api/v1/namespaces/default/pods/x",
            "/apis/apps/v1/namespaces/d/deployments/x/scale",
            "/api/v1/nodes/n1/status",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:x",
            "/api/v1/namespaces/default/events/a%2Fb",
            "/api/v1/pods",
        ];
        let words = ["/", "//", "%2F", "%", "%c3%a4", "..", "namespaces", "status", "pods", "v1", "apps", "exec", "?"];
        fuzz!(Texts::new(&seeds, &words), |text| {
            let about = |target: &Target| (target.kind.plural, target.namespace.clone(), target.name.clone());
            let route = |path: &str| route(registry::built_in(), path);
            match route(text) {
                Some(Route::Collection(target)) => {
                    let again = route(&path(&target));
                    assert!(
                        matches!(again, Some(Route::Collection(again)) if about(&again) == about(&target)),
                        "{text}"
                    );
                }
                Some(Route::Object(target)) => {
                    assert!(!target.name.is_empty() && target.kind.namespaced != target.namespace.is_empty(), "{text}");
                    let again = route(&path(&target));
                    assert!(matches!(again, Some(Route::Object(again)) if about(&again) == about(&target)), "{text}");
                }
                other => return other.is_some(),
            }
            true
        });
    }
}
