//! Running scripts: what the words of a shell come to.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::commands;
use super::io::{Input, Output, Streams};
use super::words::{self, Part, Redirection, Simple, When, Word};
use super::{SHELLS, program};
use crate::simulated::files::Files;
use crate::simulated::machine::Machine;

/// What a command interrupted by Ctrl-C ends with.
pub const INTERRUPTED: i32 = 130;
/// What a command ends with whose output nobody reads.
pub const BROKEN_PIPE: i32 = 141;
const NOT_FOUND: i32 = 127;
const CANNOT_RUN: i32 = 126;
/// Shells within shells.
const DEPTH_MAX: u32 = 8;
/// The words of one command after expansion, and all variables together; each counts [`WORD_OVERHEAD`] more.
const WORDS_BYTES_MAX: usize = 256 << 10;
const WORD_OVERHEAD: usize = 16;
const TOO_LONG: &str = "argument list too long";
/// A shell reads so much of a script from its input.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A shell's state.
#[derive(Clone)]
pub struct Shell {
    pub machine: Arc<Machine>,
    pub folder: String,
    pub variables: Vec<(String, String)>,
    /// The exit code of the command before.
    status: i32,
    /// Set by `exit`.
    exit: Option<i32>,
    depth: u32,
}

impl Shell {
    pub fn new(machine: Arc<Machine>) -> Shell {
        let variables = machine.environment.clone();
        Shell { machine, folder: String::new(), variables, status: 0, exit: None, depth: 0 }
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let others = self.variables.iter().filter(|(known, _)| known != name);
        let used: usize = others.map(|(known, value)| known.len() + value.len() + WORD_OVERHEAD).sum();
        if used + name.len() + value.len() + WORD_OVERHEAD > WORDS_BYTES_MAX {
            return Err(format!("{name}: {TOO_LONG}"));
        }
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value));
        Ok(())
    }

    /// A shell without arguments: runs the lines of its input as they come, with a prompt on a terminal.
    pub async fn interact(&mut self, streams: &mut Streams, tty: bool, interrupt: &Notify) -> i32 {
        let mut pending = String::new();
        loop {
            if tty && pending.is_empty() {
                let shown = if self.folder.is_empty() { "/" } else { &self.folder };
                if streams.stdout.write(format!("{shown} # ")).await.is_err() {
                    return BROKEN_PIPE;
                }
            }
            let piece = tokio::select! {
                piece = streams.stdin.read() => piece,
                () = interrupt.notified() => continue,
            };
            let over = piece.is_none();
            pending.push_str(&String::from_utf8_lossy(&piece.unwrap_or_default()));
            while let Some(end) = pending.find('\n').or_else(|| (over && !pending.is_empty()).then_some(pending.len()))
            {
                let line: String = pending.drain(..(end + 1).min(pending.len())).collect();
                // What is left is the input of what the line runs, as far as nothing was read ahead: that stays the shell's.
                tokio::select! {
                    code = self.script(&line, streams) => self.status = code,
                    () = interrupt.notified() => self.status = INTERRUPTED,
                }
                if let Some(code) = self.exit {
                    return code;
                }
            }
            if over {
                return self.status;
            }
            if pending.len() > LINE_BYTES_MAX {
                return 2;
            }
        }
    }

    /// Runs a script to its end.
    pub async fn script(&mut self, script: &str, streams: &mut Streams) -> i32 {
        let pipelines = match words::parse(script) {
            Ok(pipelines) => pipelines,
            Err(error) => {
                let _ = streams.stderr.write(format!("sh: {error}\n")).await;
                return 2;
            }
        };
        for (when, pipeline) in pipelines {
            let run = match when {
                When::Always => true,
                When::Succeeded => self.status == 0,
                When::Failed => self.status != 0,
            };
            if run {
                self.status = Box::pin(self.pipeline(pipeline, streams)).await;
            }
            if let Some(code) = self.exit {
                return code;
            }
        }
        self.status
    }

    /// Commands one after the other, each reading what the one before wrote.
    async fn pipeline(&mut self, pipeline: Vec<Simple>, streams: &mut Streams) -> i32 {
        let last = pipeline.len().saturating_sub(1);
        let (mut code, mut piped): (i32, Option<Bytes>) = (0, None);
        for (index, simple) in pipeline.into_iter().enumerate() {
            let buffer = Arc::new(Mutex::new(Vec::new()));
            let stdin = piped.take().map_or_else(|| streams.stdin.clone(), Input::bytes);
            let stdout = if index < last { Output::Buffer(buffer.clone()) } else { streams.stdout.clone() };
            let mut inner = Streams { stdin, stdout, stderr: streams.stderr.clone() };
            code = self.simple(simple, &mut inner).await;
            piped = Some(Bytes::from(std::mem::take(&mut *buffer.lock())));
        }
        code
    }

    async fn simple(&mut self, simple: Simple, streams: &mut Streams) -> i32 {
        let Simple { assignments, words, redirections } = simple;
        let mut left = WORDS_BYTES_MAX;
        let expanded = words.iter().map(|word| self.expand(word, &mut left)).collect::<Result<Vec<String>, String>>();
        let before = self.variables.clone();
        let prepared = expanded.and_then(|words| self.assign(&assignments).map(|()| words));
        let words = match prepared {
            Ok(words) if words.is_empty() => return 0,
            Ok(words) => words,
            Err(error) => {
                self.variables = before;
                let _ = streams.stderr.write(format!("sh: {error}\n")).await;
                return CANNOT_RUN;
            }
        };
        let code = match self.redirect(&redirections, &mut left, streams) {
            Ok(Redirected { restore, files }) => {
                let code = self.command(&words, streams).await;
                restore.undo(streams);
                match self.write_files(files) {
                    Ok(()) => code,
                    Err(error) => {
                        let _ = streams.stderr.write(format!("sh: {error}\n")).await;
                        1
                    }
                }
            }
            Err(error) => {
                let _ = streams.stderr.write(format!("sh: {error}\n")).await;
                1
            }
        };
        if !assignments.is_empty() {
            self.variables = before;
        }
        code
    }

    fn assign(&mut self, assignments: &[(String, Word)]) -> Result<(), String> {
        for (name, value) in assignments {
            let value = self.expand(value, &mut WORDS_BYTES_MAX.clone())?;
            self.set(name, value)?;
        }
        Ok(())
    }

    /// A command by its words. Also what a client asks for directly.
    pub async fn command(&mut self, mut words: &[String], streams: &mut Streams) -> i32 {
        let mut replaces = false;
        // One after the other, not one within the other: there may be many.
        while let [first, rest @ ..] = words
            && first == "exec"
            && !rest.is_empty()
        {
            (words, replaces) = (rest, true);
        }
        let code = self.plain_command(words, streams).await;
        if replaces {
            self.exit = Some(code);
        }
        code
    }

    async fn plain_command(&mut self, words: &[String], streams: &mut Streams) -> i32 {
        let Some((name, arguments)) = words.split_first() else { return 0 };
        match name.as_str() {
            "exit" => {
                let code = arguments.first().map_or(Some(self.status), |code| code.parse().ok()).unwrap_or(2) & 0xff;
                self.exit = Some(code);
                return code;
            }
            "cd" => return self.change_folder(arguments, streams).await,
            "export" => {
                for argument in arguments {
                    if let Some((name, value)) = argument.split_once('=')
                        && let Err(error) = self.set(name, value.to_owned())
                    {
                        let _ = streams.stderr.write(format!("sh: export: {error}\n")).await;
                        return 1;
                    }
                }
                return 0;
            }
            _ => {}
        }
        match program(name) {
            Some(shell) if SHELLS.contains(&shell) => self.inner_shell(arguments, streams).await,
            Some(plain) => commands::run(self, plain, arguments, streams).await,
            None => {
                let _ = streams.stderr.write(format!("sh: {name}: not found\n")).await;
                NOT_FOUND
            }
        }
    }

    async fn inner_shell(&mut self, arguments: &[String], streams: &mut Streams) -> i32 {
        if self.depth == DEPTH_MAX {
            let _ = streams.stderr.write("sh: too many shells in one another\n").await;
            return 2;
        }
        let mut inner = Shell { depth: self.depth + 1, exit: None, status: 0, ..self.clone() };
        let script = match arguments {
            // -c, -ec, -lc …
            [flags, script, ..] if flags.starts_with('-') && flags.ends_with('c') => script.clone(),
            [] => match streams.stdin.read_all(LINE_BYTES_MAX).await {
                Ok(script) => String::from_utf8_lossy(&script).into_owned(),
                Err(error) => {
                    let _ = streams.stderr.write(format!("sh: {error}\n")).await;
                    return 2;
                }
            },
            [file, ..] => {
                let path = Files::resolve(&self.folder, file);
                let data = self.machine.files.lock().get(&path).and_then(|node| node.data.clone());
                let Some(data) = data else {
                    let _ = streams.stderr.write(format!("sh: can't open '{file}': No such file or directory\n")).await;
                    return 2;
                };
                String::from_utf8_lossy(&data).into_owned()
            }
        };
        Box::pin(inner.script(&script, streams)).await
    }

    async fn change_folder(&mut self, arguments: &[String], streams: &mut Streams) -> i32 {
        let wanted = arguments.first().map_or("/root", String::as_str);
        let path = Files::resolve(&self.folder, wanted);
        if self.machine.files.lock().is_folder(&path) {
            self.folder = path;
            return 0;
        }
        let _ = streams.stderr.write(format!("sh: cd: can't cd to {wanted}: No such file or directory\n")).await;
        2
    }

    /// What a word comes to, which is taken from the bytes that are `left`.
    fn expand(&self, word: &Word, left: &mut usize) -> Result<String, String> {
        let mut take = |bytes: usize| left.checked_sub(bytes).map(|rest| *left = rest).ok_or(TOO_LONG);
        take(WORD_OVERHEAD)?;
        let status = self.status.to_string();
        let mut expanded = String::new();
        for part in word {
            let text = match part {
                Part::Text(text) => text.as_str(),
                Part::Variable(name) if name == "?" => status.as_str(),
                Part::Variable(name) => self.variable(name).unwrap_or_default(),
            };
            take(text.len())?;
            expanded.push_str(text);
        }
        Ok(expanded)
    }

    /// Points the streams elsewhere. What goes to files is collected, and written when the command is over.
    fn redirect(
        &self,
        redirections: &[Redirection],
        left: &mut usize,
        streams: &mut Streams,
    ) -> Result<Redirected, String> {
        let mut redirected = Redirected {
            restore: Restore { stdin: None, stdout: streams.stdout.clone(), stderr: streams.stderr.clone() },
            files: Vec::new(),
        };
        for redirection in redirections {
            match redirection {
                Redirection::ErrorToOutput => streams.stderr = streams.stdout.clone(),
                Redirection::From(file) => {
                    let file = self.expand(file, left)?;
                    let data = if file == "/dev/null" {
                        Some(Vec::new())
                    } else {
                        let path = Files::resolve(&self.folder, &file);
                        self.machine.files.lock().get(&path).and_then(|node| node.data.clone())
                    };
                    let data = data.ok_or_else(|| format!("can't open {file}: no such file"))?;
                    let before = std::mem::replace(&mut streams.stdin, Input::bytes(data));
                    redirected.restore.stdin.get_or_insert(before);
                }
                Redirection::To { file, append, error } => {
                    let file = self.expand(file, left)?;
                    let output = match file.as_str() {
                        "/dev/null" => Output::Nowhere,
                        "/dev/stderr" => streams.stderr.clone(),
                        "/dev/stdout" => streams.stdout.clone(),
                        _ => {
                            let buffer = Arc::new(Mutex::new(Vec::new()));
                            let path = Files::resolve(&self.folder, &file);
                            redirected.files.push(Collected { file, path, append: *append, buffer: buffer.clone() });
                            Output::Buffer(buffer)
                        }
                    };
                    if *error {
                        streams.stderr = output;
                    } else {
                        streams.stdout = output;
                    }
                }
            }
        }
        Ok(redirected)
    }

    fn write_files(&self, files: Vec<Collected>) -> Result<(), String> {
        let mut known = self.machine.files.lock();
        for Collected { file, path, append, buffer } in files {
            let before = known.get(&path).and_then(|node| node.data.clone()).filter(|_| append);
            let mut data = before.unwrap_or_default();
            data.extend_from_slice(&buffer.lock());
            known.write(&path, data, 0o644, Timestamp::now()).map_err(|why| format!("can't create {file}: {why}"))?;
        }
        Ok(())
    }
}

struct Redirected {
    restore: Restore,
    files: Vec<Collected>,
}

struct Collected {
    file: String,
    path: String,
    append: bool,
    buffer: Arc<Mutex<Vec<u8>>>,
}

struct Restore {
    stdin: Option<Input>,
    stdout: Output,
    stderr: Output,
}

impl Restore {
    fn undo(self, streams: &mut Streams) {
        if let Some(stdin) = self.stdin {
            streams.stdin = stdin;
        }
        streams.stdout = self.stdout;
        streams.stderr = self.stderr;
    }
}
