//! Content negotiation: which form of an answer, in which media type, an `Accept` header asks for.
//!
//! Clauses are tried in the order of their quality, then of the header. A clause that asks for something this server does
//! not speak (CBOR, an unknown `as`, a table in protobuf) is passed over, as Kubernetes' clients expect: they always list a
//! fallback.

use keelson_types::status::Status;

use super::media::Media;

/// The media types that answers come in, for the words of a refusal.
const ACCEPTED: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

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

/// What is offered beside JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// The kind is in the table of messages.
    pub protobuf: bool,
    /// A watch has no YAML: nothing would tell where an event ends.
    pub yaml: bool,
}

/// The form and the media type for objects, lists and watches.
///
/// # Errors
/// 406 when no clause can be served.
pub(super) fn form(accept: Option<&str>, offer: Offer) -> Result<(Form, Media), Status> {
    choose(accept, |clause, media| {
        let offered = match media {
            Media::Json => true,
            Media::Yaml => offer.yaml,
            Media::Protobuf => offer.protobuf,
        };
        if !offered {
            return None;
        }
        let version = || match clause.parameter("v") {
            Some("v1") => Some(MetaVersion::V1),
            Some("v1beta1") => Some(MetaVersion::V1Beta1),
            _ => None,
        };
        let form = match (clause.parameter("as"), clause.parameter("g")) {
            (None, _) => Some(Form::Object),
            // The cells of a row may be anything, for which a message has no place.
            (Some("Table"), Some("meta.k8s.io")) if media != Media::Protobuf => version().map(Form::Table),
            (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("meta.k8s.io")) => {
                version().map(Form::Metadata)
            }
            _ => None,
        };
        form.map(|form| (form, media))
    })
}

/// The media type of a Status that tells of a failure; JSON when nothing fits, since something must be said.
pub(super) fn failure(accept: Option<&str>) -> Media {
    choose(accept, |_, media| Some(media)).unwrap_or_default()
}

/// The form for discovery.
///
/// # Errors
/// 406 when no clause can be served.
pub(super) fn discovery(accept: Option<&str>) -> Result<DiscoveryForm, Status> {
    choose(accept, |clause, media| match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
        _ if media != Media::Json => None,
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
    choose(accept, |clause, media| (media == Media::Json && clause.parameter("as").is_none()).then_some(()))
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

    /// None when nothing here is of the type, or it is ruled out.
    fn media(&self) -> Option<Media> {
        match self.media_type {
            _ if self.quality <= 0.0 => None,
            "application/json" | "application/*" | "*/*" => Some(Media::Json),
            "application/yaml" => Some(Media::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Media::Protobuf),
            _ => None,
        }
    }
}

fn choose<T>(accept: Option<&str>, serve: impl Fn(&Clause<'_>, Media) -> Option<T>) -> Result<T, Status> {
    // Absent and empty both mean that anything is welcome.
    let accept = accept.filter(|accept| !accept.trim().is_empty()).unwrap_or("*/*");
    let mut clauses: Vec<Clause<'_>> = accept.split(',').map(|text| Clause::parse(text.trim())).collect();
    clauses.sort_by(|left, right| right.quality.total_cmp(&left.quality));
    clauses
        .iter()
        .find_map(|clause| clause.media().and_then(|media| serve(clause, media)))
        .ok_or_else(|| Status::not_acceptable(ACCEPTED))
}

#[cfg(test)]
mod tests {
    use keelson_fuzzing::{Texts, fuzz};

    use super::*;

    const ALL: Offer = Offer { protobuf: true, yaml: true };

    #[test]
    fn what_clients_ask_for_is_understood() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        let json = |form| (form, Media::Json);
        for (accept, wanted) in [
            (None, json(Form::Object)),
            (Some(""), json(Form::Object)),
            (Some("application/json"), json(Form::Object)),
            (Some("application/json, */*"), json(Form::Object)),
            (Some("application/vnd.kubernetes.protobuf,application/json"), (Form::Object, Media::Protobuf)),
            (Some("application/vnd.kubernetes.protobuf;q=0.8,application/json"), json(Form::Object)),
            (Some("application/json;q=0.1,application/yaml;q=0.2"), (Form::Object, Media::Yaml)),
            (Some("application/cbor,application/vnd.kubernetes.protobuf;q=0.5"), (Form::Object, Media::Protobuf)),
            (Some("application/vnd.kubernetes.protobuf;stream=watch"), (Form::Object, Media::Protobuf)),
            (Some("application/json;stream=watch"), json(Form::Object)),
            (Some(table), json(Form::Table(MetaVersion::V1))),
            (
                Some("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json"),
                json(Form::Object),
            ),
            (
                Some("application/json;q=0.5,application/json;as=Table;v=v1beta1;g=meta.k8s.io"),
                json(Form::Table(MetaVersion::V1Beta1)),
            ),
            (
                Some("application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
                (Form::Metadata(MetaVersion::V1), Media::Protobuf),
            ),
            (Some("application/json;as=Unheard;g=meta.k8s.io;v=v1,application/json"), json(Form::Object)),
        ] {
            assert_eq!(form(accept, ALL).expect("served"), wanted, "{accept:?}");
        }
        for accept in ["application/cbor", "text/html", "application/json;q=0"] {
            assert_eq!(form(Some(accept), ALL).expect_err(accept).code, 406);
        }
        let neither = Offer { protobuf: false, yaml: false };
        for accept in ["application/vnd.kubernetes.protobuf", "application/yaml"] {
            assert_eq!(form(Some(accept), neither).expect_err(accept).code, 406);
            let fallback = format!("{accept},application/json");
            assert_eq!(form(Some(&fallback), neither).expect("served"), json(Form::Object));
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

    #[test]
    fn nobody_gets_what_is_not_offered_and_a_fallback_is_always_found() {
        let seeds = [
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            "application/vnd.kubernetes.protobuf;q=0.8, application/yaml;q=0.9, */*;q=0.1",
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
        ];
        let words =
            [";q=", "0", "-1", "NaN", "inf", "1e39", ",", ";", "=", "as=", "v=v1", "*/*", "application/", "text/html"];
        fuzz!(Texts::new(&seeds, &words), |accept| {
            let _ = (discovery(Some(accept)), json(Some(accept)), failure(Some(accept)));
            if let Ok((_, media)) = form(Some(accept), Offer { protobuf: false, yaml: false }) {
                assert_eq!(media, Media::Json, "{accept}");
            }
            let chosen = form(Some(accept), ALL);
            assert!(chosen.as_ref().err().is_none_or(|status| status.code == 406));
            form(Some(&format!("{accept},application/json")), ALL).expect("the fallback is served");
            chosen.is_ok()
        });
    }
}
