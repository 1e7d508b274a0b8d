//! `watch`: a kind's changes as they happen.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use keelson_client::{Event, WatchOptions};
use serde_json::{Value, json};

use super::Selection;
use super::get::RowPrinter;
use crate::Error;
use crate::context::{Context, resource};
use crate::follow::Follow;
use crate::render::objects::View;
use crate::target::{self, Target};

const EXAMPLES: &str = "\
Examples:
  keelctl watch pods -A
  keelctl watch pods -l app=web --changes-only
  keelctl watch deployments -o json | jq .type";

/// Show every change of a kind, with what happened
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    /// KIND [NAME], or KIND/NAME
    #[arg(required = true, value_name = "KIND")]
    resources: Vec<String>,

    #[command(flatten)]
    selection: Selection,

    /// Only objects with these fields: status.phase=Running
    #[arg(long, value_name = "FIELDS", default_value = "", hide_default_value = true)]
    field_selector: String,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Leave out what exists already
    #[arg(long)]
    changes_only: bool,

    /// One JSON text a line: {"type": …, "object": …}
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
}

impl Watch {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let targets = target::parse(&self.resources, context).await?;
        let [target] = targets.as_slice() else {
            return Err(Error::Usage("watch one kind at a time".to_owned()));
        };
        let fields = match target.names.as_slice() {
            [] => self.field_selector.clone(),
            [name] => format!("metadata.name={name}"),
            _ => return Err(Error::Usage("watch one object, or those that a selector chooses".to_owned())),
        };
        let namespace = context.namespace_for(target.kind, self.all_namespaces)?;
        let options = WatchOptions::default().labels(&*self.selection.selector).fields(fields);
        let mut follow = Follow::new(context.raw()?, resource(target.kind).object(namespace, ""), options);
        let view = View { with_namespace: self.all_namespaces, ..View::default() };
        let mut printer = RowPrinter::new(view);
        let mut initial = true;
        loop {
            let batch = follow.next().await?;
            if !(initial && self.changes_only) {
                self.print(target, &batch.events, view, &mut printer, context)?;
            }
            initial &= !batch.initial_events_end;
        }
    }

    fn print(
        &self,
        target: &Target,
        events: &[Event],
        view: View,
        printer: &mut RowPrinter,
        context: &mut Context,
    ) -> Result<(), Error> {
        if self.output == Some(Format::Json) {
            for event in events {
                context.line(json!({"type": word(event), "object": event.object()}).to_string())?;
            }
            return Ok(());
        }
        let mut header = view.header(target.kind);
        header.insert(0, "EVENT".to_owned());
        let now = Timestamp::now();
        let rows = events.iter().map(|event| {
            let mut row = view.row(target.kind, event.object(), now);
            row.insert(0, word(event).to_owned());
            row
        });
        let text = printer.print(header, rows.collect(), context);
        context.text(&text)
    }
}

fn word(event: &Event<Value>) -> &'static str {
    match event {
        Event::Added(_) => "ADDED",
        Event::Modified(_) => "MODIFIED",
        Event::Deleted(_) => "DELETED",
    }
}
