//! What this member's API tells Prometheus: its requests and watches, the objects it serves, and what they take in memory.

use std::fmt::Write as _;

use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use super::respond;
use crate::cache::Size;
use crate::pipeline::Pipeline;

/// Prometheus' text format.
const CONTENT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// One figure of each kind: its name, what it says, and where it is.
type Figure = (&'static str, &'static str, fn(&Size) -> usize);

const FIGURES: [Figure; 3] = [
    ("apiserver_storage_objects", "Objects that exist, by resource.", |size| size.objects),
    ("keelson_cache_bytes", "Memory that this member holds the objects of a resource in.", |size| size.bytes),
    ("keelson_cache_text_bytes", "Their JSON text alone, as it is sent to clients.", |size| size.text_bytes),
];

/// All figures; of resources, those that have objects.
pub(crate) fn text(pipeline: &Pipeline) -> String {
    let mut text = pipeline.metrics().text();
    text.push_str(&lines(&pipeline.cache_sizes(), pipeline.cached_revision()));
    text
}

/// The same as an answer.
pub(super) fn answer(pipeline: &Pipeline) -> Response {
    let mut response = respond::text(StatusCode::OK, text(pipeline));
    response.headers_mut().insert(CONTENT_TYPE, CONTENT);
    response
}

fn lines(sizes: &[(String, Size)], revision: i64) -> String {
    let mut text = String::new();
    for (name, help, figure) in FIGURES {
        // Writing to a string cannot fail. Resources' names need no escapes.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (resource, size) in sizes.iter().filter(|(_, size)| size.objects > 0) {
            let _ = writeln!(text, "{name}{{resource=\"{resource}\"}} {}", figure(size));
        }
    }
    let name = "apiserver_watch_cache_resource_version";
    let _ = writeln!(text, "# HELP {name} How far the cache is, by resource.\n# TYPE {name} gauge");
    for (resource, _) in sizes.iter().filter(|(_, size)| size.objects > 0) {
        // One feed fills all of them.
        let _ = writeln!(text, "{name}{{resource=\"{resource}\"}} {revision}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_told_of_each_resource_that_has_objects() {
        let size = Size { objects: 2, bytes: 900, text_bytes: 600 };
        let sizes = [("pods".to_owned(), Size::default()), ("leases.coordination.k8s.io".to_owned(), size)];
        let text = lines(&sizes, 7);
        let values: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "apiserver_storage_objects{resource=\"leases.coordination.k8s.io\"} 2",
            "keelson_cache_bytes{resource=\"leases.coordination.k8s.io\"} 900",
            "keelson_cache_text_bytes{resource=\"leases.coordination.k8s.io\"} 600",
            "apiserver_watch_cache_resource_version{resource=\"leases.coordination.k8s.io\"} 7",
        ];
        assert_eq!(values, expected);
    }
}
