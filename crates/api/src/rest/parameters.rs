//! Query parameters, read once and checked here, so that verbs get plain options.

use std::str::FromStr;
use std::time::Duration;

use axum::extract::Query;
use http::Uri;
use keelson_types::field::{Error, Path};
use keelson_types::status::Status;

use crate::pipeline::{
    DeleteOptions, FieldValidation, ListOptions, Propagation, ReadVersion, WatchOptions, WatchStart, WriteOptions,
};

/// The most objects that one page of a list holds, whatever the client asks.
const LIMIT_MAX: usize = 100_000;

/// The decoded pairs of a query.
pub(super) struct Parameters(Vec<(String, String)>);

/// What a watch asks for.
#[derive(Debug)]
pub(super) struct Watch {
    /// `start` counts only when `from_now` is not set.
    pub options: WatchOptions,
    /// The bookmark after the initial events must carry Kubernetes' annotation.
    pub send_initial_events: bool,
    /// `sendInitialEvents=false` without a version: what happens after the request, and nothing else.
    pub from_now: bool,
}

/// What to put into a table row's `object`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

impl Parameters {
    /// # Errors
    /// A query that is not `application/x-www-form-urlencoded`.
    pub(super) fn parse(uri: &Uri) -> Result<Self, Status> {
        match Query::<Vec<(String, String)>>::try_from_uri(uri) {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(error) => Err(Status::bad_request(format!("the query cannot be read: {error}"))),
        }
    }

    /// The first value of a parameter; None when it is absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter, in order.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Status> {
        match self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()) {
            None | Some("false" | "0") => Ok(false),
            // A bare `?watch` is true.
            Some("true" | "1" | "") => Ok(true),
            Some(other) => Err(bad(name, other, "must be true or false")),
        }
    }

    pub(super) fn number<T: FromStr + PartialOrd + Default>(&self, name: &str) -> Result<Option<T>, Status> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse::<T>() {
            Ok(number) if number >= T::default() => Ok(Some(number)),
            _ => Err(bad(name, text, "must be a non-negative integer")),
        }
    }

    /// `metadata.name` etc. of a single read.
    pub(super) fn read_version(&self) -> Result<ReadVersion, Status> {
        match self.resource_version()? {
            None => Ok(ReadVersion::MostRecent),
            Some(0) => Ok(ReadVersion::Any),
            Some(revision) => Ok(ReadVersion::NotOlderThan(revision)),
        }
    }

    pub(super) fn list(&self) -> Result<ListOptions, Status> {
        let limit = self.number::<i64>("limit")?.unwrap_or(0);
        let continue_token = self.get("continue").unwrap_or_default().to_owned();
        if !continue_token.is_empty() && self.has("resourceVersionMatch") {
            return Err(forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden for continued lists"));
        }
        let version = match (self.resource_version()?, self.get("resourceVersionMatch")) {
            (None, None) => ReadVersion::MostRecent,
            (None, Some(_)) => {
                return Err(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            (Some(0), None | Some("NotOlderThan")) => ReadVersion::Any,
            (Some(0), Some("Exact")) => {
                return Err(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
            // Pages of a list without a match are of one exact revision, as they always were in Kubernetes.
            (Some(revision), None) if limit > 0 => ReadVersion::Exact(revision),
            (Some(revision), None | Some("NotOlderThan")) => ReadVersion::NotOlderThan(revision),
            (Some(revision), Some("Exact")) => ReadVersion::Exact(revision),
            (Some(_), Some(other)) => return Err(bad("resourceVersionMatch", other, "must be Exact or NotOlderThan")),
        };
        Ok(ListOptions {
            label_selector: self.get("labelSelector").unwrap_or_default().to_owned(),
            field_selector: self.get("fieldSelector").unwrap_or_default().to_owned(),
            limit: usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
            continue_token,
            version,
        })
    }

    pub(super) fn watch(&self) -> Result<Watch, Status> {
        let send_initial_events =
            if self.has("sendInitialEvents") { Some(self.flag("sendInitialEvents")?) } else { None };
        let bookmarks = self.flag("allowWatchBookmarks")?;
        match (send_initial_events, self.get("resourceVersionMatch")) {
            (Some(_), Some("NotOlderThan")) | (None, None) => {}
            (Some(_), _) => {
                return Err(forbidden(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
            (None, Some(_)) => {
                return Err(forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
        }
        let resource_version = self.resource_version()?;
        let start = match (send_initial_events, resource_version) {
            (Some(true), Some(revision)) if revision > 0 => WatchStart::Initial(ReadVersion::NotOlderThan(revision)),
            (_, None) => WatchStart::Initial(ReadVersion::MostRecent),
            (_, Some(0)) => WatchStart::Initial(ReadVersion::Any),
            (_, Some(revision)) => WatchStart::After(revision),
        };
        Ok(Watch {
            options: WatchOptions {
                label_selector: self.get("labelSelector").unwrap_or_default().to_owned(),
                field_selector: self.get("fieldSelector").unwrap_or_default().to_owned(),
                start,
                bookmarks,
                timeout: self.number::<u64>("timeoutSeconds")?.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            },
            send_initial_events: send_initial_events == Some(true),
            from_now: send_initial_events == Some(false) && resource_version.is_none_or(|revision| revision == 0),
        })
    }

    pub(super) fn write(&self) -> Result<WriteOptions, Status> {
        let field_validation = match self.get("fieldValidation") {
            // Kubernetes warns by default.
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => return Err(bad("fieldValidation", other, "must be Ignore, Warn or Strict")),
        };
        Ok(WriteOptions {
            fence_term: 0,
            dry_run: self.dry_run()?,
            field_validation,
            // Its length and characters are checked by the pipeline, for both fronts.
            field_manager: self.get("fieldManager").unwrap_or_default().to_owned(),
        })
    }

    /// Adds the parameters that a DELETE may carry beside its body, where they win.
    pub(super) fn delete(&self, mut options: DeleteOptions) -> Result<DeleteOptions, Status> {
        if let Some(seconds) = self.number::<i64>("gracePeriodSeconds")? {
            options.grace_period_seconds = Some(seconds);
        }
        if let Some(policy) = self.get("propagationPolicy") {
            options.propagation = Some(propagation(policy)?);
        } else if self.has("orphanDependents") {
            options.propagation =
                Some(if self.flag("orphanDependents")? { Propagation::Orphan } else { Propagation::Background });
        }
        Ok(options)
    }

    pub(super) fn dry_run(&self) -> Result<bool, Status> {
        match self.get("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(bad("dryRun", other, "the only dry run there is is All")),
        }
    }

    /// Whether an apply takes over what others manage.
    ///
    /// # Errors
    /// 422 with any other patch.
    pub(super) fn force(&self, is_apply: bool) -> Result<bool, Status> {
        if !is_apply && self.has("force") {
            let error = Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch");
            return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
        }
        self.flag("force")
    }

    pub(super) fn include_object(&self) -> Result<IncludeObject, Status> {
        match self.get("includeObject") {
            None | Some("Metadata") => Ok(IncludeObject::Metadata),
            Some("None") => Ok(IncludeObject::None),
            Some("Object") => Ok(IncludeObject::Object),
            Some(other) => Err(bad("includeObject", other, "must be None, Metadata or Object")),
        }
    }

    fn resource_version(&self) -> Result<Option<i64>, Status> {
        self.number("resourceVersion")
    }
}

/// A propagation policy by its name.
///
/// # Errors
/// Any other word.
pub(super) fn propagation(policy: &str) -> Result<Propagation, Status> {
    match policy {
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        "Orphan" => Ok(Propagation::Orphan),
        other => Err(bad("propagationPolicy", other, "must be Background, Foreground or Orphan")),
    }
}

fn bad(name: &str, value: &str, why: &str) -> Status {
    Status::bad_request(format!("{name}: Invalid value: {value:?}: {why}"))
}

fn forbidden(name: &str, why: &str) -> Status {
    Status::bad_request(format!("{name}: Forbidden: {why}"))
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Texts, fuzz};

    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters::parse(&format!("/x?{query}").parse().expect("a URI")).expect("a query")
    }

    #[test]
    fn a_list_reads_the_version_that_it_names() {
        for (query, wanted) in [
            ("", Some(ReadVersion::MostRecent)),
            ("limit=500", Some(ReadVersion::MostRecent)),
            ("resourceVersion=0&limit=500", Some(ReadVersion::Any)),
            ("resourceVersion=7", Some(ReadVersion::NotOlderThan(7))),
            ("resourceVersion=7&limit=1", Some(ReadVersion::Exact(7))),
            ("resourceVersion=7&resourceVersionMatch=Exact", Some(ReadVersion::Exact(7))),
            ("resourceVersion=7&limit=1&resourceVersionMatch=NotOlderThan", Some(ReadVersion::NotOlderThan(7))),
            ("resourceVersionMatch=Exact", None),
            ("resourceVersion=0&resourceVersionMatch=Exact", None),
            ("resourceVersion=abc", None),
            ("resourceVersion=-1", None),
            ("limit=-1", None),
        ] {
            assert_eq!(parameters(query).list().ok().map(|options| options.version), wanted, "{query}");
        }
    }

    #[test]
    fn a_watch_starts_where_it_is_told() {
        for (query, wanted) in [
            ("watch=true", Some(WatchStart::Initial(ReadVersion::MostRecent))),
            ("watch=true&resourceVersion=0", Some(WatchStart::Initial(ReadVersion::Any))),
            ("watch=true&resourceVersion=7", Some(WatchStart::After(7))),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
                Some(WatchStart::Initial(ReadVersion::MostRecent)),
            ),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=7",
                Some(WatchStart::Initial(ReadVersion::NotOlderThan(7))),
            ),
            ("sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=7", Some(WatchStart::After(7))),
            ("sendInitialEvents=true", None),
            ("resourceVersionMatch=NotOlderThan", None),
            ("timeoutSeconds=-5", None),
        ] {
            assert_eq!(parameters(query).watch().ok().map(|watch| watch.options.start), wanted, "{query}");
        }
    }

    #[test]
    fn parameters_that_mean_nothing_are_refused_with_their_name() {
        let refusals = [
            parameters("dryRun=Some").write().map(|_| ()),
            parameters("fieldValidation=Maybe").write().map(|_| ()),
            parameters("propagationPolicy=Later").delete(DeleteOptions::default()).map(|_| ()),
            parameters("includeObject=All").include_object().map(|_| ()),
            parameters("watch=perhaps").flag("watch").map(|_| ()),
        ];
        for (refusal, name) in
            refusals.iter().zip(["dryRun", "fieldValidation", "propagationPolicy", "includeObject", "watch"])
        {
            let status = refusal.as_ref().expect_err(name);
            assert_eq!(status.code, 400);
            assert!(status.message.starts_with(&format!("{name}: Invalid value")), "{status}");
        }
    }

    #[test]
    fn selectors_arrive_decoded() {
        let options =
            parameters("fieldSelector=spec.nodeName%3Dn1%2Cstatus.phase%21%3DFailed").list().expect("options");
        assert_eq!(options.field_selector, "spec.nodeName=n1,status.phase!=Failed");
    }

    #[test]
    fn any_query_means_something_bounded_or_is_refused_with_a_reason() {
        let seeds = [
            "limit=500&continue=abc&labelSelector=a%3Db&fieldSelector=metadata.name%3Dx",
            "watch=1&resourceVersion=7&timeoutSeconds=5&allowWatchBookmarks=true",
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            "dryRun=All&fieldManager=m&fieldValidation=Strict&force=true",
            "gracePeriodSeconds=0&propagationPolicy=Orphan&orphanDependents=false",
            "includeObject=None&limit",
        ];
        let words = [
            "&",
            "=",
            "%",
            "%00",
            "%ff",
            "+",
            "limit=",
            "resourceVersion=",
            "watch",
            "true",
            "Exact",
            "timeoutSeconds=",
        ];
        fuzz!(Texts::new(&seeds, &words), |query| {
            let Ok(uri) = format!("/x?{query}").parse::<Uri>() else { return false };
            let Ok(parameters) = Parameters::parse(&uri) else { return false };
            let told = |refused: Option<Status>| {
                assert!(refused.is_none_or(|status| matches!(status.code, 400 | 422) && !status.message.is_empty()));
            };
            let list = parameters.list();
            assert!(list.as_ref().map_or(0, |options| options.limit) <= LIMIT_MAX);
            told(list.err());
            told(parameters.watch().err());
            told(parameters.write().err());
            told(parameters.read_version().err());
            told(parameters.include_object().err());
            told(parameters.force(false).err());
            let deleted = parameters.delete(DeleteOptions::default());
            assert!(
                deleted.as_ref().is_ok_and(|options| options.grace_period_seconds.unwrap_or(0) >= 0)
                    || deleted.is_err()
            );
            told(deleted.err());
            true
        });
    }
}
