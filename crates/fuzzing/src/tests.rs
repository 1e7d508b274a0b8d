use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::*;

fn inputs<I: Inputs>(inputs: &I, count: usize) -> Vec<I::Output> {
    (0..count).filter_map(|number| known::input(inputs, number)).collect()
}

/// What a decoder does wrong, and whether an input shows it.
type Bug<'a> = (&'a str, &'a dyn Fn(&[u8]) -> bool);

#[test]
fn a_decoder_with_a_bug_is_found_out() {
    let text = |input: &[u8]| String::from_utf8_lossy(input).into_owned();
    let bugs: [Bug<'_>; 8] = [
        ("believes that all is UTF-8", &|input| std::str::from_utf8(input).is_err()),
        ("recurses without a bound", &|input| text(input).matches("{\"a\":").count() > 100),
        ("keeps the first of two keys", &|input| text(input).matches("\"name\"").count() > 1),
        ("compares keys before it unescapes them", &|input| text(input).contains("\\u006e")),
        ("wants what is optional", &|input| {
            serde_json::from_slice::<Value>(input).is_ok_and(|value| value.is_object() && value["name"].is_null())
        }),
        ("reads beyond the end", &|input| input.first() == Some(&b'{') && input.last() != Some(&b'}')),
        ("multiplies without care", &|input| text(input).contains(&i64::MAX.to_string())),
        ("makes room for all of a list", &|input| {
            serde_json::from_slice::<Value>(input)
                .is_ok_and(|value| value["list"].as_array().is_some_and(|list| list.len() > 50))
        }),
    ];
    let documents = Documents::new(vec![json!({"name": "a", "list": [1, {"b": 2}]}), json!({"name": "b"})], &["name"]);
    let documents = inputs(&documents, 4000);
    for (name, trips) in bugs {
        assert!(documents.iter().any(|document| trips(document)), "nothing finds a decoder that {name}");
    }
}

#[test]
fn a_length_that_lies_and_a_body_that_is_cut_are_made_of_good_ones() {
    let bytes = inputs(&Bytes::new(vec![b"\x0a\x03abc\x10\x05".to_vec()], &[]), 2000);
    assert!(bytes.iter().any(|bytes| bytes.starts_with(b"\x0a\xff\xff")), "a length of several bytes");
    assert!(bytes.iter().any(|bytes| bytes == b"\x0a\x03a"), "an end within a field");
    assert!(bytes.iter().any(|bytes| bytes.len() > 500), "a part many times over");
    assert!(bytes.iter().all(|bytes| bytes.len() <= BYTES_MAX));
}

#[test]
fn the_same_choices_make_the_same_input() {
    let objects = Objects::new(vec![json!({"a": [1, 2, {"b": "c"}]})], &["d"]);
    assert_eq!(inputs(&objects, 50), inputs(&objects, 50));
}

#[test]
fn a_property_that_fails_fails_its_test() {
    let failing = |property: fn(&String) -> bool| {
        catch_unwind(AssertUnwindSafe(|| fuzz!(Texts::new(&["1", "22"], &["333"]), property))).is_err()
    };
    assert!(!failing(|_| true));
    assert!(failing(|text| {
        assert!(text.len() < 100);
        true
    }));
    assert!(failing(|text| text == "1"), "a seed that is refused");
}

#[test]
fn an_input_that_takes_too_long_fails_its_test() {
    let time_max = Duration::from_millis(20);
    let spins = catch_unwind(|| {
        within(time_max, || {
            let began = thread_time();
            while thread_time().saturating_sub(began) <= time_max {
                std::hint::spin_loop();
            }
            true
        })
    });
    assert!(spins.is_err());
}

#[test]
fn the_examples_are_of_every_kind() {
    let objects = seeds::objects();
    assert!(objects.len() > 50, "{}", objects.len());
    assert!(objects.iter().all(|object| object["kind"].is_string() && object["metadata"]["name"].is_string()));
}
