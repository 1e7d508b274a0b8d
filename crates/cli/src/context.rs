//! What every command has at hand: the client, the namespace, and where output goes.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use keelson_client::{Client, Raw, Resource};
use keelson_types::Kind;

use crate::arguments::Connection;
use crate::config::Config;
use crate::render::color::Color;
use crate::{Arguments, Error};

pub(crate) struct Context {
    connection: Connection,
    given_namespace: Option<String>,
    connected: Option<(Client, String)>,
    /// Whether standard output shows colours.
    pub color: Color,
    exit_code: Option<u8>,
}

impl Context {
    /// Connects to nothing yet: some commands need no cluster.
    pub fn new(arguments: &Arguments) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            connection: arguments.connection.clone(),
            given_namespace: arguments.namespace.clone().filter(|namespace| !namespace.is_empty()),
            connected: None,
            color: Color::new(!plain && std::io::stdout().is_terminal()),
            exit_code: None,
        }
    }

    fn connect(&mut self) -> Result<&(Client, String), Error> {
        if self.connected.is_none() {
            let config = Config::load(&self.connection)?;
            self.connected = Some((config.client()?, config.namespace));
        }
        self.connected.as_ref().ok_or_else(|| Error::Failed("not connected".to_owned()))
    }

    pub fn client(&mut self) -> Result<Client, Error> {
        Ok(self.connect()?.0.clone())
    }

    pub fn raw(&mut self) -> Result<Raw, Error> {
        Ok(self.client()?.raw())
    }

    /// For requests whose caller would rather be refused soon than have them tried again for long.
    pub fn raw_within(&self, limit: Duration) -> Result<Raw, Error> {
        Ok(Config::load(&self.connection)?.within(limit).client()?.raw())
    }

    /// The namespace to work in.
    pub fn namespace(&mut self) -> Result<String, Error> {
        match &self.given_namespace {
            Some(namespace) => Ok(namespace.clone()),
            None => Ok(self.connect()?.1.clone()),
        }
    }

    /// The namespace that was asked for on the command line.
    pub fn given_namespace(&self) -> Option<&str> {
        self.given_namespace.as_deref()
    }

    /// What a command's own words say instead of -n.
    pub fn use_namespace(&mut self, namespace: Option<String>) {
        if namespace.is_some() {
            self.given_namespace = namespace;
        }
    }

    /// The namespace for requests about `kind`: empty when it has none, or when all are meant.
    pub fn namespace_for(&mut self, kind: &Kind, all: bool) -> Result<String, Error> {
        if kind.namespaced && !all { self.namespace() } else { Ok(String::new()) }
    }

    /// Prints a line to standard output.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), Error> {
        self.bytes(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// Prints text that ends its own lines.
    pub fn text(&mut self, text: &str) -> Result<(), Error> {
        self.bytes(text.as_bytes())
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut output = std::io::stdout().lock();
        output.write_all(bytes).and_then(|()| output.flush()).map_err(Error::Output)
    }

    /// Prints to standard error as it is.
    pub fn error_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut output = std::io::stderr().lock();
        output.write_all(bytes).and_then(|()| output.flush()).map_err(Error::Output)
    }

    /// Tells something beside the output.
    pub fn note(&mut self, text: impl AsRef<str>) {
        eprintln!("{}", text.as_ref());
    }

    pub fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            eprintln!("Warning: {warning}");
        }
    }

    pub fn report(&mut self, error: &Error) {
        eprintln!("error: {error}");
        if let Some(hint) = error.hint() {
            eprintln!("hint: {hint}");
        }
    }

    /// Reports an error that does not end the command, which will exit with its code.
    pub fn fail(&mut self, error: &Error) {
        self.report(error);
        self.exit_code.get_or_insert(error.exit_code());
    }

    /// Ends with this code, without an error.
    pub fn exit_with(&mut self, code: u8) {
        self.exit_code.get_or_insert(code);
    }

    /// The exit code that reported errors ask for.
    pub fn failed(&self) -> Option<u8> {
        self.exit_code
    }
}

/// The resource of a kind.
pub(crate) fn resource(kind: &Kind) -> Resource {
    Resource::new(kind.group, kind.version, kind.plural)
}
