//! What `-o` of `get` says: a format, a template, or columns.

use clap::ValueEnum as _;
use serde_json::Value;

use super::objects::Format;
use super::table::Table;
use super::text;
use keelson_types::jsonpath::Template;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Format(Format),
    /// Text made by a template.
    JsonPath(Template),
    /// What a template's path finds, as a JSON array.
    JsonPathAsJson(Template),
    Columns(Vec<Column>),
}

/// A column of `custom-columns`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    header: String,
    path: Template,
}

/// Reads what follows `-o`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Output, String> {
    let empty = |what: &str| format!("{what} format specified but no {what} given");
    match text.split_once('=') {
        Some(("jsonpath", "")) => Err("template format specified but no template given".to_owned()),
        Some(("jsonpath", template)) => Template::parse(template).map(Output::JsonPath),
        Some(("jsonpath-as-json", template)) => Template::parse(template).map(Output::JsonPathAsJson),
        Some(("custom-columns", "")) => Err(empty("custom-columns")),
        Some(("custom-columns", columns)) => {
            columns.split(',').map(column).collect::<Result<_, _>>().map(Output::Columns)
        }
        _ => Format::from_str(text, true).map(Output::Format).map_err(|_| {
            format!(
                "{text:?} is none of json, yaml, name, wide, jsonpath=TEMPLATE, jsonpath-as-json=TEMPLATE and \
                 custom-columns=HEADER:PATH,…"
            )
        }),
    }
}

fn column(definition: &str) -> Result<Column, String> {
    let (header, path) = definition
        .split_once(':')
        .filter(|(header, path)| !header.is_empty() && !path.is_empty())
        .ok_or_else(|| format!("unexpected custom-columns spec: {definition}, expected <header>:<json-path-expr>"))?;
    Ok(Column { header: header.to_owned(), path: Template::relaxed(path)? })
}

/// A table of the objects.
pub(crate) fn table(columns: &[Column], objects: &[Value], headers: bool) -> Table {
    let mut table = Table::new(columns.iter().map(|column| column.header.as_str()));
    for object in objects {
        table.row(columns.iter().map(|column| {
            let values: Vec<String> = column.path.values(object).unwrap_or_default().into_iter().map(text).collect();
            if values.is_empty() { "<none>".to_owned() } else { values.join(",") }
        }));
    }
    if headers { table } else { table.without_header() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::color::Color;

    #[test]
    fn columns_show_what_their_paths_find() {
        let Ok(Output::Columns(columns)) = parse("custom-columns=NAME:.metadata.name,IMAGES:{.spec.c[*].image}") else {
            panic!("they are columns");
        };
        let pods = [
            json!({"metadata": {"name": "a"}, "spec": {"c": [{"image": "x"}, {"image": "y"}]}}),
            json!({"metadata": {"name": "b"}}),
        ];
        assert_eq!(
            table(&columns, &pods, true).render(Color::new(false)),
            "NAME   IMAGES\na      x,y\nb      <none>\n"
        );
        assert_eq!(parse("yaml"), Ok(Output::Format(Format::Yaml)));
        for wrong in ["", "xml", "jsonpath=", "jsonpath={", "custom-columns=", "custom-columns=A", "custom-columns=A:"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
