//! Checks that several kinds share.

use serde_json::Value;

use crate::field::{Error, Path};
use crate::int_or_string::percent;
use crate::json::{entries, items, text};
use crate::names;
use crate::selector::{LabelSelector, Operator};

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

pub(crate) fn not_negative(value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if let Some(number) = value.as_i64().filter(|number| *number < 0) {
        errors.push(Error::invalid(path, number, NOT_NEGATIVE));
    }
}

pub(crate) fn positive(value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if let Some(number) = value.as_i64().filter(|number| *number <= 0) {
        errors.push(Error::invalid(path, number, "must be greater than 0"));
    }
}

/// A port number that is present.
pub(crate) fn port(value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if let Some(number) = value.as_i64().filter(|number| !(1..=65_535).contains(number)) {
        errors.push(Error::invalid(path, number, "must be between 1 and 65535, inclusive"));
    }
}

/// One of several words; an absent field is somebody else's business.
pub(crate) fn one_of(value: &Value, supported: &[&str], path: &Path<'_>, errors: &mut Vec<Error>) {
    if let Some(word) = value.as_str().filter(|word| !supported.contains(word)) {
        errors.push(Error::not_supported(path, word, supported));
    }
}

/// A text that must be there; returns whether it is.
pub(crate) fn required(value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) -> bool {
    let present = !text(value).is_empty();
    if !present {
        errors.push(Error::required(path, ""));
    }
    present
}

pub(crate) fn name(value: &str, check: fn(&str) -> Vec<String>, path: &Path<'_>, errors: &mut Vec<Error>) {
    errors.extend(check(value).into_iter().map(|detail| Error::invalid(path, value, detail)));
}

/// A label selector as objects hold it.
pub(crate) fn label_selector(selector: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    crate::meta::validate_labels(&selector["matchLabels"], &path.child("matchLabels"), errors);
    let expressions = path.child("matchExpressions");
    for (index, expression) in items(&selector["matchExpressions"]) {
        let path = expressions.index(index);
        name(text(&expression["key"]), names::qualified_name, &path.child("key"), errors);
        let values = path.child("values");
        let empty = expression["values"].as_array().is_none_or(Vec::is_empty);
        match Operator::from_word(text(&expression["operator"])) {
            Some(Operator::In | Operator::NotIn) if empty => {
                errors.push(Error::required(&values, "must be specified when `operator` is 'In' or 'NotIn'"));
            }
            Some(Operator::Exists | Operator::DoesNotExist) if !empty => {
                errors.push(Error::forbidden(
                    &values,
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ));
            }
            Some(Operator::In | Operator::NotIn | Operator::Exists | Operator::DoesNotExist) => {}
            Some(Operator::Gt | Operator::Lt) | None => {
                errors.push(Error::invalid(
                    &path.child("operator"),
                    expression["operator"].clone(),
                    "not a valid selector operator",
                ));
            }
        }
    }
}

/// Whether a selector, as an object holds it, selects the labels. One that cannot be read selects nothing.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    serde_json::from_value(selector.clone())
        .ok()
        .and_then(|typed| LabelSelector::from_object(Some(&typed)).ok())
        .is_some_and(|selector| selector.matches(labels))
}

/// Data of ConfigMaps and Secrets may not change once the object says so.
pub(crate) fn immutable_data(new: &Value, old: &Value, fields: &[&'static str], errors: &mut Vec<Error>) {
    const DETAIL: &str = "field is immutable when `immutable` is set";
    if old["immutable"] != Value::Bool(true) {
        return;
    }
    if new["immutable"] != Value::Bool(true) {
        errors.push(Error::forbidden(&Path::new("immutable"), DETAIL));
    }
    for field in fields {
        if new[*field] != old[*field] {
            errors.push(Error::forbidden(&Path::new(field), DETAIL));
        }
    }
}

/// Keys of ConfigMaps and Secrets.
pub(crate) fn data_keys(data: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for (key, _) in entries(data) {
        name(key, names::config_map_key, &path.key(key), errors);
    }
}

/// A count or a percentage.
pub(crate) fn share(value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    not_negative(value, path, errors);
    if let Some(share) = value.as_str().filter(|share| percent(share).is_none()) {
        errors.push(Error::invalid(
            path,
            share,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used \
             for validation is '[0-9]+%')",
        ));
    }
}

/// Whether a count or a percentage is zero.
pub(crate) fn is_nothing(share: &Value) -> bool {
    share.as_i64() == Some(0) || share.as_str().and_then(percent) == Some(0)
}

/// A percentage of no more than everything.
pub(crate) fn at_most_all(share: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if share.as_str().and_then(percent).is_some_and(|percent| percent > 100) {
        errors.push(Error::invalid(path, share.clone(), "must not be greater than 100%"));
    }
}

/// A range of addresses: `10.0.0.0/8`.
pub(crate) fn cidr(text: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    let good = text.split_once('/').is_some_and(|(address, length)| {
        let bits = match address.parse::<std::net::IpAddr>() {
            Ok(address) if address.is_ipv4() => 32,
            Ok(_) => 128,
            Err(_) => return false,
        };
        length.parse::<u8>().is_ok_and(|length| length <= bits)
    });
    if !good {
        errors.push(Error::invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
    }
}

/// A number of a range.
pub(crate) fn between(value: &Value, least: i64, most: i64, path: &Path<'_>, errors: &mut Vec<Error>) {
    if let Some(number) = value.as_i64().filter(|number| !(least..=most).contains(number)) {
        errors.push(Error::invalid(path, number, format!("must be between {least} and {most}, inclusive")));
    }
}

/// One address.
pub(crate) fn address(value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if text(value).parse::<std::net::IpAddr>().is_err() {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        errors.push(Error::invalid(path, value.clone(), why));
    }
}

/// A path that leads nowhere above where it starts.
pub(crate) fn no_steps_up(value: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    if value.split('/').any(|part| part == "..") {
        errors.push(Error::invalid(path, value, "must not contain '..'"));
    }
}

/// The same, and it starts in no place of its own.
pub(crate) fn relative_path(value: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    if value.starts_with('/') {
        errors.push(Error::invalid(path, value, "must be a relative path"));
    }
    no_steps_up(value, path, errors);
}

/// A relative path that does not begin with two dots, as the names that are kept for the node do.
pub(crate) fn file_path(value: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    relative_path(value, path, errors);
    if value.starts_with("..") && !value.starts_with("../") && value != ".." {
        errors.push(Error::invalid(path, value, "must not start with '..'"));
    }
}

/// The name of a driver, in any case.
pub(crate) fn driver(value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if !required(value, path, errors) {
        return;
    }
    let driver = text(value);
    if driver.len() > names::LABEL_BYTES_MAX {
        errors.push(Error::too_long(path, names::LABEL_BYTES_MAX));
    }
    let complaints = names::dns1123_subdomain(&driver.to_lowercase());
    errors.extend(complaints.into_iter().map(|detail| Error::invalid(path, driver, detail)));
}

/// A domain, a slash and a path: `example.com/controller`.
pub(crate) fn domain_prefixed(value: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    match value.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            name(domain, names::dns1123_subdomain, path, errors);
            let good = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
            if !rest.chars().all(good) {
                errors.push(Error::invalid(
                    path,
                    value,
                    "the path after the domain has characters that paths have not",
                ));
            }
        }
        _ => errors.push(Error::invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")")),
    }
}
