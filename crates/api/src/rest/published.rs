//! What is told of the kinds that are served, for both fronts: discovery and OpenAPI, made once for each set of kinds.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use keelson_types::status::Status;

use super::single::Single;
use super::version::GIT_VERSION;
use super::{discovery, openapi};
use crate::custom::Served;
use crate::pipeline::Pipeline;

/// See the module.
pub struct Published {
    pipeline: Arc<Pipeline>,
    documents: ArcSwap<Documents>,
    openapi_v2_empty: discovery::Document,
    /// Lets one document of all kinds be made at a time, whichever kinds there are by then.
    openapi_v2: Single,
    /// Likewise for documents of version 3.
    openapi: Single,
}

/// Everything that is told about the kinds of one registry.
pub(super) struct Documents {
    pub served: Arc<Served>,
    pub discovery: discovery::Documents,
    openapi: Arc<openapi::Documents>,
    /// Made when somebody asks for it.
    openapi_v2: Arc<OnceLock<Arc<discovery::Document>>>,
}

impl Documents {
    fn new(served: Arc<Served>, before: Option<&Documents>) -> Arc<Documents> {
        let discovery = discovery::Documents::new(&served.registry);
        let openapi = openapi::Documents::new(&served.registry, GIT_VERSION, before.map(|before| &*before.openapi));
        Arc::new(Documents { served, discovery, openapi: Arc::new(openapi), openapi_v2: Arc::default() })
    }
}

impl Published {
    /// Of the kinds that the pipeline serves, whichever they are when somebody asks.
    pub fn new(pipeline: Arc<Pipeline>) -> Arc<Published> {
        let documents = Documents::new(pipeline.served(), None);
        Arc::new(Published {
            pipeline,
            documents: ArcSwap::new(documents),
            openapi_v2_empty: openapi::v2::empty(),
            openapi_v2: Single::new(),
            openapi: Single::new(),
        })
    }

    pub(super) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// The documents of the kinds that are served now.
    pub(super) fn documents(&self) -> Arc<Documents> {
        let served = self.pipeline.served();
        let known = self.documents.load_full();
        if Arc::ptr_eq(&known.served, &served) {
            return known;
        }
        let made = Documents::new(served, Some(&known));
        self.documents.store(made.clone());
        made
    }

    pub(super) fn openapi_v2_empty(&self) -> &discovery::Document {
        &self.openapi_v2_empty
    }

    /// All kinds in one document of version 2.
    ///
    /// # Errors
    /// When making it panicked.
    pub(super) async fn openapi_v2(&self) -> Result<Arc<discovery::Document>, Status> {
        let documents = self.documents();
        let served = documents.served.clone();
        let make = move || Arc::new(openapi::v2::document(&served.registry, GIT_VERSION));
        self.openapi_v2.get(documents.openapi_v2.clone(), make).await.map_err(Status::internal)
    }

    /// Which documents of version 3 there are.
    ///
    /// # Errors
    /// When making it panicked.
    pub(crate) async fn openapi_index(&self) -> Result<Arc<discovery::Document>, Status> {
        self.documents().openapi.index(&self.openapi).await.map_err(Status::internal)
    }

    /// The document of version 3 of a group's version.
    ///
    /// # Errors
    /// NotFound when there is no such; when making it panicked.
    pub(crate) async fn openapi_of(&self, group: &str, version: &str) -> Result<Arc<discovery::Document>, Status> {
        let documents = self.documents();
        let document = documents.openapi.group_version(group, version, &self.openapi).await;
        document.map_err(Status::internal)?.ok_or_else(Status::no_such_path)
    }
}
