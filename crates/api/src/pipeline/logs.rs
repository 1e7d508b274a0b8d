//! Container logs: found by the pod, fetched from its node.

use bytes::Bytes;
use jiff::Timestamp;
use keelson_proto::keelson::api::v1::LogsRequest;
use keelson_types::status::Status;
use serde_json::Value;

use super::Pipeline;
use super::authorize::Verb;
use super::request::{ReadVersion, Subresource, Target, User};
use crate::node_tunnel::Reply;

/// A container's log as it arrives. Dropping it ends the request on the node.
pub struct LogStream {
    reply: Reply,
    shutdown: tokio_util::sync::CancellationToken,
}

impl LogStream {
    /// Whole lines; None at the end. Cancel-safe.
    ///
    /// # Errors
    /// When the node goes away or refuses.
    pub async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        tokio::select! {
            next = self.reply.next() => next,
            () = self.shutdown.cancelled() => None,
        }
    }
}

impl Pipeline {
    /// Opens a container's log.
    ///
    /// # Errors
    /// NotFound, BadRequest when the container is not one of the pod or has not started, ServiceUnavailable when the node
    /// has no connection to this member.
    pub async fn logs(&self, user: &User, mut request: LogsRequest) -> Result<LogStream, Status> {
        let target = Target {
            kind: self.kinds.pods,
            namespace: request.namespace.clone(),
            name: request.pod.clone(),
            subresource: Subresource::Log,
        };
        self.authorize(user, Verb::Get, &target)?;
        request.since_seconds = since_seconds(&request, (self.settings.clock)())?;
        request.since_time.clear();
        self.await_version(ReadVersion::MostRecent).await?;
        let pod = self.cached(self.kinds.pods, &request.namespace, &request.pod)?.value().map_err(Status::internal)?;
        request.container = container_named(&pod, &request.pod, &request.container)?;
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if node.is_empty() {
            return Err(Status::bad_request(format!("pod {} does not have a host assigned", request.pod)));
        }
        check_started(&pod, &request)?;
        self.tunnels.reach(node).await?;
        let reply = self.tunnels.logs(node, request)?;
        Ok(LogStream { reply, shutdown: self.shutdown.clone() })
    }
}

/// How far back the log is wanted, in whole seconds, rounded up so that nothing younger is left out.
fn since_seconds(request: &LogsRequest, now: Timestamp) -> Result<Option<i64>, Status> {
    match (request.since_seconds, request.since_time.as_str()) {
        (seconds, "") => Ok(seconds),
        (Some(_), _) => Err(Status::bad_request("at most one of sinceTime or sinceSeconds may be specified")),
        (None, time) => {
            let then: Timestamp = time
                .parse()
                .map_err(|error| Status::bad_request(format!("sinceTime: Invalid value: {time:?}: {error}")))?;
            Ok(Some(now.duration_since(then).as_secs_f64().ceil().max(1.0) as i64))
        }
    }
}

/// The container asked for, or the only one.
pub(super) fn container_named(pod: &Value, name: &str, asked: &str) -> Result<String, Status> {
    let names = |field: &str| -> Vec<String> {
        let list = pod["spec"][field].as_array().into_iter().flatten();
        list.filter_map(|container| container["name"].as_str()).map(str::to_owned).collect()
    };
    let containers = names("containers");
    let others = [names("initContainers"), names("ephemeralContainers")].concat();
    match (asked, containers.as_slice()) {
        ("", [only]) => Ok(only.clone()),
        ("", several) => Err(Status::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            several.join(" ")
        ))),
        (asked, _) if containers.iter().chain(&others).any(|own| own == asked) => Ok(asked.to_owned()),
        (asked, _) => Err(Status::bad_request(format!("container {asked} is not valid for pod {name}"))),
    }
}

fn check_started(pod: &Value, request: &LogsRequest) -> Result<(), Status> {
    let (container, name) = (request.container.as_str(), request.pod.as_str());
    let statuses = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"].into_iter();
    let found = statuses
        .flat_map(|field| pod["status"][field].as_array().into_iter().flatten())
        .find(|status| status["name"] == container);
    let restarted = found.is_some_and(|status| status["lastState"]["terminated"].is_object());
    if request.previous {
        if restarted {
            return Ok(());
        }
        let message = format!("previous terminated container {container:?} in pod {name:?} not found");
        return Err(Status::bad_request(message));
    }
    let state = found.map(|status| &status["state"]).unwrap_or(&Value::Null);
    if restarted || state["running"].is_object() || state["terminated"].is_object() {
        return Ok(());
    }
    let why = state["waiting"]["reason"].as_str().unwrap_or("ContainerCreating");
    Err(Status::bad_request(format!("container {container:?} in pod {name:?} is waiting to start: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_since_time_becomes_seconds() {
        let now: Timestamp = "2026-01-01T00:01:00.5Z".parse().expect("a time");
        let since = |time: &str, seconds| {
            let request = LogsRequest { since_time: time.to_owned(), since_seconds: seconds, ..LogsRequest::default() };
            since_seconds(&request, now).map_err(|status| status.code)
        };
        assert_eq!(since("2026-01-01T00:00:00Z", None), Ok(Some(61)));
        assert_eq!(since("2027-01-01T00:00:00Z", None), Ok(Some(1)));
        assert_eq!((since("", None), since("", Some(7))), (Ok(None), Ok(Some(7))));
        assert_eq!((since("yesterday", None), since("2026-01-01T00:00:00Z", Some(7))), (Err(400), Err(400)));
    }

    #[test]
    fn the_container_is_the_only_one_or_the_one_named() {
        let one = json!({"spec": {"containers": [{"name": "a"}]}});
        let two = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}],
            "ephemeralContainers": [{"name": "e"}]}});
        assert_eq!(container_named(&one, "p", ""), Ok("a".to_owned()));
        assert_eq!(container_named(&two, "p", "i"), Ok("i".to_owned()));
        assert_eq!(container_named(&two, "p", "e"), Ok("e".to_owned()));
        assert_eq!(
            container_named(&two, "p", "").expect_err("is ambiguous").message,
            "a container name must be specified for pod p, choose one of: [a b]"
        );
        assert_eq!(container_named(&one, "p", "x").expect_err("is none").message, "container x is not valid for pod p");
    }

    #[test]
    fn a_container_that_has_not_started_has_no_log() {
        let pod = |state: Value, last: Value| json!({"status": {"containerStatuses": [{"name": "a", "state": state, "lastState": last}]}});
        let ask = |previous| LogsRequest { pod: "p".into(), container: "a".into(), previous, ..LogsRequest::default() };
        let waiting = pod(json!({"waiting": {"reason": "ImagePullBackOff"}}), json!({}));
        assert_eq!(
            check_started(&waiting, &ask(false)).expect_err("waits").message,
            "container \"a\" in pod \"p\" is waiting to start: ImagePullBackOff"
        );
        assert!(check_started(&pod(json!({"running": {}}), json!({})), &ask(false)).is_ok());
        assert!(check_started(&pod(json!({"waiting": {}}), json!({"terminated": {}})), &ask(false)).is_ok());
        assert!(check_started(&pod(json!({"running": {}}), json!({})), &ask(true)).is_err());
        assert!(check_started(&pod(json!({"running": {}}), json!({"terminated": {}})), &ask(true)).is_ok());
    }
}
