//! Questions about users and what they may do. Each is created, answered in its status, and forgotten.

use bytes::Bytes;
use keelson_types::field::{Error, Path};
use keelson_types::status::Status;
use serde_json::{Value, json};

use super::request::{FieldValidation, Outcome, Target, User, Written};
use super::{Pipeline, Verb, decode};
use crate::rbac::{self, Action, Decision, Rule};

impl Pipeline {
    /// Answers a review.
    ///
    /// # Errors
    /// Forbidden when the user may not ask, BadRequest and Invalid for a question that makes no sense.
    pub(super) async fn review(
        &self,
        user: &User,
        target: &Target,
        body: &Bytes,
        validation: FieldValidation,
    ) -> Result<Written, Status> {
        self.authorize(user, Verb::Create, target)?;
        let (mut object, warnings) = decode::object(target, body, validation)?;
        // Roles that this member has not seen yet must count.
        self.await_version(super::ReadVersion::MostRecent).await?;
        let kind = target.kind;
        let invalid = |errors: Vec<Error>| Status::invalid(kind.group, kind.kind, "", &errors);
        let spec = &object["spec"];
        let status = match kind.kind {
            "SelfSubjectReview" => json!({ "userInfo": shown(user) }),
            "TokenReview" => {
                if text(&spec["token"]).is_empty() {
                    let path = Path::new("spec");
                    return Err(invalid(vec![Error::required(&path.child("token"), "")]));
                }
                // Users are known by certificates; there is no token that would say who somebody is.
                json!({ "user": {}, "error": "invalid bearer token: this server authenticates by certificates alone" })
            }
            "SelfSubjectRulesReview" => {
                let namespace = text(&spec["namespace"]);
                if namespace.is_empty() {
                    return Err(Status::bad_request("no namespace on request"));
                }
                self.rules_of(user, namespace)
            }
            "SelfSubjectAccessReview" => self.access(user, spec).map_err(invalid)?,
            "SubjectAccessReview" | "LocalSubjectAccessReview" => {
                let attributes = &spec["resourceAttributes"];
                if kind.namespaced && text(&attributes["namespace"]) != target.namespace {
                    let path = Path::new("spec");
                    let path = path.child("resourceAttributes");
                    let why = "must match metadata.namespace";
                    return Err(invalid(vec![Error::invalid(
                        &path.child("namespace"),
                        attributes["namespace"].clone(),
                        why,
                    )]));
                }
                let asked = User { name: text(&spec["user"]).to_owned(), groups: texts(&spec["groups"]) };
                if asked.name.is_empty() && asked.groups.is_empty() {
                    let path = Path::new("spec");
                    let why = "at least one of user or group must be specified";
                    return Err(invalid(vec![Error::invalid(&path.child("user"), "", why)]));
                }
                self.access(&asked, spec).map_err(invalid)?
            }
            other => return Err(Status::not_implemented(format!("answering a {other}"))),
        };
        object["status"] = status;
        let json = serde_json::to_vec(&object).map_err(Status::internal)?;
        Ok(Written { json: json.into(), outcome: Outcome::Created, warnings })
    }

    /// Whether `user` may do what `spec` describes.
    fn access(&self, user: &User, spec: &Value) -> Result<Value, Vec<Error>> {
        let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
        let action = match (resource.is_object(), path.is_object()) {
            (true, false) => Action::Resource {
                verb: text(&resource["verb"]),
                group: text(&resource["group"]),
                resource: text(&resource["resource"]),
                subresource: text(&resource["subresource"]),
                name: text(&resource["name"]),
                namespace: text(&resource["namespace"]),
            },
            (false, true) => Action::Path { verb: text(&path["verb"]), path: text(&path["path"]) },
            (both, _) => {
                let spec_path = Path::new("spec");
                let (field, why) = match both {
                    true => ("nonResourceAttributes", "cannot be specified in combination with resourceAttributes"),
                    false => (
                        "resourceAttributes",
                        "exactly one of nonResourceAttributes or resourceAttributes must be specified",
                    ),
                };
                return Err(vec![Error::invalid(&spec_path.child(field), spec[field].clone(), why)]);
            }
        };
        let Decision { allowed, missing } = self.decide(user, &action);
        let mut status = json!({ "allowed": allowed });
        if !missing.is_empty() {
            status["reason"] = format!("RBAC: {}", missing.join(", ")).into();
        }
        Ok(status)
    }

    fn rules_of(&self, user: &User, namespace: &str) -> Value {
        let (rules, missing) = if user.may_do_all() {
            (Rule::everything().to_vec(), Vec::new())
        } else {
            self.roles.policy(&self.caches).rules(user, namespace)
        };
        let (paths, resources): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| !rule.paths.is_empty());
        let shown = |rules: Vec<&Rule>| -> Vec<Value> { rules.into_iter().map(Rule::to_value).collect() };
        let mut status = json!({
            "resourceRules": shown(resources), "nonResourceRules": shown(paths), "incomplete": !missing.is_empty(),
        });
        if !missing.is_empty() {
            status["evaluationError"] = missing.join(", ").into();
        }
        status
    }
}

fn shown(user: &User) -> Value {
    json!({ "username": user.name, "groups": rbac::groups(user).collect::<Vec<&str>>() })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
