//! `events`: what happened, oldest first.

use clap::Args;
use jiff::Timestamp;
use keelson_client::{Event, ListOptions, Raw, WatchOptions};
use keelson_types::duration_human;
use serde_json::Value;

use super::get::RowPrinter;
use crate::Error;
use crate::context::{Context, resource};
use crate::follow::Follow;
use crate::render::objects::View;
use crate::render::table::Table;
use crate::render::text;
use crate::target;

const EXAMPLES: &str = "\
Examples:
  keelctl events
  keelctl events --for pod/web-1
  keelctl events -A --types Warning -w";

/// Show events, oldest first
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Events {
    /// Only what happened to this object: KIND/NAME
    #[arg(long = "for", value_name = "KIND/NAME")]
    about: Option<String>,

    /// Only events of these types
    #[arg(long, value_delimiter = ',', value_parser = ["Normal", "Warning"])]
    types: Vec<String>,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Go on with every new event
    #[arg(short, long)]
    watch: bool,

    /// Leave the header out
    #[arg(long)]
    no_headers: bool,
}

impl Events {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let kind = target::by_name("events")?;
        let namespace = context.namespace_for(kind, self.all_namespaces)?;
        let fields = match &self.about {
            Some(about) => {
                let (kind, name) = target::parse_one(std::slice::from_ref(about), context).await?;
                format!("involvedObject.kind={},involvedObject.name={name}", kind.kind)
            }
            None => String::new(),
        };
        let name = resource(kind).object(&*namespace, "");
        let raw = context.raw()?;
        let list = raw.list(&name, &ListOptions::default().fields(&*fields)).await?;
        let mut events: Vec<Value> = list.items.into_iter().filter(|event| self.wanted(event)).collect();
        if events.is_empty() && !self.watch {
            context.note(if self.all_namespaces {
                "No events found".to_owned()
            } else {
                format!("No events found in {namespace} namespace.")
            });
            return Ok(());
        }
        events.sort_by_key(last_seen);
        let mut printer = RowPrinter::new(View { no_headers: self.no_headers, ..View::default() });
        self.print(&events, &mut printer, context)?;
        if !self.watch {
            return Ok(());
        }
        let options = WatchOptions::default().fields(fields).resource_version(list.resource_version);
        let mut follow = Follow::new(raw, name, options);
        loop {
            let batch = follow.next().await?;
            let news = batch.events.into_iter().filter(|event| !matches!(event, Event::Deleted(_)));
            let news: Vec<Value> = news.map(Event::into_object).filter(|event| self.wanted(event)).collect();
            self.print(&news, &mut printer, context)?;
        }
    }

    fn wanted(&self, event: &Value) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| event["type"] == wanted.as_str())
    }

    fn print(&self, events: &[Value], printer: &mut RowPrinter, context: &mut Context) -> Result<(), Error> {
        let now = Timestamp::now();
        let mut header: Vec<String> =
            ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].into_iter().map(String::from).collect();
        if self.all_namespaces {
            header.insert(0, "NAMESPACE".to_owned());
        }
        let rows = events.iter().map(|event| self.row(event, now)).collect();
        let text = printer.print(header, rows, context);
        context.text(&text)
    }

    fn row(&self, event: &Value, now: Timestamp) -> Vec<String> {
        let object = &event["involvedObject"];
        let mut row = vec![
            age(event, now),
            text(&event["type"]),
            text(&event["reason"]),
            format!("{}/{}", text(&object["kind"]).to_lowercase(), text(&object["name"])),
            text(&event["message"]).trim().to_owned(),
        ];
        if self.all_namespaces {
            row.insert(0, text(&event["metadata"]["namespace"]));
        }
        row
    }
}

/// The events of an object as `describe` shows them.
pub(super) async fn of_object(raw: &Raw, object: &Value, now: Timestamp) -> Result<Table, Error> {
    let metadata = &object["metadata"];
    let kind = target::by_name("events")?;
    let mut fields =
        format!("involvedObject.name={},involvedObject.kind={}", text(&metadata["name"]), text(&object["kind"]));
    // Agents tell of their node by its name as UID, as the kubelet does, so only namespaced objects are told apart by it.
    let namespace = text(&metadata["namespace"]);
    if !namespace.is_empty() {
        fields.push_str(&format!(",involvedObject.uid={}", text(&metadata["uid"])));
    }
    let list = raw.list(&resource(kind).object(namespace, ""), &ListOptions::default().fields(fields)).await?;
    Ok(table(list.items, now))
}

fn table(mut events: Vec<Value>, now: Timestamp) -> Table {
    events.sort_by_key(last_seen);
    let mut table = Table::new(["Type", "Reason", "Age", "From", "Message"]);
    for event in &events {
        table.row([
            text(&event["type"]),
            text(&event["reason"]),
            age(event, now),
            text(source(event)),
            text(&event["message"]).trim().to_owned(),
        ]);
    }
    table
}

fn source(event: &Value) -> &Value {
    match &event["source"]["component"] {
        Value::String(component) if !component.is_empty() => &event["source"]["component"],
        _ => &event["reportingComponent"],
    }
}

/// When the event was seen last; an event of another program may tell it in one of several fields.
fn last_seen(event: &Value) -> Timestamp {
    let fields =
        [&event["series"]["lastObservedTime"], &event["lastTimestamp"], &event["eventTime"], &event["firstTimestamp"]];
    let told = fields.into_iter().find_map(time);
    told.or_else(|| time(&event["metadata"]["creationTimestamp"])).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// `5m`, or `2m (x7 over 30m)`.
fn age(event: &Value, now: Timestamp) -> String {
    let ago = |then: Timestamp| duration_human(now.duration_since(then));
    let last = ago(last_seen(event));
    let count = event["series"]["count"].as_i64().or_else(|| event["count"].as_i64()).unwrap_or(1);
    match time(&event["firstTimestamp"]).or_else(|| time(&event["eventTime"])) {
        Some(first) if count > 1 => format!("{last} (x{count} over {})", ago(first)),
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;
    use crate::render::color::Color;

    #[test]
    fn events_are_shown_oldest_first_with_their_counts() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(60);
        let events = vec![
            json!({"type": "Warning", "reason": "BackOff", "message": "restarting\n", "count": 7,
                   "firstTimestamp": "1970-01-01T00:30:00Z", "lastTimestamp": "1970-01-01T00:58:00Z",
                   "source": {"component": "kubelet"}}),
            json!({"type": "Normal", "reason": "Scheduled", "message": "on node-1",
                   "eventTime": "1970-01-01T00:20:00Z", "reportingComponent": "keelson-scheduler"}),
        ];
        assert_eq!(
            table(events, now).render(Color::new(false)),
            "\
Type      Reason      Age                From                Message
Normal    Scheduled   40m                keelson-scheduler   on node-1
Warning   BackOff     2m (x7 over 30m)   kubelet             restarting
"
        );
    }
}
