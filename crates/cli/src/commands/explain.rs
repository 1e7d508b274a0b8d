//! `explain`: the fields of a kind.

use clap::Args;
use keelson_types::schema::{Field, Message, Type, schema};

use crate::Error;
use crate::context::Context;
use crate::target;

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
    pub fn run(&self, context: &mut Context) -> Result<(), Error> {
        let mut parts = self.path.split('.');
        let kind = target::by_name(parts.next().unwrap_or_default())?;
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
        let mut text = String::new();
        if !kind.group.is_empty() {
            text.push_str(&format!("GROUP:      {}\n", kind.group));
        }
        text.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", kind.kind, kind.version));
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
        Type::Text | Type::Time | Type::MicroTime | Type::Bytes | Type::Quantity => "string".to_owned(),
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
