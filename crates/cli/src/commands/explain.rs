//! `explain`: the fields of a kind.

use clap::Args;
use keelson_types::Kind;
use keelson_types::schema::{Field, Message, Type, schema};

use crate::context::Context;
use crate::{Error, kinds, target};

mod schema;

const EXAMPLES: &str = "\
Examples:
  keelctl explain pods
  keelctl explain deployment.spec.template.spec.containers
  keelctl explain pod.spec --recursive";

/// Messages in one another; some contain themselves.
const DEPTH_MAX: usize = 12;

/// Show the fields of a kind, with their types
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    /// KIND[.FIELD…]
    #[arg(value_name = "KIND")]
    path: String,

    /// Also the fields of the fields
    #[arg(long)]
    recursive: bool,
}

impl Explain {
    pub async fn run(&self, context: &mut Context) -> Result<(), Error> {
        let mut parts = self.path.split('.');
        let word = parts.next().unwrap_or_default();
        let kind = match target::by_name(word) {
            Ok(kind) => kind,
            Err(unknown) => return self.custom(word, parts, context).await?.ok_or(unknown),
        };
        let unknown = || Error::Failed(format!("couldn't find resource for {:?}", self.path));
        let mut message = schema().kind(&kind.api_version(), kind.kind).ok_or_else(unknown)?;
        let mut last: Option<&Field> = None;
        for part in parts {
            let missing = || Error::Failed(format!("field {part:?} does not exist"));
            if let Some(field) = last {
                message = inner(&field.of).ok_or_else(missing)?;
            }
            last = Some(schema().field(message, part).ok_or_else(missing)?);
        }
        let mut text = head(kind);
        if let Some(field) = last {
            text.push_str(&format!("FIELD: {} <{}>\n\n", field.name, type_name(&field.of)));
        }
        let shown = last.map_or(Some(message), |field| inner(&field.of));
        if let Some(shown) = shown {
            text.push_str("FIELDS:\n");
            self.fields(shown, 1, &mut text);
        }
        context.text(&text)
    }

    /// None when nobody has defined such a kind.
    async fn custom<'p>(
        &self,
        word: &str,
        path: impl Iterator<Item = &'p str>,
        context: &mut Context,
    ) -> Result<Option<()>, Error> {
        let explained = match kinds::explained(context, word).await {
            Err(Error::Unconfigured { .. }) => None,
            explained => explained?,
        };
        let Some((kind, whole)) = explained else { return Ok(None) };
        let (mut shown, mut last) = (&whole, None);
        for part in path {
            let missing = || Error::Failed(format!("field {part:?} does not exist"));
            shown = schema::field(shown, part).ok_or_else(missing)?;
            last = Some(part);
        }
        let mut text = head(kind);
        if let Some(field) = last {
            text.push_str(&format!("FIELD: {field} <{}>\n\n", schema::type_name(shown)));
        }
        if let Some(description) = shown["description"].as_str() {
            text.push_str(&format!("DESCRIPTION:\n  {}\n\n", description.replace('\n', "\n  ")));
        }
        let mut fields = String::new();
        schema::lines(shown, 1, if self.recursive { DEPTH_MAX } else { 1 }, &mut fields);
        if !fields.is_empty() {
            text.push_str(&format!("FIELDS:\n{fields}"));
        }
        context.text(&text)?;
        Ok(Some(()))
    }

    fn fields(&self, message: &Message, depth: usize, text: &mut String) {
        let mut fields: Vec<&Field> = all_fields(message);
        fields.sort_by_key(|field| field.name);
        for field in fields {
            let indent = "  ".repeat(depth);
            text.push_str(&format!("{indent}{}\t<{}>\n", field.name, type_name(&field.of)));
            if self.recursive
                && depth < DEPTH_MAX
                && let Some(below) = inner(&field.of)
                // A schema's schemas are as it is.
                && below.name != message.name
            {
                self.fields(below, depth + 1, text);
            }
        }
    }
}

/// Which kind it is.
fn head(kind: &Kind) -> String {
    let group = if kind.group.is_empty() { String::new() } else { format!("GROUP:      {}\n", kind.group) };
    format!("{group}KIND:       {}\nVERSION:    {}\n\n", kind.kind, kind.version)
}

/// A message's fields, with those of messages that stand among them.
fn all_fields(message: &Message) -> Vec<&Field> {
    let own = message.fields.iter().flat_map(|field| match (&field.of, field.name) {
        (Type::Message(index), "") => all_fields(schema().message(*index)),
        _ => vec![field],
    });
    own.collect()
}

/// The message that a field is, or is a list or a map of.
fn inner(kind: &Type) -> Option<&'static Message> {
    match kind {
        Type::Message(index) | Type::Either(_, index) => Some(schema().message(*index)),
        Type::List(of) | Type::Map(of) => inner(of),
        _ => None,
    }
}

fn type_name(kind: &Type) -> String {
    match kind {
        Type::Text | Type::Time | Type::MicroTime | Type::Duration | Type::Bytes | Type::Quantity => {
            "string".to_owned()
        }
        Type::Truth => "boolean".to_owned(),
        Type::Int32 | Type::Int64 => "integer".to_owned(),
        Type::IntOrText => "IntOrString".to_owned(),
        Type::Double => "number".to_owned(),
        Type::Json => "JSON".to_owned(),
        Type::Raw | Type::FieldSet => "Object".to_owned(),
        Type::WrappedTexts => "[]string".to_owned(),
        Type::Message(index) | Type::Either(_, index) => {
            let name = schema().message(*index).name;
            name.rsplit('.').next().unwrap_or(name).to_owned()
        }
        Type::List(of) => format!("[]{}", type_name(of)),
        Type::Map(of) => format!("map[string]{}", type_name(of)),
    }
}
