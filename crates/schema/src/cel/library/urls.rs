//! URLs.

use std::rc::Rc;

use super::Answer;
use crate::cel::value::Value;
use crate::url;

pub(super) fn call<'a>(name: &str, _: bool, arguments: &[Value<'a>]) -> Option<Answer<'a>> {
    let url = match (name, arguments) {
        ("url", [Value::Text(text)]) => {
            let parsed = url::parse(text).map(|url| Value::Url(Rc::new(url)));
            return Some(parsed.ok_or_else(|| format!("URL parse error during conversion from string: {text:?}")));
        }
        ("isURL", [Value::Text(text)]) => return Some(Ok(Value::Bool(url::parse(text).is_some()))),
        (_, [Value::Url(url)]) => url,
        _ => return None,
    };
    Some(Ok(Value::text(match name {
        "getScheme" => url.scheme.clone(),
        "getHost" => url.host.clone(),
        "getHostname" => url.hostname().to_owned(),
        "getPort" => url.port().to_owned(),
        "getEscapedPath" => url.path.clone(),
        "getQuery" => {
            let texts = |values: Vec<String>| Value::list(values.into_iter().map(Value::text).collect());
            let entries = url.query_values().into_iter().map(|(name, values)| (Value::text(name), texts(values)));
            return Some(Ok(Value::Map(Rc::new(entries.collect()))));
        }
        _ => return None,
    })))
}
