//! The verbs that REST tells of, each asked for over both fronts.

use axum::body::Body;
use http::Method;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use keelson_proto::keelson::api::v1::pods_client::PodsClient;
use prost::Message as _;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::https::Https;

/// How something ended: well, or with a Status: its code, reason and message.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused(i32, String, String),
}

/// google.rpc.Status, as it is in the details of an error.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// How a call ended.
pub fn outcome<T>(answer: Result<T, tonic::Status>) -> Outcome {
    let Err(error) = answer else { return Outcome::Done };
    let details = RpcStatus::decode(error.details()).expect("the details are a google.rpc.Status").details;
    let detail = details.first().unwrap_or_else(|| panic!("{error:?} has no details"));
    let status = proto::Status::decode(detail.value.as_slice()).expect("the detail is a Status");
    Outcome::Refused(status.code, status.reason, status.message)
}

/// A verb of a resource or a subresource, as discovery tells of it.
pub struct Offered {
    pub group: String,
    pub version: String,
    pub plural: String,
    /// Empty for the resource itself.
    pub subresource: String,
    pub namespaced: bool,
    pub kind: String,
    pub verb: String,
}

impl Offered {
    pub fn is_session(&self) -> bool {
        matches!(self.subresource.as_str(), "exec" | "attach" | "portforward")
    }

    /// Of one object that does not exist, or of the collection.
    pub fn path(&self, one: bool) -> String {
        let base = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        let namespace = if self.namespaced { "namespaces/default/" } else { "" };
        let name = match (one, self.subresource.as_str()) {
            (false, _) => String::new(),
            (true, "") => "/nobody".to_owned(),
            (true, subresource) => format!("/nobody/{subresource}"),
        };
        format!("{base}/{namespace}{}{name}", self.plural)
    }

    fn name(&self, one: bool) -> Option<proto::ObjectName> {
        let resource =
            proto::Resource { group: self.group.clone(), version: self.version.clone(), resource: self.plural.clone() };
        Some(proto::ObjectName {
            resource: Some(resource),
            namespace: if self.namespaced { "default".to_owned() } else { String::new() },
            name: if one { "nobody".to_owned() } else { String::new() },
            subresource: self.subresource.clone(),
        })
    }

    fn body(&self) -> String {
        let (group, version) = match self.subresource.as_str() {
            "scale" => ("autoscaling", "v1"),
            "eviction" => ("policy", "v1"),
            _ => (self.group.as_str(), self.version.as_str()),
        };
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        json!({"kind": self.kind, "apiVersion": api_version, "metadata": {"name": "nobody"}}).to_string()
    }

    pub async fn over_rest(&self, rest: &mut Https) -> Outcome {
        let within = !self.subresource.is_empty();
        let selection = "dryRun=All&labelSelector=nobody%3Dis-labelled-so";
        let (method, path) = match self.verb.as_str() {
            "get" => (Method::GET, self.path(true)),
            "list" => (Method::GET, self.path(false)),
            "watch" => (Method::GET, format!("{}?watch=true", self.path(false))),
            "create" => (Method::POST, format!("{}?dryRun=All", self.path(within))),
            "update" => (Method::PUT, format!("{}?dryRun=All", self.path(true))),
            "patch" => (Method::PATCH, format!("{}?dryRun=All", self.path(true))),
            "delete" => (Method::DELETE, format!("{}?dryRun=All", self.path(true))),
            "deletecollection" => (Method::DELETE, format!("{}?{selection}", self.path(false))),
            other => panic!("REST offers {other}, of which this test knows nothing: it needs a counterpart over gRPC"),
        };
        let body = match self.verb.as_str() {
            "create" | "update" => Body::from(self.body()),
            "patch" => Body::from("{}"),
            _ => Body::empty(),
        };
        if self.verb == "watch" {
            // It has no end: its head tells enough.
            let head = rest.open(method, &path, body).await.expect("is answered");
            assert_eq!(head.status().as_u16(), 200, "{path}");
            return Outcome::Done;
        }
        let answer = rest.send(method, &path, body).await;
        if answer.code.is_success() {
            return Outcome::Done;
        }
        let status = answer.json();
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        Outcome::Refused(i32::from(answer.code.as_u16()), text("reason"), text("message"))
    }

    pub async fn over_grpc(&self, objects: &mut ObjectsClient<Channel>, pods: &mut PodsClient<Channel>) -> Outcome {
        let (all, one) = (self.name(false), self.name(true));
        let object = Some(proto::Object { json: self.body().into() });
        // What REST takes when nothing is said.
        let field_validation = proto::FieldValidation::Warn.into();
        let options = Some(proto::WriteOptions { dry_run: true, field_validation, ..Default::default() });
        match (self.verb.as_str(), self.subresource.as_str()) {
            ("get", "log") => {
                let (namespace, pod) = ("default".to_owned(), "nobody".to_owned());
                outcome(pods.logs(proto::LogsRequest { namespace, pod, ..Default::default() }).await)
            }
            ("get", _) => outcome(objects.get(proto::GetRequest { name: one, ..Default::default() }).await),
            ("list", _) => outcome(objects.list(proto::ListRequest { name: all, ..Default::default() }).await),
            ("watch", _) => outcome(objects.watch(proto::WatchRequest { name: all, ..Default::default() }).await),
            ("create", subresource) => {
                let name = if subresource.is_empty() { all } else { one };
                outcome(objects.create(proto::CreateRequest { name, object, options }).await)
            }
            ("update", _) => outcome(objects.update(proto::UpdateRequest { name: one, object, options }).await),
            ("patch", _) => {
                let r#type = proto::patch_request::Type::Merge.into();
                outcome(objects.patch(proto::PatchRequest { name: one, r#type, patch: "{}".into(), options }).await)
            }
            ("delete", _) => {
                outcome(objects.delete(proto::DeleteRequest { name: one, options, ..Default::default() }).await)
            }
            ("deletecollection", _) => {
                let label_selector = "nobody=is-labelled-so".to_owned();
                let request =
                    proto::DeleteCollectionRequest { name: all, label_selector, options, ..Default::default() };
                outcome(objects.delete_collection(request).await)
            }
            (other, _) => panic!("no call is known for {other}"),
        }
    }

    /// Sessions are streams over both fronts; over gRPC, the first message says with which pod.
    pub async fn session_over_grpc(&self, pods: &mut PodsClient<Channel>) -> Outcome {
        let (namespace, pod) = ("default".to_owned(), "nobody".to_owned());
        let session = proto::SessionStart { namespace, pod, stdout: true, ..Default::default() };
        match self.subresource.as_str() {
            "exec" => {
                let start = proto::ExecStart { session: Some(session), command: vec!["true".to_owned()] };
                let start = proto::ExecRequest { message: Some(proto::exec_request::Message::Start(start)) };
                outcome(pods.exec(tokio_stream::iter([start])).await)
            }
            "attach" => {
                let start = proto::AttachRequest { message: Some(proto::attach_request::Message::Start(session)) };
                outcome(pods.attach(tokio_stream::iter([start])).await)
            }
            _ => {
                let proto::SessionStart { namespace, pod, .. } = session;
                let start = proto::PortForwardStart { namespace, pod, port: 80 };
                let start =
                    proto::PortForwardRequest { message: Some(proto::port_forward_request::Message::Start(start)) };
                outcome(pods.port_forward(tokio_stream::iter([start])).await)
            }
        }
    }
}

/// Every group and version that REST tells of.
async fn group_versions(rest: &mut Https) -> Vec<(String, String)> {
    let mut found = vec![(String::new(), "v1".to_owned())];
    let groups = rest.get("/apis").await.json();
    for group in groups["groups"].as_array().expect("a list") {
        for version in group["versions"].as_array().expect("a list") {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            found.push((text(&group["name"]), text(&version["version"])));
        }
    }
    found
}

/// Every verb of every resource that REST tells of.
pub async fn offered(rest: &mut Https) -> Vec<Offered> {
    let mut found = Vec::new();
    for (group, version) in group_versions(rest).await {
        let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let list = rest.get(&path).await.json();
        for resource in list["resources"].as_array().expect("a list") {
            let name = resource["name"].as_str().expect("has a name");
            let (plural, subresource) = name.split_once('/').unwrap_or((name, ""));
            for verb in resource["verbs"].as_array().expect("a list") {
                found.push(Offered {
                    group: group.clone(),
                    version: version.clone(),
                    plural: plural.to_owned(),
                    subresource: subresource.to_owned(),
                    namespaced: resource["namespaced"] == true,
                    kind: resource["kind"].as_str().expect("has a kind").to_owned(),
                    verb: verb.as_str().expect("text").to_owned(),
                });
            }
        }
    }
    found
}
