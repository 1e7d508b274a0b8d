//! Kinds that users define, as far as loops must know them: what their definitions say, read when somebody asks.

use keelson_client::{Client, Error, ListOptions, Resource};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

/// Definitions in one page: each may hold a schema of a megabyte.
const PAGE: i64 = 20;
/// How long a kind that was not found is not looked for again.
const REFRESH: Duration = Duration::from_secs(10);

/// A kind, in the version that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Custom {
    pub resource: Resource,
    pub kind: String,
    pub namespaced: bool,
}

/// Every kind that users define and the API serves.
///
/// # Errors
/// The API's.
pub(crate) async fn kinds(client: &Client) -> Result<Vec<Custom>, Error> {
    let definitions = Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let mut found = Vec::new();
    let mut options = ListOptions { limit: PAGE, ..ListOptions::default() };
    loop {
        let page = client.raw().list(&definitions.object("", ""), &options).await?;
        found.extend(page.items.iter().filter_map(of));
        if page.continue_token.is_empty() {
            return Ok(found);
        }
        options.continue_token = page.continue_token;
    }
}

fn of(definition: &Value) -> Option<Custom> {
    let (spec, status) = (&definition["spec"], &definition["status"]);
    let established = |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
    status["conditions"].as_array()?.iter().find(|condition| established(condition))?;
    // Any version that is served shows all the objects.
    let version = spec["versions"].as_array()?.iter().find(|version| version["served"] == true)?;
    Some(Custom {
        resource: Resource::new(spec["group"].as_str()?, version["name"].as_str()?, spec["names"]["plural"].as_str()?),
        kind: spec["names"]["kind"].as_str()?.to_owned(),
        namespaced: spec["scope"] == "Namespaced",
    })
}

/// The kinds, kept until one is asked for that is not among them.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<(Option<Instant>, Vec<Custom>)>);

impl Known {
    /// `None` when there is no such kind.
    ///
    /// # Errors
    /// The API's.
    pub async fn find(&self, client: &Client, group: &str, kind: &str) -> Result<Option<Custom>, Error> {
        let mut known = self.0.lock().await;
        let among = |kinds: &[Custom]| {
            kinds.iter().find(|custom| custom.kind == kind && custom.resource.group == group).cloned()
        };
        let found = among(&known.1);
        let fresh = known.0.is_some_and(|read| read.elapsed() < REFRESH);
        if found.is_some() || fresh {
            return Ok(found);
        }
        *known = (Some(Instant::now()), kinds(client).await?);
        Ok(among(&known.1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kind_is_known_once_it_is_established() {
        let mut definition = json!({
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "crontabs", "kind": "CronTab"},
                "versions": [{"name": "v1alpha1", "served": false}, {"name": "v1", "served": true}],
            },
        });
        assert_eq!(of(&definition), None);
        definition["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
        let resource = Resource::new("example.com", "v1", "crontabs");
        assert_eq!(of(&definition), Some(Custom { resource, kind: "CronTab".to_owned(), namespaced: true }));
    }
}
