//! `get`: what there is.

use clap::Args;
use jiff::Timestamp;
use keelson_client::{Event, ListOptions, WatchOptions};
use keelson_types::jsonpath::Template;
use serde_json::Value;

use super::Selection;
use crate::Error;
use crate::context::{Context, resource};
use crate::follow::Follow;
use crate::render::objects::{Format, View, document, json_text, sort_by, yaml_text};
use crate::render::output::{self, Output};
use crate::render::table::Widths;
use crate::target::{self, Target, display};

const EXAMPLES: &str = "\
Examples:
  keelctl get pods                          the pods of the default namespace
  keelctl get pods,svc -A -o wide           pods and services everywhere, with more columns
  keelctl get deployment web -o yaml        one object as it is stored
  keelctl get pods -l app=web -w            and then every change
  keelctl get pods -o jsonpath='{range .items[*]}{.metadata.name}{\"\\n\"}{end}'
  keelctl get pods -o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName
  keelctl get pods --field-selector spec.nodeName=node-1 -A
  keelctl get all

Kinds: configmaps (cm), deployments (deploy), endpointslices, events (ev), leases, namespaces (ns),
nodes (no), pods (po), replicasets (rs), secrets, serviceaccounts (sa), services (svc), and more, with those
that users define: see keelctl api-resources.";

/// Show objects
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// KIND[,KIND…] [NAME…], or KIND/NAME…
    #[arg(required = true, value_name = "KIND")]
    resources: Vec<String>,

    /// json, yaml, name, wide, jsonpath=TEMPLATE, jsonpath-as-json=TEMPLATE or custom-columns=HEADER:PATH,…
    #[arg(short, long, value_parser = output::parse, value_name = "FORMAT")]
    output: Option<Output>,

    #[command(flatten)]
    selection: Selection,

    /// Only objects with these fields: status.phase=Running
    #[arg(long, value_name = "FIELDS", default_value = "", hide_default_value = true)]
    field_selector: String,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Go on with every change
    #[arg(short, long)]
    watch: bool,

    /// Add a column with the labels
    #[arg(long)]
    show_labels: bool,

    /// Leave the header out
    #[arg(long)]
    no_headers: bool,

    /// Sort by the field at this path: .metadata.creationTimestamp
    #[arg(long, value_name = "PATH")]
    sort_by: Option<String>,

    /// Do not fail when an object does not exist
    #[arg(long)]
    ignore_not_found: bool,
}

impl Get {
    pub async fn run(self, context: &mut Context) -> Result<(), Error> {
        let targets = target::parse(&self.resources, context).await?;
        let selects = !self.selection.selector.is_empty() || !self.field_selector.is_empty();
        if selects && targets.iter().any(|target| !target.names.is_empty()) {
            return Err(Error::Usage("a name and a selector exclude each other".to_owned()));
        }
        if self.all_namespaces && targets.iter().any(|target| target.kind.namespaced && !target.names.is_empty()) {
            return Err(Error::Usage("a name is looked up in one namespace; use -n instead of -A".to_owned()));
        }
        if self.watch {
            return self.watch(&targets, context).await;
        }
        let mut found = Vec::new();
        for target in &targets {
            let mut objects = self.fetch(target, context).await?;
            if let Some(path) = &self.sort_by {
                sort_by(&mut objects, path)?;
            }
            found.push(objects);
        }
        self.print(&targets, found, context)
    }

    async fn fetch(&self, target: &Target, context: &mut Context) -> Result<Vec<Value>, Error> {
        let namespace = context.namespace_for(target.kind, self.all_namespaces)?;
        let raw = context.raw()?;
        if target.names.is_empty() {
            let options = ListOptions::default().labels(&*self.selection.selector).fields(&*self.field_selector);
            let list = raw.list(&resource(target.kind).object(namespace, ""), &options).await?;
            return Ok(list.items);
        }
        let mut objects = Vec::new();
        for name in &target.names {
            match raw.get(&resource(target.kind).object(&*namespace, name)).await {
                Ok(object) => objects.push(object),
                Err(error) if error.is_not_found() && self.ignore_not_found => {}
                Err(error) if error.is_not_found() => context.fail(&error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(objects)
    }

    fn print(&self, targets: &[Target], found: Vec<Vec<Value>>, context: &mut Context) -> Result<(), Error> {
        match &self.output {
            None | Some(Output::Format(Format::Wide)) => self.print_tables(targets, &found, context),
            Some(Output::Format(Format::Name)) => {
                for (target, objects) in targets.iter().zip(&found) {
                    for object in objects {
                        context.line(name_of(target, object))?;
                    }
                }
                Ok(())
            }
            Some(Output::Columns(columns)) => {
                let objects: Vec<Value> = found.into_iter().flatten().collect();
                let table = output::table(columns, &objects, !self.no_headers);
                context.text(&table.render(context.color))
            }
            Some(format) => {
                let named: usize = targets.iter().map(|target| target.names.len()).sum();
                let objects: Vec<Value> = found.into_iter().flatten().collect();
                // A name that was not found has been told; there is no object to show.
                if named > 0 && objects.is_empty() {
                    return Ok(());
                }
                let document = document(objects, named == 1);
                context.text(&match format {
                    Output::JsonPath(template) => template.print(&document).map_err(Error::Failed)?,
                    Output::JsonPathAsJson(template) => json_text(&all_of(template, &document)?)?,
                    Output::Format(Format::Yaml) => yaml_text(&document)?,
                    _ => json_text(&document)?,
                })
            }
        }
    }

    fn print_tables(&self, targets: &[Target], found: &[Vec<Value>], context: &mut Context) -> Result<(), Error> {
        if found.iter().all(Vec::is_empty) {
            // Names that were not found have been told already.
            if targets.iter().all(|target| target.names.is_empty()) {
                self.note_nothing(targets, context)?;
            }
            return Ok(());
        }
        let (view, now) = (self.view(targets), Timestamp::now());
        let mut first = true;
        for (target, objects) in targets.iter().zip(found).filter(|(_, objects)| !objects.is_empty()) {
            if !std::mem::take(&mut first) {
                context.line("")?;
            }
            let text = view.table(target.kind, objects, now).render(context.color);
            context.text(&text)?;
        }
        Ok(())
    }

    fn view(&self, targets: &[Target]) -> View {
        View {
            wide: self.output == Some(Output::Format(Format::Wide)),
            show_labels: self.show_labels,
            with_kind: targets.len() > 1,
            with_namespace: self.all_namespaces,
            no_headers: self.no_headers,
        }
    }

    fn note_nothing(&self, targets: &[Target], context: &mut Context) -> Result<(), Error> {
        if self.all_namespaces || targets.iter().all(|target| !target.kind.namespaced) {
            context.note("No resources found");
        } else {
            let namespace = context.namespace()?;
            context.note(format!("No resources found in {namespace} namespace."));
        }
        Ok(())
    }

    async fn watch(&self, targets: &[Target], context: &mut Context) -> Result<(), Error> {
        let [target] = targets else {
            return Err(Error::Usage("-w watches one kind at a time".to_owned()));
        };
        let fields = match target.names.as_slice() {
            [] => self.field_selector.clone(),
            [name] => format!("metadata.name={name}"),
            _ => return Err(Error::Usage("-w watches one object, or those that a selector chooses".to_owned())),
        };
        let namespace = context.namespace_for(target.kind, self.all_namespaces)?;
        let options = WatchOptions::default().labels(&*self.selection.selector).fields(fields);
        let mut follow = Follow::new(context.raw()?, resource(target.kind).object(namespace, ""), options);
        let mut printer = RowPrinter::new(self.view(targets));
        let mut initial = Some(Vec::new());
        loop {
            let batch = follow.next().await?;
            let objects = batch.events.into_iter().map(Event::into_object);
            // What exists is aligned together; changes come as they happen.
            match &mut initial {
                Some(waiting) => {
                    waiting.extend(objects);
                    if batch.initial_events_end {
                        let mut objects = initial.take().unwrap_or_default();
                        if let Some(path) = &self.sort_by {
                            sort_by(&mut objects, path)?;
                        }
                        self.print_changes(target, objects, &mut printer, context)?;
                    }
                }
                None => self.print_changes(target, objects.collect(), &mut printer, context)?,
            }
        }
    }

    fn print_changes(
        &self,
        target: &Target,
        objects: Vec<Value>,
        printer: &mut RowPrinter,
        context: &mut Context,
    ) -> Result<(), Error> {
        match &self.output {
            None | Some(Output::Format(Format::Wide)) => {
                let text = printer.rows(target, &objects, Timestamp::now(), context);
                context.text(&text)
            }
            Some(format) => {
                for object in &objects {
                    match format {
                        Output::Format(Format::Json) => context.text(&json_text(object)?)?,
                        Output::Format(Format::Yaml) => context.text(&format!("---\n{}", yaml_text(object)?))?,
                        Output::Format(Format::Name | Format::Wide) => context.line(name_of(target, object))?,
                        Output::JsonPath(template) => context.text(&template.print(object).map_err(Error::Failed)?)?,
                        Output::JsonPathAsJson(template) => {
                            context.text(&json_text(&all_of(template, object)?)?)?;
                        }
                        Output::Columns(columns) => {
                            let table = output::table(columns, std::slice::from_ref(object), false);
                            context.text(&table.render(context.color))?;
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

/// What a template finds, as a list.
fn all_of(template: &Template, object: &Value) -> Result<Value, Error> {
    let values = template.values(object).map_err(Error::Failed)?;
    Ok(values.into_iter().cloned().collect())
}

fn name_of(target: &Target, object: &Value) -> String {
    display(target.kind, object["metadata"]["name"].as_str().unwrap_or_default())
}

/// Prints rows over time, aligned as well as can be.
pub(super) struct RowPrinter {
    view: View,
    widths: Widths,
    header_shown: bool,
}

impl RowPrinter {
    pub fn new(view: View) -> Self {
        Self { view, widths: Widths::default(), header_shown: view.no_headers }
    }

    fn rows(&mut self, target: &Target, objects: &[Value], now: Timestamp, context: &Context) -> String {
        let rows = objects.iter().map(|object| self.view.row(target.kind, object, now)).collect();
        self.print(self.view.header(target.kind), rows, context)
    }

    /// The text of `rows`, after `header` if it was not shown before.
    pub fn print(&mut self, header: Vec<String>, rows: Vec<Vec<String>>, context: &Context) -> String {
        let mut text = String::new();
        if rows.is_empty() {
            return text;
        }
        self.widths.fit(&rows);
        if !self.header_shown {
            self.widths.fit([&header]);
            text.push_str(&self.widths.header(&header, context.color));
            self.header_shown = true;
        }
        for row in &rows {
            text.push_str(&self.widths.row(row, context.color));
        }
        text
    }
}
