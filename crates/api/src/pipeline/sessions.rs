//! Sessions with what runs in a pod: exec, attach and port-forward. Found by the pod, held with its node.

use keelson_proto::keelson::node::v1::session_open::What;
use keelson_proto::keelson::node::v1::{Attach, Container, Exec, PortForward, Streams};
use keelson_types::status::{Reason, Status};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::Pipeline;
use super::authorize::Verb;
use super::logs::container_named;
use super::request::{ReadVersion, Subresource, Target, User};
use crate::node_tunnel::Session;

/// A command's words together, in bytes; each counts [`WORD_OVERHEAD`] more, so that there are not too many.
const COMMAND_BYTES_MAX: usize = 256 << 10;
const WORD_OVERHEAD: usize = 16;
/// Which container is meant when none is named and there are several.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// What exec and attach ask for. An attach has no command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    pub namespace: String,
    pub pod: String,
    /// Empty for the default one.
    pub container: String,
    pub command: Vec<String>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// A session, with the end of this server beside it.
pub struct PodSession {
    pub session: Session,
    /// Cancelled when the server stops.
    pub shutdown: tokio_util::sync::CancellationToken,
    /// Given back when the session is over.
    pub place: OwnedSemaphorePermit,
}

impl Pipeline {
    /// Runs a command in a running container.
    ///
    /// # Errors
    /// Forbidden; NotFound; BadRequest for a request that makes no sense; Internal when the container does not run;
    /// ServiceUnavailable when the node has no connection to this member; TooManyRequests.
    pub async fn exec(&self, user: &User, request: ExecRequest) -> Result<PodSession, Status> {
        let command = request.command.clone();
        check_command(&command)?;
        let found = self.find(user, &request, Subresource::Session("exec")).await?;
        let Found { node, container } = found;
        let exec = Exec { container: Some(container), command, streams: Some(streams(&request)) };
        self.open(&node, What::Exec(exec)).await
    }

    /// The input and output of a container's own process.
    ///
    /// # Errors
    /// As [`Pipeline::exec`].
    pub async fn attach(&self, user: &User, request: ExecRequest) -> Result<PodSession, Status> {
        let Found { node, container } = self.find(user, &request, Subresource::Session("attach")).await?;
        let attach = Attach { container: Some(container), streams: Some(streams(&request)) };
        self.open(&node, What::Attach(attach)).await
    }

    /// A place for a client that wants connections to the pod's ports, before there is one.
    ///
    /// # Errors
    /// Forbidden, NotFound, Internal when the pod does not run, TooManyRequests.
    pub async fn may_forward(&self, user: &User, namespace: &str, pod: &str) -> Result<OwnedSemaphorePermit, Status> {
        self.running_pod(user, namespace, pod, ReadVersion::MostRecent).await?;
        self.place()
    }

    /// One connection to a port of a pod. For a client with a place, this member's own state will do: then further connections are
    /// made without a leader, too.
    ///
    /// # Errors
    /// As [`Pipeline::exec`]. That nobody listens is told by the session's end.
    pub async fn port_forward(
        &self,
        user: &User,
        namespace: &str,
        name: &str,
        port: u16,
        version: ReadVersion,
    ) -> Result<PodSession, Status> {
        let pod = self.running_pod(user, namespace, name, version).await?;
        let forward = PortForward {
            namespace: namespace.to_owned(),
            pod: name.to_owned(),
            pod_uid: text(&pod["metadata"]["uid"]),
            port: port.into(),
        };
        self.open(&text(&pod["spec"]["nodeName"]), What::PortForward(forward)).await
    }

    async fn running_pod(
        &self,
        user: &User,
        namespace: &str,
        name: &str,
        version: ReadVersion,
    ) -> Result<Value, Status> {
        let pod = self.assigned(user, namespace, name, Subresource::Session("portforward"), version).await?;
        match pod["status"]["phase"].as_str() {
            Some("Running") => Ok(pod),
            phase => Err(Status::new(
                Reason::InternalError,
                format!(
                    "unable to forward port because pod is not running. Current status={}",
                    phase.unwrap_or("Pending")
                ),
            )),
        }
    }

    /// The pod, once it has a node.
    async fn assigned(
        &self,
        user: &User,
        namespace: &str,
        name: &str,
        what: Subresource,
        version: ReadVersion,
    ) -> Result<Value, Status> {
        let target =
            Target { kind: self.kinds.pods, namespace: namespace.to_owned(), name: name.to_owned(), subresource: what };
        self.authorize(user, Verb::Create, &target)?;
        self.await_version(version).await?;
        let pod = self.cached(self.kinds.pods, namespace, name)?.value().map_err(Status::internal)?;
        if text(&pod["spec"]["nodeName"]).is_empty() {
            return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
        }
        Ok(pod)
    }

    async fn find(&self, user: &User, request: &ExecRequest, what: Subresource) -> Result<Found, Status> {
        check_streams(request)?;
        let pod = self.assigned(user, &request.namespace, &request.pod, what, ReadVersion::MostRecent).await?;
        let name = default_container(&pod, request)?;
        if !runs(&pod, &name) {
            let message = format!("unable to upgrade connection: container not found ({name:?})");
            return Err(Status::new(Reason::InternalError, message));
        }
        let container = Container {
            namespace: request.namespace.clone(),
            pod: request.pod.clone(),
            pod_uid: text(&pod["metadata"]["uid"]),
            name,
        };
        Ok(Found { node: text(&pod["spec"]["nodeName"]), container })
    }

    async fn open(&self, node: &str, what: What) -> Result<PodSession, Status> {
        let place = self.place()?;
        self.tunnels.reach(node).await?;
        Ok(PodSession { session: self.tunnels.session(node, what)?, shutdown: self.shutdown.clone(), place })
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        let place = self.sessions.clone().try_acquire_owned();
        place.map_err(|_| Status::too_many_requests("too many sessions with containers are open", 1))
    }
}

struct Found {
    node: String,
    container: Container,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn streams(request: &ExecRequest) -> Streams {
    Streams { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, tty: request.tty }
}

fn check_command(command: &[String]) -> Result<(), Status> {
    if command.iter().all(String::is_empty) {
        return Err(Status::bad_request("you must specify at least one command for the container"));
    }
    if command.iter().map(|word| word.len() + WORD_OVERHEAD).sum::<usize>() > COMMAND_BYTES_MAX {
        let message =
            format!("a command may have at most {COMMAND_BYTES_MAX} bytes, {WORD_OVERHEAD} for each word among them");
        return Err(Status::bad_request(message));
    }
    Ok(())
}

fn check_streams(request: &ExecRequest) -> Result<(), Status> {
    if !(request.stdin || request.stdout || request.stderr) {
        return Err(Status::bad_request("at least one of stdin, stdout or stderr must be true"));
    }
    if request.tty && request.stderr {
        return Err(Status::bad_request("tty and stderr cannot both be true"));
    }
    Ok(())
}

fn default_container(pod: &Value, request: &ExecRequest) -> Result<String, Status> {
    let default = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str().unwrap_or_default();
    let asked = if request.container.is_empty() { default } else { &request.container };
    container_named(pod, &request.pod, asked)
}

fn runs(pod: &Value, container: &str) -> bool {
    let statuses = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"].into_iter();
    let mut found = statuses.flat_map(|field| pod["status"][field].as_array().into_iter().flatten());
    found.any(|status| status["name"] == container && status["state"]["running"].is_object())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let request = |stdin, stderr, tty| ExecRequest { stdin, stderr, tty, ..ExecRequest::default() };
        assert!(check_streams(&request(true, false, true)).is_ok());
        assert_eq!(check_streams(&request(false, false, true)).expect_err("has no stream").code, 400);
        assert_eq!(check_streams(&request(true, true, true)).expect_err("a terminal has one output").code, 400);
        assert!(check_command(&[]).is_err() && check_command(&[String::new()]).is_err());
        assert!(check_command(&["a".repeat(COMMAND_BYTES_MAX + 1)]).is_err());
        assert!(check_command(&["ls".to_owned()]).is_ok());
        assert!(check_command(&vec!["a".to_owned(); COMMAND_BYTES_MAX / 2]).is_err(), "short words count, too");
    }

    #[test]
    fn the_container_is_the_named_the_annotated_or_the_only_one() {
        let mut pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "metadata": {}});
        let ask = |name: &str| ExecRequest { pod: "p".into(), container: name.into(), ..ExecRequest::default() };
        assert!(default_container(&pod, &ask("")).is_err());
        pod["metadata"]["annotations"] = json!({DEFAULT_CONTAINER: "b"});
        assert_eq!(default_container(&pod, &ask("")), Ok("b".to_owned()));
        assert_eq!(default_container(&pod, &ask("a")), Ok("a".to_owned()));
        let refused = default_container(&pod, &ask("x")).expect_err("is none").message;
        assert_eq!(refused, "container x is not valid for pod p");
    }

    #[test]
    fn only_a_running_container_has_sessions() {
        let status = |state: Value| json!({"status": {"containerStatuses": [{"name": "a", "state": state}]}});
        assert!(runs(&status(json!({"running": {}})), "a"));
        assert!(!runs(&status(json!({"terminated": {}})), "a") && !runs(&json!({}), "a"));
    }
}
