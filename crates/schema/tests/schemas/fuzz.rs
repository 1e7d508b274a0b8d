//! Schemas, rules and objects that somebody made to hurt.

use keelson_fuzzing::{Objects, Texts, fuzz};
use keelson_schema::expression::{Gives, check};
use keelson_schema::{MAX_ERRORS, Structural};
use serde_json::{Value, json};

use crate::rules::{an_object, everything, with_rule};

const PATH: &str = "spec.versions[0].schema.openAPIV3Schema";

/// What schemas say, and what they may not.
const WORDS: [&str; 34] = [
    "type",
    "properties",
    "items",
    "additionalProperties",
    "default",
    "nullable",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "required",
    "enum",
    "pattern",
    "(a+)+$",
    "[[:alpha:]]{1000}{1000}",
    "format",
    "date-time",
    "duration",
    "ipv4",
    "minimum",
    "multipleOf",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "$ref",
    "object",
    "array",
    "metadata",
];

/// Parts of rules, the ones that cost among them.
const PARTS: [&str; 34] = [
    "self",
    "self.names",
    "self.labels",
    "self.parts",
    "self.text",
    "self.numbers",
    ".all(x, ",
    ".exists(y, ",
    ".map(z, ",
    ".filter(w, ",
    "self.names.all(a, self.names.all(b, self.names.all(c, a == b + c)))",
    ".matches('(a+)+$')",
    ".size()",
    ".split('')",
    ".join()",
    ".format([self])",
    "[self.text + self.text]",
    ".replace('', 'aaaa')",
    "oldSelf",
    " + ",
    " - ",
    " / 0",
    " % ",
    " && ",
    " || ",
    " ? ",
    " : ",
    "(",
    ")",
    "[-1]",
    "9223372036854775807",
    "duration('9999999h')",
    "timestamp('0000-00-00T00:00:00Z')",
    "quantity('1e99')",
];

fn schemas() -> Vec<Value> {
    let described = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "default": {}, "properties": {
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "required": ["k"], "properties": {
                    "k": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 9},
                    "v": {"type": "integer", "minimum": 0, "default": 3}}}},
            "either": {"x-kubernetes-int-or-string": true},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            "map": {"type": "object", "additionalProperties": {"type": "number", "multipleOf": 0.5}},
            "one": {"type": "string", "oneOf": [{"enum": ["a"]}, {"format": "ipv4"}]},
        }},
    }});
    let ruled = json!({"type": "object", "properties": {"spec": {
        "type": "object", "properties": everything()["properties"],
        "x-kubernetes-validations": [{"rule": "self.count < 9 || self.text == 'x'", "messageExpression": "self.text"}],
    }}});
    vec![described, ruled]
}

fn objects() -> Vec<Value> {
    let described = json!({"apiVersion": "a.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {
        "list": [{"k": "a", "v": 1}, {"k": "b"}], "either": "80%", "any": {"x": [1]}, "map": {"a": 0.5}, "one": "a",
        "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
    }});
    vec![described, json!({"apiVersion": "a.example.com/v1", "kind": "Thing", "spec": an_object()})]
}

#[test]
fn a_schema_that_is_let_in_is_read_again_and_every_object_gets_its_answer() {
    fuzz!((Objects::new(schemas(), &WORDS), Objects::new(objects(), &WORDS)), |(schema, object)| {
        let schema = match Structural::parse(schema, PATH) {
            Ok(read) => {
                Structural::parse_stored(schema, PATH).expect("what was let in is read from the store");
                read
            }
            Err(errors) => {
                assert!(!errors.is_empty() && errors.len() <= MAX_ERRORS, "{}", errors.len());
                return false;
            }
        };
        let mut object = object.clone();
        schema.prune(&mut object);
        assert_eq!(schema.prune(&mut object), Vec::<String>::new(), "nothing is left to prune");
        schema.default(&mut object);
        let defaulted = object.clone();
        schema.default(&mut object);
        assert_eq!(object, defaulted, "defaults are idempotent");
        let told = schema.validate(&object, None);
        assert!(told.len() <= MAX_ERRORS);
        assert_eq!(schema.validate(&object, None), told);
        assert!(schema.openapi().is_object());
        true
    });
}

/// The budget of rules is counted, and what is counted is what it costs: [`fuzz!`] holds every input to its time.
#[test]
fn a_rule_is_refused_with_a_reason_or_ends_in_time() {
    let rules = [
        "self.count == 3 && self.count + 1 == 4 && 7 / 2 == 3",
        "self.names.map(n, n + '!').exists(n, n.startsWith('a'))",
        "self.parts.all(p, self.parts.exists_one(q, q.name == p.name))",
        "'%s has %d'.format([self.text, self.count]).size() > 0",
        "self.text.split(' ').join('').matches('^[A-Za-z]+$')",
        "quantity('1Gi').isGreaterThan(quantity('1G')) && ip('::1').family() == 6",
        "self.when + duration('12h') > self.day ? has(self.other) : cidr('10.0.0.0/8').containsIP('10.1.2.3')",
        "optional.of(1).orValue(2) == 1 && self.?other.orValue('x') == 'x'",
    ];
    let objects = vec![an_object(); rules.len()];
    fuzz!((Texts::new(&rules, &PARTS), Objects::new(objects, &[])), |(rule, object)| {
        match with_rule(everything(), json!({"rule": rule})) {
            Ok(schema) => {
                let told = schema.validate(&json!({"spec": object}), None);
                assert!(told.len() <= MAX_ERRORS);
                true
            }
            Err(reasons) => {
                assert!(!reasons.is_empty() && reasons.iter().all(|reason| !reason.is_empty()));
                false
            }
        }
    });
}

#[test]
fn an_expression_is_one_or_is_told_what_is_wrong() {
    let seeds = [
        "object.spec.replicas <= 5",
        "variables.names.all(name, name.startsWith('a'))",
        "authorizer.group('apps').resource('deployments').check('get').allowed()",
        "cel.bind(x, object.a, x + x) > 2",
        "{'a': 1}.transformList(key, value, key + string(value)).size() == 1",
    ];
    let words = [
        "object", "{", "}", "[", "]", "(", ")", "'", "\"\"\"", "\\u", "r'", "b'", ".", "?", "in", "0x", "1u", "!", "-",
    ];
    fuzz!(Texts::new(&seeds, &words), |text| {
        match check(text, &["object", "variables", "authorizer"], Gives::Truth) {
            Ok(()) => true,
            Err(reason) => {
                assert!(!reason.is_empty());
                false
            }
        }
    });
}
