//! An operator: a kind of its own, applied; a controller that owns ConfigMaps, writes the status, records events, and cleans up.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event as Told, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Event as Finalized, finalizer};
use kube::runtime::{Controller, conditions, watcher};
use kube::{Api, Client, CustomResource, CustomResourceExt, KubeSchema, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cluster::{Cluster, causes, configmap, in_time, refused, until, until_it};

const MANAGER: &str = "greeter";
const FINALIZER: &str = "rust.example.com/farewell";
/// The controller sees changes at once; this is for what it would miss.
const RESYNC: Duration = Duration::from_secs(300);

#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug)]
#[kube(group = "rust.example.com", version = "v1", kind = "Greeting", namespaced, status = "GreetingStatus")]
#[kube(shortname = "gr", printcolumn(name = "Text", type_ = "string", json_path = ".spec.text"))]
#[kube(selectable = ".spec.text")]
pub struct GreetingSpec {
    #[schemars(length(min = 1, max = 100))]
    text: String,
    #[serde(default = "once")]
    #[x_kube(validation = ("self <= 3", "not so loud"))]
    times: i32,
}

fn once() -> i32 {
    1
}

#[derive(Serialize, Deserialize, Clone, Debug, Default, schemars::JsonSchema)]
pub struct GreetingStatus {
    said: Option<String>,
    observed_generation: Option<i64>,
}

struct Context {
    client: Client,
    recorder: Recorder,
}

type Failure = kube::runtime::finalizer::Error<kube::Error>;

async fn reconcile(greeting: Arc<Greeting>, context: Arc<Context>) -> Result<Action, Failure> {
    let namespace = greeting.namespace().unwrap_or_default();
    let greetings: Api<Greeting> = Api::namespaced(context.client.clone(), &namespace);
    let configmaps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    finalizer(&greetings, FINALIZER, greeting, async |event| match event {
        Finalized::Apply(greeting) => greet(&greeting, &greetings, &configmaps, &context.recorder).await,
        Finalized::Cleanup(greeting) => {
            let farewell = configmap(&format!("{}-farewell", greeting.name_any()), &[]);
            let applied = PatchParams::apply(MANAGER).force();
            configmaps.patch(&farewell.name_any(), &applied, &Patch::Apply(&farewell)).await?;
            Ok(Action::await_change())
        }
    })
    .await
}

async fn greet(
    greeting: &Greeting,
    greetings: &Api<Greeting>,
    configmaps: &Api<ConfigMap>,
    recorder: &Recorder,
) -> Result<Action, kube::Error> {
    let (name, applied) = (greeting.name_any(), PatchParams::apply(MANAGER).force());
    let said = vec![greeting.spec.text.as_str(); greeting.spec.times as usize].join(" ");
    let mut wanted = configmap(&name, &[("said", &said)]);
    wanted.owner_references_mut().extend(greeting.controller_owner_ref(&()));
    configmaps.patch(&name, &applied, &Patch::Apply(&wanted)).await?;
    let before = greeting.status.as_ref().and_then(|status| status.said.as_ref());
    if before != Some(&said) {
        let note = Some(format!("said {said:?}"));
        let told =
            Told { type_: EventType::Normal, reason: "Greeted".into(), note, action: "Greet".into(), secondary: None };
        recorder.publish(&told, &greeting.object_ref(&())).await?;
    }
    let status = GreetingStatus { said: Some(said), observed_generation: greeting.metadata.generation };
    let patch = json!({"apiVersion": Greeting::api_version(&()), "kind": Greeting::kind(&()), "status": status});
    greetings.patch_status(&name, &applied, &Patch::Apply(patch)).await?;
    Ok(Action::requeue(RESYNC))
}

fn failed(greeting: Arc<Greeting>, error: &Failure, _: Arc<Context>) -> Action {
    println!("{}: {error}", greeting.name_any());
    Action::requeue(Duration::from_millis(200))
}

#[tokio::test]
async fn a_controller_of_its_own_kind_works() {
    let cluster = Cluster::with_namespace("a-controller-works").await;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.members[0].clone());
    for _ in 0..2 {
        // As operators do at each start.
        let applied = PatchParams::apply(MANAGER).force();
        definitions.patch(Greeting::crd_name(), &applied, &Patch::Apply(Greeting::crd())).await.expect("is applied");
    }
    until_it("it is established", definitions, Greeting::crd_name(), conditions::is_crd_established()).await;

    let client = cluster.members[1].clone();
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some("one".to_owned()) };
    let context = Arc::new(Context { client: client.clone(), recorder: Recorder::new(client.clone(), reporter) });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let controller = Controller::new(cluster.api::<Greeting>(1), watcher::Config::default())
        .owns(cluster.configmaps(1), watcher::Config::default())
        .graceful_shutdown_on(async { stopped.await.unwrap_or_default() })
        .run(reconcile, failed, context);
    let running = tokio::spawn(controller.for_each(|outcome| async move { println!("{outcome:?}") }));

    let greetings = cluster.api::<Greeting>(0);
    let new = Greeting::new("g", GreetingSpec { text: "hello".to_owned(), times: 2 });
    greetings.create(&PostParams::default(), &new).await.expect("is made");
    says(&cluster, "hello hello").await;
    let selected = greetings.list(&ListParams::default().fields("spec.text=hello")).await.expect("a list");
    assert_eq!(selected.items[0].finalizers(), [FINALIZER]);

    let change = Patch::Merge(json!({"spec": {"text": "ahoy"}}));
    let changed = cluster.api::<Greeting>(2).patch("g", &PatchParams::default(), &change).await.expect("is changed");
    assert_eq!(changed.metadata.generation, Some(2));
    says(&cluster, "ahoy ahoy").await;
    // What it owns comes back.
    cluster.configmaps(2).delete("g", &DeleteParams::default()).await.expect("is deleted");
    says(&cluster, "ahoy ahoy").await;
    until("the events are there", || async { told(&cluster).await }).await;

    let loud = Patch::Merge(json!({"spec": {"times": 4}}));
    let told = refused(greetings.patch("g", &PatchParams::default(), &loud).await);
    assert_eq!(causes(&told), ["spec.times"]);
    assert!(told.message.contains("not so loud"), "{}", told.message);

    let uid = selected.items[0].uid().expect("a UID");
    greetings.delete("g", &DeleteParams::background()).await.expect("is deleted");
    until_it("it is gone", cluster.api::<Greeting>(2), "g", conditions::is_deleted(&uid)).await;
    // It was cleaned up before, and what it owned goes after it.
    cluster.configmaps(0).get("g-farewell").await.expect("is there");
    until_it("its ConfigMap is gone", cluster.configmaps(2), "g", |found: Option<&ConfigMap>| found.is_none()).await;
    stop.send(()).expect("the controller runs");
    in_time("the controller stops", running).await.expect("ends well");
}

/// Waits until the ConfigMap and the status have this text.
async fn says(cluster: &Cluster, text: &str) {
    let has = |found: Option<&ConfigMap>| {
        let data = found.and_then(|found| found.data.as_ref());
        data.and_then(|data| data.get("said")).is_some_and(|said| said == text)
    };
    until_it("the ConfigMap has the text", cluster.configmaps(2), "g", has).await;
    let has = |found: Option<&Greeting>| {
        found.is_some_and(|found| {
            let status = found.status.as_ref();
            status.is_some_and(|status| {
                status.said.as_deref() == Some(text) && status.observed_generation == found.metadata.generation
            })
        })
    };
    until_it("the status has the text", cluster.api::<Greeting>(0), "g", has).await;
}

/// The events about the greeting, once both are there.
async fn told(cluster: &Cluster) -> Option<()> {
    let events = cluster.api::<Event>(2).list(&ListParams::default()).await.expect("a list");
    let about = events.iter().filter(|event| {
        let regarding = event.regarding.as_ref();
        regarding.and_then(|regarding| regarding.kind.as_deref()) == Some("Greeting")
            && event.reporting_controller.as_deref() == Some(MANAGER)
    });
    // The same again, soon after, is counted in the event that is there already.
    let count: i32 = about.map(|event| event.series.as_ref().map_or(1, |series| series.count)).sum();
    (count >= 2).then_some(())
}
