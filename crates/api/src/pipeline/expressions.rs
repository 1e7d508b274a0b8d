//! Expressions that objects bring beside the rules of schemas: in admission policies, conditions of webhooks and selectors of
//! devices. They are read when the object is written, so that whoever wrote one learns at once that it means nothing.

use keelson_schema::expression::{self, Gives};
use keelson_types::Kind;
use keelson_types::field::{self, Path};
use serde_json::Value;

/// What all of them know, and what those of policies know beside it.
const OF_REQUESTS: [&str; 4] = ["object", "oldObject", "request", "authorizer"];
const OF_POLICIES: [&str; 6] = ["object", "oldObject", "request", "authorizer", "namespaceObject", "variables"];

/// One expression, where it stands.
struct Expression<'a> {
    path: String,
    text: &'a str,
    gives: Gives,
    variables: Vec<&'static str>,
}

/// Checks the expressions of an object, but those that did not change: what was good once stays so.
pub(super) fn check(kind: &Kind, new: &Value, old: Option<&Value>, errors: &mut Vec<field::Error>) {
    let known = old.map(|old| of(kind, old)).unwrap_or_default();
    for expression in of(kind, new) {
        let same = |known: &Expression<'_>| {
            (known.text, known.gives) == (expression.text, expression.gives) && known.variables == expression.variables
        };
        if expression.text.trim().is_empty() || known.iter().any(same) {
            continue;
        }
        if let Err(why) = expression::check(expression.text, &expression.variables, expression.gives) {
            let path = Path::new(&expression.path);
            errors.push(field::Error::invalid(&path, expression.text, format!("compilation failed: {why}")));
        }
    }
}

fn of<'a>(kind: &Kind, object: &'a Value) -> Vec<Expression<'a>> {
    let mut found = Vec::new();
    let spec = &object["spec"];
    match (kind.group, kind.kind) {
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy") => {
            let mut variables = OF_POLICIES.to_vec();
            if spec["paramKind"].is_object() {
                variables.push("params");
            }
            for (list, parts, gives) in [
                ("variables", &["expression"][..], Gives::Anything),
                ("matchConditions", &["expression"], Gives::Truth),
                ("validations", &["expression"], Gives::Truth),
                ("validations", &["messageExpression"], Gives::Text),
                ("auditAnnotations", &["valueExpression"], Gives::Text),
                ("mutations", &["jsonPatch", "expression"], Gives::Anything),
                ("mutations", &["applyConfiguration", "expression"], Gives::Anything),
            ] {
                each(&spec[list], &format!("spec.{list}"), parts, gives, &variables, &mut found);
            }
        }
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => {
            for (index, webhook) in items(&object["webhooks"]) {
                let path = format!("webhooks[{index}].matchConditions");
                each(&webhook["matchConditions"], &path, &["expression"], Gives::Truth, &OF_REQUESTS, &mut found);
            }
        }
        ("resource.k8s.io", "DeviceClass") => selectors(&spec["selectors"], "spec.selectors", &mut found),
        ("resource.k8s.io", "ResourceClaim") => requests(&spec["devices"], "spec.devices", &mut found),
        ("resource.k8s.io", "ResourceClaimTemplate") => {
            requests(&spec["spec"]["devices"], "spec.spec.devices", &mut found);
        }
        _ => {}
    }
    found
}

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

/// The expression of each element, `parts` deep in it.
fn each<'a>(
    list: &'a Value,
    path: &str,
    parts: &[&str],
    gives: Gives,
    variables: &[&'static str],
    found: &mut Vec<Expression<'a>>,
) {
    for (index, element) in items(list) {
        let text = parts.iter().fold(element, |value, part| &value[*part]);
        if let Some(text) = text.as_str() {
            let path = format!("{path}[{index}].{}", parts.join("."));
            found.push(Expression { path, text, gives, variables: variables.to_vec() });
        }
    }
}

fn selectors<'a>(list: &'a Value, path: &str, found: &mut Vec<Expression<'a>>) {
    each(list, path, &["cel", "expression"], Gives::Truth, &["device"], found);
}

fn requests<'a>(devices: &'a Value, path: &str, found: &mut Vec<Expression<'a>>) {
    for (index, request) in items(&devices["requests"]) {
        let path = format!("{path}.requests[{index}]");
        selectors(&request["exactly"]["selectors"], &format!("{path}.exactly.selectors"), found);
        for (index, option) in items(&request["firstAvailable"]) {
            selectors(&option["selectors"], &format!("{path}.firstAvailable[{index}].selectors"), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use keelson_types::registry;
    use serde_json::json;

    use super::*;

    fn told(group: &str, plural: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
        let kind = registry::by_resource(group, plural).expect("a kind");
        let mut errors = Vec::new();
        check(kind, new, old, &mut errors);
        errors.into_iter().map(|error| format!("{} {}", error.reason.cause(), error.path)).collect()
    }

    #[test]
    fn an_expression_that_means_nothing_is_refused_where_it_stands() {
        let policy = |list: &str, element: Value| json!({"spec": {list: [element]}});
        let (policies, mutating) = ("validatingadmissionpolicies", "mutatingadmissionpolicies");
        let admission = "admissionregistration.k8s.io";
        let request = |request: Value| json!({"spec": {"devices": {"requests": [request]}}});
        let selector = json!([{"cel": {"expression": "device.."}}]);
        for (group, plural, object, path) in [
            (
                admission,
                policies,
                policy("validations", json!({"expression": "object.."})),
                "spec.validations[0].expression",
            ),
            (
                admission,
                policies,
                policy("validations", json!({"expression": "true", "messageExpression": "1"})),
                "spec.validations[0].messageExpression",
            ),
            (
                admission,
                policies,
                policy("validations", json!({"expression": "params.a"})),
                "spec.validations[0].expression",
            ),
            (admission, policies, policy("variables", json!({"expression": ")"})), "spec.variables[0].expression"),
            (
                admission,
                policies,
                policy("matchConditions", json!({"expression": "1"})),
                "spec.matchConditions[0].expression",
            ),
            (
                admission,
                policies,
                policy("auditAnnotations", json!({"valueExpression": "1"})),
                "spec.auditAnnotations[0].valueExpression",
            ),
            (
                admission,
                mutating,
                policy("mutations", json!({"jsonPatch": {"expression": "["}})),
                "spec.mutations[0].jsonPatch.expression",
            ),
            (
                admission,
                "validatingwebhookconfigurations",
                json!({"webhooks": [{"matchConditions": [{"expression": "object.."}]}]}),
                "webhooks[0].matchConditions[0].expression",
            ),
            (
                "resource.k8s.io",
                "deviceclasses",
                json!({"spec": {"selectors": selector}}),
                "spec.selectors[0].cel.expression",
            ),
            (
                "resource.k8s.io",
                "resourceclaims",
                request(json!({"exactly": {"selectors": selector}})),
                "spec.devices.requests[0].exactly.selectors[0].cel.expression",
            ),
            (
                "resource.k8s.io",
                "resourceclaimtemplates",
                json!({"spec": request(json!({"firstAvailable": [{"selectors": selector}]}))}),
                "spec.spec.devices.requests[0].firstAvailable[0].selectors[0].cel.expression",
            ),
        ] {
            assert_eq!(told(group, plural, &object, None), [format!("FieldValueInvalid {path}")], "{object}");
            assert_eq!(told(group, plural, &object, Some(&object)), Vec::<String>::new(), "it did not change");
        }
        let good = json!({"spec": {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "validations": [
            {"expression": "object.spec.replicas <= int(params.data.most)", "messageExpression": "'at most ' + params.data.most"}]}});
        assert_eq!(told(admission, policies, &good, None), Vec::<String>::new());
    }
}
