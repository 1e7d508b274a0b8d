//! Lists: from the cache for the present, from the store's history for pages of the past.
//!
//! A list is made of shared pointers: what it costs in memory is a snapshot (constant), or a page.

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use keelson_proto::etcdserverpb::RangeRequest;
use keelson_types::Kind;
use keelson_types::status::Status;
use serde::{Deserialize, Serialize};

use super::Pipeline;
use super::authorize::Verb;
use super::request::{ListOptions, ReadVersion, Target, User};
use crate::cache::{Object, Objects};
use crate::keys;
use crate::select::Selection;
use crate::status_code;

/// Objects in a page that is read from the store's history. Asked for more, the answer is shorter and says so.
const HISTORIC_PAGE_MAX: usize = 500;
/// Bytes in such a page.
const HISTORIC_PAGE_BYTES_MAX: usize = 16 << 20;

/// A page of a namespace does not say how many objects follow it when its kind has more: to count them, each is walked over.
const COUNTED_MAX: usize = 100_000;

/// How many objects a walk through a snapshot takes at a time.
const SNAPSHOT_STEP: usize = 256;

/// A list at one revision.
#[derive(Debug)]
pub struct List {
    pub resource_version: i64,
    /// For the next page; empty when the list is complete.
    pub continue_token: String,
    /// How many objects follow after this page; None when that is not known.
    pub remaining: Option<i64>,
    pub items: Items,
}

/// The objects of a list, in the order of their paths. Never blocks. A clone walks on by itself.
#[derive(Clone, Debug)]
pub struct Items {
    ready: std::vec::IntoIter<Arc<Object>>,
    /// What is left of a snapshot; None for a page.
    rest: Option<Rest>,
}

#[derive(Clone, Debug)]
struct Rest {
    objects: Objects,
    selection: Arc<Selection>,
    /// An iterator would borrow the map that it walks, so the position is kept as the last path instead.
    after: Arc<str>,
}

/// Where a page ended. Opaque to clients.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Continue {
    /// Format of this token.
    v: u8,
    /// The revision of the whole list, or [`NEWEST`].
    rv: i64,
    /// The path after which the next page begins.
    after: String,
}

const CONTINUE_FORMAT: u8 = 1;
/// Instead of a revision: the list goes on with what there is when it does.
const NEWEST: i64 = -1;

impl Continue {
    fn encode(revision: i64, after: &str) -> String {
        let token = Continue { v: CONTINUE_FORMAT, rv: revision, after: after.to_owned() };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    fn decode(token: &str) -> Result<Continue, Status> {
        URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|json| serde_json::from_slice::<Continue>(&json).ok())
            .filter(|token| token.v == CONTINUE_FORMAT && (token.rv > 0 || token.rv == NEWEST))
            .ok_or_else(|| Status::bad_request("continue key is not valid"))
    }
}

impl Items {
    /// Exactly these.
    pub fn page(objects: Vec<Arc<Object>>) -> Items {
        Items { ready: objects.into_iter(), rest: None }
    }

    /// Everything selected in a snapshot.
    pub fn snapshot(objects: Objects, selection: Arc<Selection>) -> Items {
        Items { ready: Vec::new().into_iter(), rest: Some(Rest { objects, selection, after: "".into() }) }
    }

    /// At most `max` objects, and not many more than `bytes_max` bytes; empty at the end.
    pub fn chunk(&mut self, max: usize, bytes_max: usize) -> Vec<Arc<Object>> {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while chunk.len() < max && bytes < bytes_max {
            let Some(object) = self.next() else { break };
            bytes += object.json().len();
            chunk.push(object);
        }
        chunk
    }
}

impl Items {
    /// The chunks, of which each knows whether it is the last.
    pub fn chunked(self) -> Chunks {
        Chunks { items: self.peekable() }
    }
}

/// A list in chunks.
#[derive(Debug)]
pub struct Chunks {
    items: std::iter::Peekable<Items>,
}

impl Chunks {
    /// At most `max` objects, and not many more than `bytes_max` bytes, and whether these are the last.
    pub fn take(&mut self, max: usize, bytes_max: usize) -> (Vec<Arc<Object>>, bool) {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while chunk.len() < max && bytes < bytes_max {
            let Some(object) = self.items.next() else { break };
            bytes += object.json().len();
            chunk.push(object);
        }
        let last = self.items.peek().is_none();
        (chunk, last)
    }
}

impl Iterator for Items {
    type Item = Arc<Object>;

    fn next(&mut self) -> Option<Arc<Object>> {
        if let Some(object) = self.ready.next() {
            return Some(object);
        }
        let rest = self.rest.as_mut()?;
        let found = walk(&rest.objects, &rest.selection, &rest.after, SNAPSHOT_STEP);
        match found.last() {
            Some(last) => rest.after = last.path().clone(),
            None => self.rest = None,
        }
        self.ready = found.into_iter();
        self.ready.next()
    }
}

/// At most `max` selected objects after the path `after`, which is empty at the beginning.
pub(super) fn walk(objects: &Objects, selection: &Selection, after: &str, max: usize) -> Vec<Arc<Object>> {
    if let Some(only) = selection.only() {
        let found = objects.get(only).filter(|_| after.is_empty());
        return found.and_then(|object| selection.take(object)).into_iter().collect();
    }
    within(objects, selection.namespace(), after).filter_map(|object| selection.take(object)).take(max).collect()
}

/// The objects of a namespace, or of all when it is empty, that come after a path.
fn within<'a>(objects: &'a Objects, namespace: &str, after: &str) -> impl Iterator<Item = &'a Arc<Object>> {
    let (first, end) = match namespace {
        "" => (String::new(), None),
        namespace => (format!("{namespace}/"), Some(format!("{namespace}0"))),
    };
    let lower = if after.is_empty() { Bound::Included(first.as_str()) } else { Bound::Excluded(after) };
    let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    objects.range::<(Bound<&str>, Bound<&str>), str>((lower, upper)).map(|(_, object)| object)
}

impl Pipeline {
    /// Lists a collection.
    ///
    /// # Errors
    /// Forbidden; BadRequest for a selector or token that is not one; Expired when the pages' revision is compacted.
    pub async fn list(&self, user: &User, target: &Target, options: ListOptions) -> Result<List, Status> {
        self.authorize_collection(user, Verb::List, target, &options.field_selector)?;
        self.list_allowed(target, options).await
    }

    /// The same for somebody who was asked already.
    pub(super) async fn list_allowed(&self, target: &Target, options: ListOptions) -> Result<List, Status> {
        if target.kind.is_observed() {
            return self.list_measured(target, options).await;
        }
        // What the selectors say is read by the kind as it is when the answer is made.
        let select = |kind| Selection::parse(kind, &target.namespace, &options.label_selector, &options.field_selector);
        if !options.continue_token.is_empty() {
            if !matches!(options.version, ReadVersion::MostRecent | ReadVersion::Any) {
                let message = "specifying resource version is not allowed when using continue";
                return Err(Status::bad_request(message));
            }
            let token = Continue::decode(&options.continue_token)?;
            if token.rv == NEWEST {
                self.await_version(ReadVersion::MostRecent).await?;
                let kind = self.current(target.kind)?;
                let (objects, revision) = self.caches.snapshot_of(self.serving(kind)?.as_ref());
                return Ok(list_snapshot(objects, revision, select(kind)?, &token.after, options.limit));
            }
            // This member may lag behind the one that gave the token.
            self.caches.wait(token.rv).await?;
            let kind = self.current(target.kind)?;
            return self.list_historic(kind, &select(kind)?, token.rv, &token.after, options.limit).await;
        }
        self.await_version(options.version).await?;
        let kind = self.current(target.kind)?;
        if let ReadVersion::Exact(revision) = options.version {
            return self.list_historic(kind, &select(kind)?, revision, "", options.limit).await;
        }
        let (objects, revision) = self.caches.snapshot_of(self.serving(kind)?.as_ref());
        Ok(list_snapshot(objects, revision, select(kind)?, "", options.limit))
    }

    /// A page of the state at `revision`, which the caches have reached, from the store.
    async fn list_historic(
        &self,
        kind: &'static Kind,
        selection: &Selection,
        revision: i64,
        after: &str,
        limit: usize,
    ) -> Result<List, Status> {
        let limit = if limit == 0 { HISTORIC_PAGE_MAX } else { limit.min(HISTORIC_PAGE_MAX) };
        let prefix = keys::prefix(kind);
        let within = match selection.namespace() {
            "" => prefix.clone(),
            namespace => format!("{prefix}{namespace}/"),
        };
        let range_end = Bytes::from(keys::range_end(&within));
        let mut key = match after {
            "" => Bytes::from(within),
            after => Bytes::from(format!("{prefix}{after}\0")),
        };
        let mut items: Vec<Arc<Object>> = Vec::new();
        let mut bytes = 0;
        loop {
            let request = RangeRequest {
                key,
                range_end: range_end.clone(),
                limit: limit as i64,
                revision,
                serializable: true,
                ..RangeRequest::default()
            };
            let page = self.store.range(request).await.map_err(|error| expired(error, revision, after))?;
            let mut last: &[u8] = &[];
            for (index, kv) in page.kvs.iter().enumerate() {
                last = &kv.key;
                let Some(path) = last.get(prefix.len()..).and_then(|path| std::str::from_utf8(path).ok()) else {
                    continue;
                };
                let Ok(object) = Object::decode(kind.stored(), path, &kv.value, kv.mod_revision) else { continue };
                let Some(object) = selection.take(&Arc::new(object)) else { continue };
                if items.len() == limit || bytes >= HISTORIC_PAGE_BYTES_MAX {
                    let continue_token = items.last().map(|item| Continue::encode(revision, item.path()));
                    return Ok(List {
                        resource_version: revision,
                        continue_token: continue_token.unwrap_or_default(),
                        // The store counts what is left of the range, whatever the limit.
                        remaining: selection.is_everything().then(|| page.count - index as i64),
                        items: Items::page(items),
                    });
                }
                bytes += object.size_bytes();
                items.push(object);
            }
            if !page.more || last.is_empty() {
                return Ok(List {
                    resource_version: revision,
                    continue_token: String::new(),
                    remaining: None,
                    items: Items::page(items),
                });
            }
            key = Bytes::from([last, b"\0"].concat());
        }
    }
}

fn list_snapshot(objects: Objects, revision: i64, selection: Selection, after: &str, limit: usize) -> List {
    if limit == 0 && after.is_empty() {
        let items = Items::snapshot(objects, Arc::new(selection));
        return List { resource_version: revision, continue_token: String::new(), remaining: None, items };
    }
    let limit = if limit == 0 { usize::MAX } else { limit };
    // One more than the page tells whether there is another.
    let mut items = walk(&objects, &selection, after, limit.saturating_add(1));
    let mut continue_token = String::new();
    let mut remaining = None;
    if items.len() > limit {
        items.truncate(limit);
        let last = items.last().map(|item| item.path().clone()).unwrap_or_default();
        continue_token = Continue::encode(revision, &last);
        if selection.is_everything() {
            remaining = match selection.namespace() {
                "" if after.is_empty() => Some(objects.len() - limit),
                namespace if objects.len() <= COUNTED_MAX => Some(within(&objects, namespace, &last).count()),
                _ => None,
            };
        }
    }
    let remaining = remaining.map(|count| count as i64);
    List { resource_version: revision, continue_token, remaining, items: Items::page(items) }
}

fn expired(error: keelson_store::Error, revision: i64, after: &str) -> Status {
    match error {
        keelson_store::Error::Compacted { .. } if after.is_empty() => {
            Status::expired(format!("the resourceVersion {revision} is too old to list objects as they were then"))
        }
        keelson_store::Error::Compacted { .. } => Status::list_expired(
            format!(
                "The provided continue parameter is too old to display a consistent list result (revision {revision}). You \
                 can start a new list without the continue parameter, or go on with the one in this answer, by which the \
                 rest is listed as it is now: what has changed in between may be missing or come twice."
            ),
            Continue::encode(NEWEST, after),
        ),
        error => status_code::of_read(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keelson_fuzzing::{Texts, fuzz};
    use keelson_types::registry;

    fn objects(paths: &[&str]) -> Objects {
        let kind = registry::by_name("pods").expect("pods are registered");
        let decode = |path: &&str| {
            let object = Object::decode(kind, path, br#"{"metadata":{}}"#, 1).expect("decodes");
            (object.path().clone(), Arc::new(object))
        };
        paths.iter().map(decode).collect()
    }

    fn selection(namespace: &str, fields: &str) -> Selection {
        let kind = registry::by_name("pods").expect("pods are registered");
        Selection::parse(kind, namespace, "", fields).expect("parses")
    }

    fn paths(items: impl Iterator<Item = Arc<Object>>) -> Vec<String> {
        items.map(|item| item.path().to_string()).collect()
    }

    #[test]
    fn a_namespace_is_walked_without_its_neighbours() {
        let objects = objects(&["a/x", "a-b/x", "a/y", "a0/x", "b/x"]);
        let items = Items::snapshot(objects.clone(), Arc::new(selection("a", "")));
        assert_eq!(paths(items), ["a/x", "a/y"]);
        let items = Items::snapshot(objects.clone(), Arc::new(selection("b", "metadata.name=x")));
        assert_eq!(paths(items), ["b/x"]);
        let items = Items::snapshot(objects, Arc::new(selection("", "metadata.name=x")));
        assert_eq!(paths(items), ["a-b/x", "a/x", "a0/x", "b/x"]);
    }

    #[test]
    fn a_snapshot_is_walked_in_steps_to_its_end() {
        let names: Vec<String> = (0..3 * SNAPSHOT_STEP + 1).map(|i| format!("n/{i:06}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let items = Items::snapshot(objects(&names), Arc::new(selection("", "")));
        assert_eq!(paths(items), names);
    }

    #[test]
    fn a_page_tells_whether_there_is_another() {
        let objects = objects(&["n/a", "n/b", "n/c"]);
        let list = list_snapshot(objects.clone(), 7, selection("", ""), "", 2);
        assert_eq!(list.remaining, Some(1));
        assert_eq!(list_snapshot(objects.clone(), 7, selection("n", ""), "", 1).remaining, Some(2));
        assert_eq!(list_snapshot(objects.clone(), 7, selection("n", "metadata.name!=a"), "", 1).remaining, None);
        let rest = list_snapshot(objects.clone(), 7, selection("n", ""), "n/a", 0);
        assert_eq!(paths(rest.items), ["n/b", "n/c"]);
        let token = Continue::decode(&list.continue_token).expect("is a token");
        assert_eq!(token, Continue { v: CONTINUE_FORMAT, rv: 7, after: "n/b".to_owned() });
        let list = list_snapshot(objects, 7, selection("", ""), "", 3);
        assert_eq!((list.continue_token.as_str(), list.remaining), ("", None));
    }

    #[test]
    fn a_list_whose_revision_is_gone_can_be_continued_at_the_newest() {
        let status = expired(keelson_store::Error::Compacted { requested: 7, compacted: 9 }, 7, "n/b");
        assert_eq!((status.code, status.reason), (410, keelson_types::status::Reason::Expired));
        let token = Continue::decode(&status.continue_token).expect("is a token");
        assert_eq!(token, Continue { v: CONTINUE_FORMAT, rv: NEWEST, after: "n/b".to_owned() });
        let wire = serde_json::to_value(&status).expect("serializes");
        assert_eq!(wire["metadata"]["continue"], *status.continue_token);
        assert_eq!(&*expired(keelson_store::Error::Compacted { requested: 7, compacted: 9 }, 7, "").continue_token, "");
    }

    #[test]
    fn a_forged_token_is_refused() {
        for token in ["x", "e30", &URL_SAFE_NO_PAD.encode(br#"{"v":1,"rv":0,"after":""}"#)] {
            assert_eq!(Continue::decode(token).expect_err(token).code, 400);
        }
    }

    #[test]
    fn a_token_that_is_taken_says_where_to_go_on_and_every_other_is_refused() {
        let seeds = [Continue::encode(7, "n/b"), Continue::encode(NEWEST, ""), Continue::encode(i64::MAX, "ä")];
        let long = URL_SAFE_NO_PAD.encode(r#"{"v":1,"rv":-7,"after":"a","more":[]}"#);
        let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
        fuzz!(Texts::new(&seeds, &[long.as_str(), "eyJ2Ijox", "=", "-", "_", "+", "fQ"]), |text| {
            match Continue::decode(text) {
                Ok(token) => {
                    assert!(token.rv > 0 || token.rv == NEWEST);
                    assert_eq!(Continue::decode(&Continue::encode(token.rv, &token.after)).expect("is one"), token);
                    true
                }
                Err(status) => {
                    assert_eq!(status.code, 400);
                    false
                }
            }
        });
    }
}
