//! Content negotiation: which form of an answer an `Accept` header asks for.
//!
//! Clauses are tried in the order of their quality, then of the header. A clause that asks for something this server does
//! not speak (protobuf, an unknown `as`) is passed over, as Kubernetes' clients expect: they always list a fallback.

use keelson_types::status::Status;

/// The media types that answers come in, for the words of a refusal.
const ACCEPTED: &[&str] = &["application/json"];

/// The form of an object, list or watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// The object as it is.
    #[default]
    Object,
    /// `as=Table`: rows of cells, for people to read.
    Table(MetaVersion),
    /// `as=PartialObjectMetadata` or `…List`: metadata only.
    Metadata(MetaVersion),
}

/// The version of `meta.k8s.io` that a transformed answer claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetaVersion {
    V1,
    V1Beta1,
}

impl MetaVersion {
    pub(super) const fn api_version(self) -> &'static str {
        match self {
            MetaVersion::V1 => "meta.k8s.io/v1",
            MetaVersion::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// The form of a discovery document at `/api` and `/apis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiscoveryForm {
    Legacy,
    AggregatedV2,
    AggregatedV2Beta1,
}

/// The form for objects, lists and watches.
///
/// # Errors
/// 406 when no clause can be served.
pub(super) fn form(accept: Option<&str>) -> Result<Form, Status> {
    choose(accept, |clause| {
        let version = || match clause.parameter("v") {
            Some("v1") => Some(MetaVersion::V1),
            Some("v1beta1") => Some(MetaVersion::V1Beta1),
            _ => None,
        };
        match (clause.parameter("as"), clause.parameter("g")) {
            (None, _) => Some(Form::Object),
            (Some("Table"), Some("meta.k8s.io")) => version().map(Form::Table),
            (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("meta.k8s.io")) => {
                version().map(Form::Metadata)
            }
            _ => None,
        }
    })
}

/// The form for discovery.
///
/// # Errors
/// 406 when no clause can be served.
pub(super) fn discovery(accept: Option<&str>) -> Result<DiscoveryForm, Status> {
    choose(accept, |clause| match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
        (None, _, _) => Some(DiscoveryForm::Legacy),
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Some(DiscoveryForm::AggregatedV2),
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
            Some(DiscoveryForm::AggregatedV2Beta1)
        }
        _ => None,
    })
}

/// Checks that plain JSON is acceptable.
///
/// # Errors
/// 406 when it is not.
pub(super) fn json(accept: Option<&str>) -> Result<(), Status> {
    choose(accept, |clause| clause.parameter("as").is_none().then_some(()))
}

struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let quality = parameters.iter().find(|(name, _)| *name == "q").and_then(|(_, q)| q.parse().ok()).unwrap_or(1.0);
        Self { media_type, parameters, quality }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(parameter, _)| *parameter == name).map(|(_, value)| *value)
    }

    fn admits_json(&self) -> bool {
        self.quality > 0.0 && matches!(self.media_type, "application/json" | "application/*" | "*/*")
    }
}

fn choose<T>(accept: Option<&str>, serve: impl Fn(&Clause<'_>) -> Option<T>) -> Result<T, Status> {
    // Absent and empty both mean that anything is welcome.
    let accept = accept.filter(|accept| !accept.trim().is_empty()).unwrap_or("*/*");
    let mut clauses: Vec<Clause<'_>> = accept.split(',').map(|text| Clause::parse(text.trim())).collect();
    clauses.sort_by(|left, right| right.quality.total_cmp(&left.quality));
    clauses.iter().filter(|clause| clause.admits_json()).find_map(serve).ok_or_else(|| Status::not_acceptable(ACCEPTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubectl_asks_for_is_understood() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (accept, wanted) in [
            (None, Form::Object),
            (Some(""), Form::Object),
            (Some("application/json"), Form::Object),
            (Some("application/json, */*"), Form::Object),
            (Some("application/vnd.kubernetes.protobuf,application/json"), Form::Object),
            (Some("application/json;stream=watch"), Form::Object),
            (Some(table), Form::Table(MetaVersion::V1)),
            (
                Some("application/json;q=0.5,application/json;as=Table;v=v1beta1;g=meta.k8s.io"),
                Form::Table(MetaVersion::V1Beta1),
            ),
            (Some("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"), Form::Metadata(MetaVersion::V1)),
            (Some("application/json;as=Unheard;g=meta.k8s.io;v=v1,application/json"), Form::Object),
        ] {
            assert_eq!(form(accept).expect("served"), wanted, "{accept:?}");
        }
        for accept in ["application/vnd.kubernetes.protobuf", "text/html", "application/json;q=0", "application/yaml"] {
            assert_eq!(form(Some(accept)).expect_err(accept).code, 406);
        }
    }

    #[test]
    fn discovery_is_aggregated_for_those_who_ask() {
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
        let nopeer =
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer,application/json";
        assert_eq!(discovery(Some(v2)).expect("served"), DiscoveryForm::AggregatedV2);
        assert_eq!(discovery(Some(nopeer)).expect("served"), DiscoveryForm::AggregatedV2);
        assert_eq!(discovery(Some("application/json, */*")).expect("served"), DiscoveryForm::Legacy);
    }
}
