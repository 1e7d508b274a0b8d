//! What rules may cost: by estimate, when a schema is written, and when they run.

use keelson_schema::Structural;
use serde_json::{Value, json};

use crate::rules::{PATH, an_object, everything, told_of, with_rule};

#[test]
fn a_rule_that_could_cost_too_much_refuses_the_schema() {
    let unbounded = json!({"type": "array", "items": {"type": "string"}});
    let rule = json!({"rule": "self.all(x, self.exists(y, x == y))"});
    let errors = with_rule(unbounded, rule.clone()).expect_err("too expensive");
    let told =
        errors.iter().find(|error| error.contains("x-kubernetes-validations[0].rule")).expect("the rule is blamed");
    assert_eq!(
        *told,
        format!(
            "{PATH}.properties[spec].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of \
             more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and \
             strings are declared)"
        )
    );
    let bounded = json!({"type": "array", "maxItems": 100, "items": {"type": "string", "maxLength": 50}});
    with_rule(bounded, rule).expect("cheap enough");
    let unbounded_text = json!({"type": "string"});
    with_rule(unbounded_text, json!({"rule": "self.startsWith('kube')"})).expect("cheap however long");
}

#[test]
fn a_rule_that_costs_too_much_is_ended() {
    // By estimate the rule may stand, because not every object is as large as it may be; one that is costs too much.
    let item = json!({"type": "string", "maxLength": 5});
    let spec = json!({"type": "array", "maxItems": 600, "items": item});
    let schema = with_rule(spec, json!({"rule": "self.all(x, self.all(y, x <= y || x >= y))"})).expect("a schema");
    let many: Vec<String> = (0..600).map(|number| format!("{number:05}")).collect();
    let errors = schema.validate(&json!({"spec": many}), None);
    assert!(errors[0].to_string().contains("actual cost limit exceeded"), "{errors:?}");
    assert!(schema.validate(&json!({"spec": many[..20]}), None).is_empty());
}

#[test]
fn macros_with_two_variables_are_paid_for() {
    let unbounded = json!({"type": "array", "items": {"type": "string"}});
    let rule = json!({"rule": "self.all(i, x, self.exists(j, y, x == y))"});
    let errors = with_rule(unbounded, rule).expect_err("too expensive");
    assert!(errors.iter().any(|error| error.contains("estimated rule cost exceeds budget")), "{errors:?}");
    let spec = json!({"type": "array", "maxItems": 600, "items": {"type": "string", "maxLength": 5}});
    let many: Vec<String> = (0..600).map(|number| format!("{number:05}")).collect();
    for rule in [
        "self.all(i, x, self.all(j, y, x <= y || x >= y))",
        "self.all(i, x, self.transformList(j, y, y).size() == 600)",
        "self.all(i, x, self.transformMap(j, y, y).size() == 600)",
    ] {
        let schema = with_rule(spec.clone(), json!({"rule": rule})).expect(rule);
        let told = told_of(&schema, &json!(many));
        assert!(told.len() == 1 && told[0].contains("actual cost limit exceeded"), "{rule}: {told:?}");
    }
    // Each entry is looked for among those before.
    let spec = json!({"type": "array", "maxItems": 5000, "items": {"type": "string", "maxLength": 5}});
    let many: Vec<String> = (0..5000).map(|number| format!("{number:05}")).collect();
    let entries = json!({"rule": "self.transformMapEntry(i, x, {x: i}).size() == 5000"});
    let told = told_of(&with_rule(spec.clone(), entries).expect("a schema"), &json!(many));
    assert!(told.len() == 1 && told[0].contains("actual cost limit exceeded"), "{told:?}");
    let twice = json!({"rule": "self.transformMapEntry(i, x, {'a': i}).size() == 1"});
    let told = told_of(&with_rule(spec, twice).expect("a schema"), &json!(["x", "y"]));
    assert!(told.len() == 1 && told[0].contains("a key is there already"), "{told:?}");
}

#[test]
fn values_are_paid_for_all_the_way_down() {
    // Eight times ten elements share one another: 10^8 leaves, in the memory of eighty.
    let nested = format!("[0]{}", ".map(a, [a, a, a, a, a, a, a, a, a, a])".repeat(8));
    for what in ["z == z", "z != []  && [z] != [z]", "z in [z]", "[z].indexOf(z) == 0", "sets.contains([z], [z])"] {
        let schema = with_rule(everything(), json!({"rule": format!("{nested}.all(z, {what})")})).expect(what);
        let told = told_of(&schema, &an_object());
        assert!(told.len() == 1 && told[0].contains("actual cost limit exceeded"), "{what}: {told:?}");
    }
    let schema = with_rule(everything(), json!({"rule": format!("{nested}.all(z, z != [])")})).expect("cheap");
    assert_eq!(told_of(&schema, &an_object()), Vec::<String>::new(), "the lengths differ");
}

#[test]
fn what_has_any_order_is_paid_for_each_with_each() {
    let set = json!({
        "type": "array", "maxItems": 3000, "x-kubernetes-list-type": "set", "items": {"type": "string", "maxLength": 8},
    });
    let many: Vec<String> = (0..2000).map(|number| format!("{number:05}")).collect();
    for rule in ["self == self", "self + self == self"] {
        let schema = with_rule(set.clone(), json!({"rule": rule})).expect(rule);
        let told = told_of(&schema, &json!(many));
        assert!(told.len() == 1 && told[0].contains("actual cost limit exceeded"), "{rule}: {told:?}");
        assert_eq!(told_of(&schema, &json!(many[..50])), Vec::<String>::new(), "{rule}");
    }
}

#[test]
fn a_text_is_paid_for_before_it_is_made() {
    let text = json!({"type": "string", "maxLength": 200_000});
    let long = json!("x".repeat(90_000));
    let hundred = format!("[{}]", vec!["self"; 100].join(", "));
    for rule in [
        format!("{hundred}.join() != ''"),
        format!("{hundred}.map(text, 'a').join(self) != ''"),
        format!("'{}'.format({hundred}) != ''", "%s".repeat(100)),
    ] {
        let schema = with_rule(text.clone(), json!({"rule": rule})).expect(&rule);
        let told = told_of(&schema, &long);
        assert!(told.len() == 1 && told[0].contains("the text would be too long"), "{rule}: {told:?}");
    }
    let schema =
        with_rule(text, json!({"rule": "[self, 'b'].join(self).size() == 2 * self.size() + 1"})).expect("fits");
    assert_eq!(told_of(&schema, &long), Vec::<String>::new());
}

/// Compares all elements of a list of texts with each other, so that the cost grows with the square of its bound.
const PAIRS: &str = "self.all(x, self.exists(y, x == y))";

fn paired(rules: usize, items_max: usize) -> Result<Structural, Vec<String>> {
    let list = json!({
        "type": "array", "maxItems": items_max, "items": {"type": "integer"},
        "x-kubernetes-validations": [{"rule": PAIRS}],
    });
    let lists: serde_json::Map<String, Value> = (0..rules).map(|index| (format!("l{index}"), list.clone())).collect();
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": lists}}});
    Structural::parse(&schema, PATH).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// The largest bound of a list with which one rule may be written.
fn dearest() -> usize {
    let (mut low, mut high) = (1, 10_000);
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if paired(1, middle).is_ok() { low = middle } else { high = middle }
    }
    low
}

#[test]
fn rules_that_are_cheap_enough_each_may_cost_too_much_together() {
    let bound = dearest();
    paired(9, bound).expect("are cheap enough");
    let refused = paired(12, bound).expect_err("are too many");
    let whole = "estimated rule cost total for entire OpenAPIv3 schema exceeds budget";
    assert!(refused.iter().any(|error| error.contains(whole)), "{refused:?}");
    assert!(refused.iter().any(|error| error.contains("contributed to estimated rule cost total")), "{refused:?}");
}

#[test]
fn all_the_rules_of_an_object_share_what_they_may_cost() {
    // The longest list that one evaluation can pay for.
    let object = |lists: usize, length: usize| {
        let list: Vec<usize> = (0..length).collect();
        let lists: serde_json::Map<String, Value> = (0..lists).map(|at| (format!("l{at}"), json!(list))).collect();
        json!({"spec": lists})
    };
    let one = paired(1, dearest()).expect("is cheap enough");
    let (mut low, mut high) = (1, dearest() + 1);
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if one.validate(&object(1, middle), None).is_empty() { low = middle } else { high = middle }
    }
    // As many as the schema may have with lists so long.
    let lists = (1..200).take_while(|lists| paired(*lists, low).is_ok()).last().expect("one at least");
    let all = paired(lists, low).expect("is cheap enough");
    let errors: Vec<String> = all.validate(&object(lists, low), None).iter().map(ToString::to_string).collect();
    let spent = "validation failed due to running out of cost budget, no further validation rules will be run";
    assert!(matches!(errors.as_slice(), [only] if only.ends_with(spent)), "{lists} lists of {low}: {errors:?}");
}
