//! Whatever can be asked for over REST can be asked for over gRPC, and is answered the same.
//!
//! What there is comes from what REST tells of itself: discovery for verbs and subresources, OpenAPI for parameters. So what is added
//! there alone fails here.

use keelson_proto::API_DESCRIPTORS;
use keelson_proto::keelson::api::v1 as proto;
use keelson_proto::keelson::api::v1::discovery_client::DiscoveryClient;
use keelson_proto::keelson::api::v1::objects_client::ObjectsClient;
use keelson_proto::keelson::api::v1::pods_client::PodsClient;
use prost::Message as _;
use serde_json::json;
use tonic::transport::Channel;

use crate::https::Https;
use crate::member::{Member, config_map};
use crate::verbs::{Offered, Outcome, offered, outcome};

async fn administrator(member: &Member) -> Channel {
    member.dial(Some(member.authority.client("kubernetes-admin", &["system:masters"]))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verb_that_rest_offers_is_answered_the_same_over_grpc() {
    let member = Member::start().await;
    let mut rest = Https::administrator(&member).await;
    let channel = administrator(&member).await;
    let (mut objects, mut pods) = (ObjectsClient::new(channel.clone()), PodsClient::new(channel));
    let offered = offered(&mut rest).await;
    for one in &offered {
        let what = format!("{} {}", one.verb, one.path(true));
        if one.is_session() {
            let Outcome::Refused(code, ..) = one.session_over_grpc(&mut pods).await else { panic!("{what}") };
            assert_eq!(code, 404, "{what}: the pod is looked for");
            continue;
        }
        let over_rest = one.over_rest(&mut rest).await;
        assert_eq!(one.over_grpc(&mut objects, &mut pods).await, over_rest, "{what}");
    }
    let subresources = offered.iter().filter(|one| !one.subresource.is_empty()).count();
    assert!(offered.len() > 300 && subresources > 50, "{} and {subresources}: discovery tells little", offered.len());
    member.stop().await;
}

/// Where gRPC has what a parameter of REST says. An empty message is a call of its own, or what always happens.
const PARAMETERS: &[(&str, &str, &str, &str)] = &[
    ("list", "labelSelector", "ListRequest", "label_selector"),
    ("list", "fieldSelector", "ListRequest", "field_selector"),
    ("list", "limit", "ListRequest", "limit"),
    ("list", "continue", "ListRequest", "continue"),
    ("list", "resourceVersion", "ListRequest", "resource_version"),
    ("list", "resourceVersionMatch", "ListRequest", "version_match"),
    ("list", "watch", "", "Objects.Watch"),
    ("list", "allowWatchBookmarks", "", "they are always sent"),
    ("list", "sendInitialEvents", "WatchRequest", "initial_events"),
    ("list", "timeoutSeconds", "WatchRequest", "timeout_seconds"),
    ("post", "dryRun", "WriteOptions", "dry_run"),
    ("post", "fieldManager", "WriteOptions", "field_manager"),
    ("post", "fieldValidation", "WriteOptions", "field_validation"),
    ("put", "dryRun", "WriteOptions", "dry_run"),
    ("put", "fieldManager", "WriteOptions", "field_manager"),
    ("put", "fieldValidation", "WriteOptions", "field_validation"),
    ("patch", "dryRun", "WriteOptions", "dry_run"),
    ("patch", "fieldManager", "WriteOptions", "field_manager"),
    ("patch", "fieldValidation", "WriteOptions", "field_validation"),
    ("delete", "dryRun", "WriteOptions", "dry_run"),
    ("delete", "gracePeriodSeconds", "DeleteOptions", "grace_period_seconds"),
    ("delete", "propagationPolicy", "DeleteOptions", "propagation"),
    ("deletecollection", "labelSelector", "DeleteCollectionRequest", "label_selector"),
    ("deletecollection", "fieldSelector", "DeleteCollectionRequest", "field_selector"),
    // The selection is deleted whole, as it is when it is asked for; these say nothing about that.
    ("deletecollection", "limit", "", "the whole selection"),
    ("deletecollection", "continue", "", "the whole selection"),
    ("deletecollection", "resourceVersion", "", "the newest state"),
    ("deletecollection", "resourceVersionMatch", "", "the newest state"),
    ("deletecollection", "watch", "", "no watch"),
    ("deletecollection", "allowWatchBookmarks", "", "no watch"),
    ("deletecollection", "sendInitialEvents", "", "no watch"),
    ("deletecollection", "timeoutSeconds", "", "no watch"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_parameter_that_rest_tells_of_has_its_field() {
    let member = Member::start().await;
    let document = Https::administrator(&member).await.get("/openapi/v3/api/v1").await.json();
    member.stop().await;
    let files = prost_types::FileDescriptorSet::decode(API_DESCRIPTORS).expect("is a set of descriptors").file;
    let has = |message: &str, field: &str| {
        let messages =
            files.iter().filter(|file| file.package() == "keelson.api.v1").flat_map(|file| &file.message_type);
        let mut named = messages.filter(|known| known.name() == message);
        named.any(|known| known.field.iter().any(|known| known.name() == field))
    };
    let mut told = 0;
    for operations in document["paths"].as_object().expect("paths").values() {
        for operation in operations.as_object().expect("operations").values() {
            let Some(action) = operation["x-kubernetes-action"].as_str() else { continue };
            for parameter in operation["parameters"].as_array().expect("a list") {
                let name = parameter["name"].as_str().expect("has a name");
                let known = PARAMETERS.iter().find(|(of, parameter, ..)| (*of, *parameter) == (action, name));
                let Some((_, _, message, field)) = known else {
                    panic!("REST takes {name} for {action}, of which nothing is known over gRPC")
                };
                assert!(message.is_empty() || has(message, field), "{message} has no field {field} for {name}");
                told += 1;
            }
        }
    }
    assert!(told > 200, "the document tells of {told} parameters");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_api_tells_of_itself_is_the_same_over_grpc() {
    let member = Member::start().await;
    member.create("configmaps", config_map("a", "web")).await.expect("creates");
    let mut rest = Https::administrator(&member).await;
    let mut discovery = DiscoveryClient::new(administrator(&member).await).max_decoding_message_size(usize::MAX);
    let all = discovery.resources(proto::ResourcesRequest::default()).await.expect("is told").into_inner().resources;
    let mut over_grpc = Vec::new();
    for resource in &all {
        let of =
            |name: String, verbs: &[String]| (resource.group.clone(), resource.version.clone(), name, verbs.to_vec());
        over_grpc.push(of(resource.resource.clone(), &resource.verbs));
        for sub in &resource.subresources {
            over_grpc.push(of(format!("{}/{}", resource.resource, sub.name), &sub.verbs));
        }
    }
    let mut over_rest: Vec<(String, String, String, Vec<String>)> = Vec::new();
    for one in offered(&mut rest).await {
        let Offered { group, version, plural, subresource, verb, .. } = one;
        let name = if subresource.is_empty() { plural } else { format!("{plural}/{subresource}") };
        match over_rest.last_mut() {
            Some(last) if (&last.0, &last.1, &last.2) == (&group, &version, &name) => last.3.push(verb),
            _ => over_rest.push((group, version, name, vec![verb])),
        }
    }
    over_grpc.sort();
    over_rest.sort();
    assert_eq!(over_grpc, over_rest);
    let group = Some("apps".to_owned());
    let apps = discovery.resources(proto::ResourcesRequest { group }).await.expect("is told").into_inner().resources;
    assert!(!apps.is_empty() && apps.iter().all(|resource| resource.group == "apps"));

    let open_api =
        |group: &str, version: &str| proto::OpenApiRequest { group: group.to_owned(), version: version.to_owned() };
    for (request, path) in [
        (open_api("", ""), "/openapi/v3"),
        (open_api("", "v1"), "/openapi/v3/api/v1"),
        (open_api("apps", "v1"), "/openapi/v3/apis/apps/v1"),
    ] {
        let document = discovery.open_api(request).await.expect("is told").into_inner().document;
        assert!(document == rest.get(path).await.text.as_bytes(), "{path}");
    }
    let unknown = discovery.open_api(open_api("apps", "v0")).await;
    let over_rest = rest.get("/openapi/v3/apis/apps/v0").await.json();
    assert_eq!(
        outcome(unknown),
        Outcome::Refused(404, "NotFound".to_owned(), over_rest["message"].as_str().expect("says why").to_owned())
    );

    let version = discovery.version(proto::VersionRequest {}).await.expect("is told").into_inner();
    let told = rest.get("/version").await.json();
    assert_eq!(
        json!([version.major, version.minor, version.git_version, version.platform]),
        json!([told["major"], told["minor"], told["gitVersion"], told["platform"]])
    );
    let figures = discovery.metrics(proto::MetricsRequest {}).await.expect("is told").into_inner().text;
    assert!(figures.contains("apiserver_storage_objects{resource=\"configmaps\"}"), "{figures}");

    let jane = member.authority.client("jane", &["developers"]);
    let mut jane = DiscoveryClient::new(member.dial(Some(jane)).await);
    jane.version(proto::VersionRequest {}).await.expect("anybody who is known may ask");
    let refused = outcome(jane.metrics(proto::MetricsRequest {}).await);
    assert!(matches!(&refused, Outcome::Refused(403, _, why) if why.contains("/metrics")), "{refused:?}");
    member.stop().await;
}
