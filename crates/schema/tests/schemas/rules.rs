//! Rules in CEL: what they say of objects, which are refused, and that their costs are bounded.

use keelson_schema::Structural;
use serde_json::{Value, json};

pub const PATH: &str = "spec.validation.openAPIV3Schema";

/// A schema whose spec is the one given, with bounds that make every rule cheap enough.
pub(crate) fn with_rule(mut spec: Value, rule: Value) -> Result<Structural, Vec<String>> {
    spec["x-kubernetes-validations"] = json!([rule]);
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    Structural::parse(&schema, PATH).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// A spec with a field of every type.
pub(crate) fn everything() -> Value {
    json!({
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 30},
            "other": {"type": "string", "maxLength": 30},
            "count": {"type": "integer"},
            "share": {"type": "number"},
            "on": {"type": "boolean"},
            "when": {"type": "string", "format": "date-time"},
            "day": {"type": "string", "format": "date"},
            "wait": {"type": "string", "format": "duration"},
            "blob": {"type": "string", "format": "byte", "maxLength": 20},
            "port": {"x-kubernetes-int-or-string": true, "maxLength": 20},
            "a-b": {"type": "integer"},
            "namespace": {"type": "string", "maxLength": 20},
            "none": {"type": "string", "nullable": true, "maxLength": 10},
            "names": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 10}},
            "numbers": {"type": "array", "maxItems": 10, "items": {"type": "integer"}},
            "set": {
                "type": "array", "maxItems": 10, "x-kubernetes-list-type": "set",
                "items": {"type": "string", "maxLength": 10},
            },
            "labels": {"type": "object", "maxProperties": 10, "additionalProperties": {"type": "string", "maxLength": 10}},
            "parts": {"type": "array", "maxItems": 10, "items": {
                "type": "object", "properties": {"name": {"type": "string", "maxLength": 10}, "size": {"type": "integer"}},
            }},
        },
    })
}

pub(crate) fn an_object() -> Value {
    json!({
        "text": "Hello World", "count": 3, "share": 0.5, "on": true, "when": "2024-02-29T12:30:15.250Z", "day": "2024-03-01",
        "wait": "1h30m", "blob": "aGk=", "port": "80%", "a-b": 7, "namespace": "default", "names": ["a", "b", "c"],
        "numbers": [3, 1, 2], "set": ["x", "y"], "labels": {"app": "web", "tier": "front"},
        "parts": [{"name": "one", "size": 1}, {"name": "two", "size": 2}],
    })
}

#[test]
fn rules_that_hold_of_an_object() {
    let rules = [
        "self.count == 3 && self.count + 1 == 4 && self.count * 2 - 1 == 5 && 7 / 2 == 3 && -7 % 3 == -1",
        "self.share < 1.0 && self.share * 2.0 == 1.0 && self.count > self.share",
        "self.on ? self.text == 'Hello World' : false",
        "!self.on || self.text != ''",
        "has(self.text) && !has(self.other)",
        "self.a__dash__b == 7 && self.__namespace__ == 'default'",
        "'app' in self.labels && self.labels['app'] == 'web' && self.labels.tier == 'front' && !('x' in self.labels)",
        "self.names.all(n, n.size() == 1) && self.names.exists(n, n == 'b') && self.names.exists_one(n, n == 'c')",
        "self.names.map(n, n + '!') == ['a!', 'b!', 'c!'] && self.names.filter(n, n != 'a') == ['b', 'c']",
        "self.numbers.map(n, n > 1, n * 10) == [30, 20]",
        "self.parts.all(p, self.parts.exists_one(q, q.name == p.name))",
        "self.labels.all(k, self.labels[k].size() > 0)",
        "self.names[0] == 'a' && size(self.names) == 3 && 'b' in self.names",
        "self.parts[1].size == 2",
        "self.numbers.sum() == 6 && self.numbers.min() == 1 && self.numbers.max() == 3 && !self.numbers.isSorted()",
        "self.names.isSorted() && self.names.indexOf('b') == 1 && self.names.lastIndexOf('z') == -1",
        "self.set == ['y', 'x'] && sets.contains(self.set, ['x']) && !sets.intersects(self.set, ['z'])",
        "self.set + ['y', 'z'] == ['x', 'y', 'z']",
        "self.text.startsWith('Hello') && self.text.endsWith('World') && self.text.contains('lo W')",
        "self.text.matches('^Hello W[a-z]+$') && matches(self.text, 'World')",
        "self.text.lowerAscii() == 'hello world' && self.text.upperAscii() == 'HELLO WORLD'",
        "self.text.indexOf('o') == 4 && self.text.lastIndexOf('o') == 7 && self.text.indexOf('o', 5) == 7",
        "self.text.substring(6) == 'World' && self.text.substring(0, 5) == 'Hello' && self.text.charAt(4) == 'o'",
        "self.text.replace('l', 'L', 2) == 'HeLLo World' && self.text.split(' ') == ['Hello', 'World']",
        "self.names.join('-') == 'a-b-c' && '  x '.trim() == 'x' && 'héé'.size() == 3",
        "'abc 123 de 45'.find('[0-9]+') == '123' && 'abc 123 de 45'.findAll('[0-9]+') == ['123', '45']",
        "'1 2 3'.findAll('[0-9]', 2) == ['1', '2'] && 'x'.find('y') == ''",
        "type(self.port) == string ? self.port.endsWith('%') : self.port > 0",
        "'%s has %d, %.1f, %x, %b, 100%%'.format([self.text, self.count, self.share, 255, true]) == 'Hello World has 3, 0.5, ff, 1, 100%'",
        "'%s %s'.format([self.names, self.labels]) == '[a, b, c] {app: web, tier: front}'",
        "!format.dns1123Label().validate('a-b').hasValue() && format.dns1123Label().validate('a.b').value().size() == 1",
        "format.named('uuid').value().validate('x').orValue([]) == ['does not match the UUID format']",
        "!format.dns1123LabelPrefix().validate('a-').hasValue() && !format.named('odd').hasValue()",
        "int('42') == 42 && string(42) == '42' && double('1.5') == 1.5 && uint(3) == 3u && int(2.9) == 2 && bool('true')",
        "self.when.getFullYear() == 2024 && self.when.getMonth() == 1 && self.when.getDate() == 29",
        "self.when < timestamp('2024-03-01T00:00:00Z') && self.when + duration('12h') > self.day",
        "self.when.getHours() == 12 && self.when.getMilliseconds() == 250 && self.when.getDayOfWeek() == 4",
        "self.day - timestamp('2024-02-29T00:00:00Z') == duration('24h')",
        "self.wait == duration('90m') && self.wait.getMinutes() == 90 && string(self.wait) == '5400s'",
        "self.blob == b'hi' && string(self.blob) == 'hi' && size(self.blob) == 2",
        "url('https://example.com:80/a/b?x=1&x=2').getHost() == 'example.com:80' && isURL('/a') && !isURL('x y')",
        "url('https://[::1]:80/').getHostname() == '::1' && url('https://[::1]:80/').getPort() == '80'",
        "url('https://a/b%20c?x=1&x=2').getQuery()['x'] == ['1', '2'] && url('https://a/b%20c').getEscapedPath() == '/b%20c'",
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('500m').add(quantity('0.5')).asInteger() == 1",
        "isQuantity('1.5Gi') && !isQuantity('x') && quantity('-1').sign() == -1 && quantity('5').sub(2).compareTo(quantity('3')) == 0",
        "quantity('1500m').asApproximateFloat() == 1.5 && !quantity('1500m').isInteger() && quantity('1k') == quantity('1000')",
        "ip('10.0.0.1').family() == 4 && isIP('::1') && !isIP('10.0.0') && ip('::1').isLoopback() && ip.isCanonical('::1')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
        "cidr('10.0.0.0/8').prefixLength() == 8 && string(cidr('10.0.0.0/8').ip()) == '10.0.0.0' && isCIDR('::/0')",
        "optional.of(1).hasValue() && optional.none().orValue(2) == 2 && self.?other.orValue('x') == 'x'",
        "self.labels[?'none'].orValue('d') == 'd' && self.?text.optMap(t, t.size()).orValue(0) == 11",
        "{'a': 1}['a'] == 1 && {'a': 1}.a == 1 && [1, 2] + [3] == [1, 2, 3] && [[1], [2]][1][0] == 2",
        "self.names.all(i, n, self.names[i] == n) && self.labels.exists(k, v, k == 'app' && v == 'web')",
        "self.numbers.existsOne(i, n, i < n) && !self.numbers.exists_one(i, n, n > 0) && [].all(i, n, false)",
        "self.names.transformList(i, n, n + string(i)) == ['a0', 'b1', 'c2']",
        "self.names.transformList(i, n, i > 0, n) == ['b', 'c'] && self.labels.transformList(k, v, k + v).size() == 2",
        "self.labels.transformMap(k, v, v.size()) == {'app': 3, 'tier': 5}",
        "self.labels.transformMap(k, v, k != 'app', v) == {'tier': 'front'} && [5].transformMap(i, n, n) == {0: 5}",
        "self.labels.transformMapEntry(k, v, {v: k}) == {'web': 'app', 'front': 'tier'}",
        "self.names.transformMapEntry(i, n, i != 1, {n: i})['c'] == 2",
        "[0, 1].exists(i, n, 1 / n == 1) && ![0, 1].all(i, n, 1 / i == 0)",
        "semver('1.10.0').isGreaterThan(semver('1.9.1')) && semver('1.0.0-a').isLessThan(semver('1.0.0'))",
        "semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3",
        "semver('1.0.0+a') == semver('1.0.0+b') && semver('v1', true).compareTo(semver('1.0.0')) == 0",
        "isSemver('1.0.0') && !isSemver('v1.0') && isSemver('v1.0', true)",
        "strings.quote('a\"b\\n') == '\"a\\\\\"b\\\\n\"'",
        "self.when.getHours('Europe/Berlin') == 13 && self.when.getHours('-02:30') == 10 && self.when.getDate('+14:00') == 1",
        "false && self.other == 'x' || true",
        "self.other == 'x' || true",
        "[0, 1].exists(i, 1 / i == 1)",
        "dyn(1) == 1 && dyn(1) == 1.0 && dyn('a') != 1 && type(dyn(null)) == null_type",
    ];
    for rule in rules {
        let schema =
            with_rule(everything(), json!({"rule": rule})).unwrap_or_else(|errors| panic!("{rule}: {errors:?}"));
        let errors = schema.validate(&json!({"spec": an_object()}), None);
        assert!(errors.is_empty(), "{rule}: {errors:?}");
    }
}

#[test]
fn rules_that_do_not_hold_say_so() {
    let table = [
        ("self.count > 3", "spec: Invalid value: failed rule: self.count > 3"),
        ("self.other == 'x'", "spec: Invalid value: \"object\": no such key: other evaluating rule: self.other == 'x'"),
        (
            "self.names[5] == 'x'",
            "spec: Invalid value: \"object\": index out of bounds: 5 evaluating rule: self.names[5] == 'x'",
        ),
        (
            "1 / (self.count - 3) == 1",
            "spec: Invalid value: \"object\": division by zero evaluating rule: 1 / (self.count - 3) == 1",
        ),
        (
            "self.port > 5",
            "spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, function or \
             macro signature for rule: self.port > 5",
        ),
        (
            "self.count + 9223372036854775807 > 0",
            "spec: Invalid value: \"object\": integer overflow evaluating rule: self.count + 9223372036854775807 > 0",
        ),
    ];
    for (rule, expected) in table {
        let schema =
            with_rule(everything(), json!({"rule": rule})).unwrap_or_else(|errors| panic!("{rule}: {errors:?}"));
        let errors = schema.validate(&json!({"spec": an_object()}), None);
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn a_rule_names_its_message_its_reason_and_the_field_it_blames() {
    let told = |rule: Value| {
        let schema = with_rule(everything(), rule).expect("a schema");
        let errors = schema.validate(&json!({"spec": an_object()}), None);
        errors.first().map(ToString::to_string).unwrap_or_default()
    };
    let table = [
        (json!({"rule": "false", "message": " no "}), "spec: Invalid value: no"),
        (
            json!({"rule": "false", "messageExpression": "'count is ' + string(self.count)"}),
            "spec: Invalid value: count is 3",
        ),
        (
            json!({"rule": "false", "messageExpression": "'count: %d'.format([self.count])"}),
            "spec: Invalid value: count: 3",
        ),
        (json!({"rule": "false", "message": "no", "messageExpression": "self.other"}), "spec: Invalid value: no"),
        (json!({"rule": "false", "message": "no", "reason": "FieldValueForbidden"}), "spec: Forbidden: no"),
        (
            json!({"rule": "false", "message": "no", "reason": "FieldValueRequired", "fieldPath": ".text"}),
            "spec.text: Required value: no",
        ),
        (json!({"rule": "false", "message": "no", "fieldPath": ".labels['a']"}), "spec.labels[a]: Invalid value: no"),
    ];
    for (rule, expected) in table {
        assert_eq!(told(rule), expected);
    }
    let scalar =
        with_rule(json!({"type": "integer"}), json!({"rule": "self < 5", "message": "small"})).expect("a schema");
    assert_eq!(scalar.validate(&json!({"spec": 7}), None)[0].to_string(), "spec: Invalid value: 7: small");
}

#[test]
fn rules_that_mean_nothing_refuse_the_schema() {
    let table = [
        ("self.nothing == 1", "undefined field 'nothing'"),
        ("nothing == 1", "undeclared reference to 'nothing' (in container '')"),
        ("self.text.nothing()", "undeclared reference to 'nothing' (in container '')"),
        ("strings.title(self.text) == ''", "undeclared reference to 'title' (in container '')"),
        ("self.count == 'x'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.count + 1.0 > 1.0", "found no matching overload for '_+_' applied to '(int, double)'"),
        ("self.text.startsWith(1)", "found no matching overload for 'startsWith' applied to 'string.(int)'"),
        ("self.when.getHours(1) == 1", "found no matching overload for 'getHours'"),
        ("self.count.all(x, x)", "expression of type 'int' cannot be range of a comprehension"),
        ("self.text.matches('(')", "invalid matches argument"),
        ("self.count", "cel expression must evaluate to a bool"),
        ("self.text ==", "Syntax error"),
        ("Thing{a: 1} == 1", "undeclared reference to 'Thing'"),
        ("self.names.all(i, n, m == '')", "undeclared reference to 'm'"),
        ("self.names.all(n, n, true)", "the variables must differ"),
        ("self.names.all(i, n.x, true)", "argument must be a simple name"),
        ("self.names.all(i, n, i)", "found no matching overload for '_&&_' applied to '(bool, int)'"),
        ("self.count.exists(i, n, true)", "expression of type 'int' cannot be range of a comprehension"),
        ("self.names.all(i, n, i == n)", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.names.transformMapEntry(i, n, n).size() == 1", "found no matching overload for 'transformMapEntry'"),
        ("semver('1.0.0') == quantity('1')", "found no matching overload for '_==_'"),
        ("self.text.size", "type 'string' does not support field selection"),
    ];
    for (rule, expected) in table {
        let errors = with_rule(everything(), json!({"rule": rule})).expect_err(rule);
        let start = format!("{PATH}.properties[spec].x-kubernetes-validations[0].rule: Invalid value: {{");
        assert!(
            errors.len() == 1 && errors[0].starts_with(&start) && errors[0].contains(expected),
            "{rule}: {errors:?}"
        );
    }
    let shown = with_rule(everything(), json!({"rule": "true && self.nothing"})).expect_err("a wrong rule");
    let place =
        "compilation failed: ERROR: <input>:1:13: undefined field 'nothing'\n | true && self.nothing\n | ............^";
    assert!(shown[0].ends_with(place), "{}", shown[0]);
    let long = "1 + ".repeat(3000) + "1 == 1";
    let deep = with_rule(everything(), json!({"rule": long})).expect_err("too deep");
    assert!(deep[0].contains("may not be deeper than"), "{deep:?}");
    let longer = "1 + ".repeat(30_000) + "1 == 1";
    let refused = with_rule(everything(), json!({"rule": longer})).expect_err("too long");
    assert!(refused[0].contains("may not be longer than"), "{refused:?}");
    let message = with_rule(everything(), json!({"rule": "true", "messageExpression": "1"})).expect_err("no text");
    assert!(message[0].ends_with("messageExpression must evaluate to a string"), "{message:?}");
    let path = with_rule(everything(), json!({"rule": "true", "fieldPath": ".nothing"})).expect_err("no path");
    assert!(path[0].ends_with("must be a valid path"), "{path:?}");
}

#[test]
fn a_rule_may_be_as_deep_as_is_said() {
    let table = [
        "1 + ".repeat(95) + "1 == 96",
        format!("{}1{} != []", "[".repeat(95), "]".repeat(95)),
        format!("{}true{}", "[1].all(x, ".repeat(24), ")".repeat(24)),
        "false ? true : ".repeat(95) + "true",
    ];
    for rule in table {
        let schema =
            with_rule(everything(), json!({"rule": rule})).unwrap_or_else(|errors| panic!("{rule}: {errors:?}"));
        let errors = schema.validate(&json!({"spec": an_object()}), None);
        assert!(errors.is_empty(), "{rule}: {errors:?}");
    }
}

#[test]
fn rules_are_written_as_they_must_be() {
    let at = format!("{PATH}.properties[spec].x-kubernetes-validations[0]");
    let table = [
        (json!({"rule": " "}), format!("{at}.rule: Required value: rule is not specified")),
        (
            json!({"rule": "true", "message": " "}),
            format!("{at}.message: Invalid value: \" \": must be non-empty if specified"),
        ),
        (
            json!({"rule": "true", "message": "a\nb"}),
            format!("{at}.message: Invalid value: \"a\\nb\": must not contain line breaks"),
        ),
        (json!({"rule": "true\n"}), String::new()),
        (
            json!({"rule": "true &&\ntrue"}),
            format!("{at}.message: Required value: message must be specified if rule contains line breaks"),
        ),
        (
            json!({"rule": "true", "reason": "X"}),
            format!(
                "{at}.reason: Unsupported value: \"X\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \
                 \"FieldValueInvalid\", \"FieldValueRequired\""
            ),
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            format!("{at}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"),
        ),
        (json!({"rule": 5}), format!("{at}.rule: Invalid value: 5: must be a string")),
    ];
    for (rule, expected) in table {
        let errors = with_rule(everything(), rule.clone()).err().unwrap_or_default().join("; ");
        assert_eq!(errors, expected, "{rule}");
    }
}

#[test]
fn transition_rules_compare_with_what_was() {
    let immutable = with_rule(json!({"type": "string"}), json!({"rule": "self == oldSelf", "message": "immutable"}))
        .expect("a schema");
    let count = |schema: &Structural, new: Value, old: Option<Value>| {
        schema.validate(&json!({"spec": new}), old.map(|old| json!({"spec": old})).as_ref()).len()
    };
    assert_eq!(count(&immutable, json!("a"), None), 0, "nothing to compare with");
    assert_eq!(count(&immutable, json!("a"), Some(json!("a"))), 0);
    assert_eq!(count(&immutable, json!("b"), Some(json!("a"))), 1);
    let optional = json!({"rule": "oldSelf.hasValue() || self == 'new'", "optionalOldSelf": true});
    let optional = with_rule(json!({"type": "string"}), optional).expect("a schema");
    assert_eq!(count(&optional, json!("old"), None), 1);
    assert_eq!(count(&optional, json!("new"), None), 0);
    assert_eq!(count(&optional, json!("old"), Some(json!("x"))), 0);
    let item = json!({"type": "object", "required": ["n"], "properties": {
        "n": {"type": "string"},
        "v": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]},
    }});
    let keyed = json!({
        "type": "array", "maxItems": 5, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"], "items": item,
    });
    let keyed = with_rule(keyed, json!({"rule": "true"})).expect("a schema");
    let old = json!([{"n": "a", "v": 5}, {"n": "b", "v": 1}]);
    assert_eq!(
        count(&keyed, json!([{"n": "b", "v": 2}, {"n": "a", "v": 5}, {"n": "c", "v": 0}]), Some(old.clone())),
        0
    );
    assert_eq!(count(&keyed, json!([{"n": "b", "v": 2}, {"n": "a", "v": 4}]), Some(old)), 1);
    let lost =
        with_rule(json!({"type": "array", "maxItems": 5, "items": item}), json!({"rule": "true"})).expect_err("lost");
    let detail =
        format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {PATH}.properties[spec]");
    assert!(lost[0].ends_with(&detail), "{lost:?}");
}

#[test]
fn a_rule_that_did_not_hold_before_lets_an_unchanged_value_through() {
    let schema = with_rule(everything(), json!({"rule": "self.count < 3"})).expect("a schema");
    let old = json!({"spec": an_object(), "x": 1});
    let mut new = json!({"spec": an_object(), "x": 2});
    assert!(schema.validate(&new, Some(&old)).is_empty());
    new["spec"]["text"] = "changed".into();
    assert_eq!(schema.validate(&new, Some(&old)).len(), 1);
    assert_eq!(schema.validate(&new, None).len(), 1);
}

#[test]
fn rules_wait_until_the_shape_is_right() {
    let schema = with_rule(everything(), json!({"rule": "self.count < 3"})).expect("a schema");
    let told: Vec<String> =
        schema.validate(&json!({"spec": {"count": "x"}}), None).iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("some validation rules were not checked because the object was invalid"), "{told:?}");
}

#[test]
fn rules_of_the_whole_object_see_its_name() {
    let schema = json!({
        "type": "object",
        "properties": {"spec": {"type": "object"}},
        "x-kubernetes-validations": [{"rule": "self.metadata.name.startsWith('a') && self.kind == 'Thing'", "message": "no"}],
    });
    let schema = Structural::parse(&schema, PATH).expect("a schema");
    let object = |name: &str| json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name}});
    assert!(schema.validate(&object("ab"), None).is_empty());
    assert_eq!(schema.validate(&object("b"), None)[0].to_string(), "<nil>: Invalid value: no");
}

pub fn told_of(schema: &Structural, spec: &Value) -> Vec<String> {
    schema.validate(&json!({"spec": spec}), None).iter().map(ToString::to_string).collect()
}

#[test]
fn only_scalars_are_keys_of_maps() {
    for rule in ["[0].map(a, {a: a}).map(a, {a: a}) != []", "{[1]: 1} != {}", "{1.5: 1} != {}"] {
        let refused = with_rule(everything(), json!({"rule": rule})).expect_err(rule);
        assert!(refused[0].contains("unsupported type of a map's key"), "{rule}: {refused:?}");
    }
    let open = with_rule(everything(), json!({"rule": "{dyn([1]): 1} != {}"})).expect("known when it runs");
    let told = told_of(&open, &an_object());
    assert!(told[0].contains("unsupported type of a map's key: list"), "{told:?}");
    let scalars = with_rule(everything(), json!({"rule": "{1: 1, 'a': 2, true: 3, 2u: 4}[2u] == 4"})).expect("keys");
    assert_eq!(told_of(&scalars, &an_object()), Vec::<String>::new());
}

#[test]
fn an_object_may_be_made_immutable() {
    let rule = json!({"rule": "self == oldSelf", "message": "immutable"});
    let schema = with_rule(everything(), rule).expect("objects may be compared");
    let old = json!({"spec": an_object()});
    assert!(schema.validate(&old, Some(&old)).is_empty());
    let mut new = old.clone();
    new["spec"]["parts"][1]["size"] = 5.into();
    let errors = schema.validate(&new, Some(&old));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].to_string().ends_with("immutable"), "{errors:?}");
}

/// What is wrong with an object as the successor of another.
fn changed(spec: Value, old: &Value, new: &Value) -> Vec<String> {
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let schema = Structural::parse(&schema, PATH).expect("is one");
    let errors = schema.validate(&json!({"spec": new}), Some(&json!({"spec": old})));
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_null_of_before_is_nothing_to_compare_with() {
    let spec = |optional: bool| {
        let rule = if optional { "oldSelf.hasValue() ? self >= oldSelf.value() : self < 5" } else { "self >= oldSelf" };
        let mut rule = json!({"rule": rule, "message": "may not fall"});
        if optional {
            rule["optionalOldSelf"] = true.into();
        }
        let count = json!({"type": "integer", "nullable": true, "x-kubernetes-validations": [rule]});
        json!({"type": "object", "properties": {"count": count, "many": {"type": "object", "additionalProperties": count}}})
    };
    let (null, one, nine) = (json!({"count": null}), json!({"count": 1}), json!({"count": 9}));
    assert_eq!(changed(spec(false), &null, &one), [""; 0]);
    assert_eq!(changed(spec(false), &nine, &one).len(), 1);
    assert_eq!(changed(spec(true), &null, &one), [""; 0], "there is no old value");
    assert_eq!(changed(spec(true), &null, &nine).len(), 1);
    assert_eq!(changed(spec(false), &json!({"many": {"a": null}}), &json!({"many": {"a": 1}})), [""; 0]);
}

#[test]
fn rules_are_bounded_in_their_length() {
    let rule = |text: String| json!({"rule": text, "message": "m"});
    let chain = with_rule(everything(), rule(format!("self{}.size() > 0", ".text".repeat(2000)))).expect_err("is long");
    assert!(chain[0].contains("an expression may not be deeper than 100 levels"), "{chain:?}");
    let mut many = everything();
    many["x-kubernetes-validations"] = (0..20).map(|_| rule(format!("self.on{}", " ".repeat(15_000)))).collect();
    let schema = json!({"type": "object", "properties": {"spec": many}});
    let refused = Structural::parse(&schema, PATH).expect_err("are too long together");
    assert!(refused[0].to_string().contains("may not be longer than 262144 bytes in the whole schema"), "{refused:?}");

    let stored = Structural::parse_stored(&schema, PATH).expect("was let through once");
    assert!(!stored.validate(&json!({"spec": {"on": false}}), None).is_empty(), "its rules hold");
}
