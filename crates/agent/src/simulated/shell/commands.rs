//! The programs, as small as they can be and still do what people try first.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::archive;
use super::io::{Input, PIPE_BYTES_MAX, Streams};
use super::script::{BROKEN_PIPE, Shell};
use crate::simulated::files::{BYTES_MAX, Files};

const NAMES: [&str; 25] = [
    "[", "cat", "date", "echo", "env", "false", "head", "hostname", "id", "ls", "mkdir", "printenv", "pwd", "rm",
    "seq", "sleep", "tail", "tar", "tee", "test", "touch", "true", "wc", "whoami", "yes",
];
/// How much `yes` writes at once.
const YES_BYTES: usize = 16 << 10;
/// What a program may write at once: all files, and something around each.
pub const OUTPUT_BYTES_MAX: usize = BYTES_MAX + (4 << 20);
/// The longest `seq`.
const SEQUENCE_MAX: u64 = 100_000;

pub fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Runs a program that [exists].
pub async fn run(shell: &mut Shell, name: &str, arguments: &[String], streams: &mut Streams) -> i32 {
    let outcome = match name {
        "cat" => cat(shell, arguments, streams).await,
        "tee" => tee(shell, arguments, streams).await,
        "head" | "tail" | "wc" => cut(shell, name, arguments, streams).await,
        "sleep" => sleep(arguments).await,
        "tar" => archive::run(shell, arguments, streams).await,
        "yes" => {
            let word = arguments.first().map_or("y", String::as_str);
            let block = Bytes::from(format!("{word}\n").repeat((YES_BYTES / (word.len() + 1)).max(1)));
            while streams.stdout.write(block.clone()).await.is_ok() {
                // Into a file or nowhere it would never wait.
                tokio::task::yield_now().await;
            }
            return BROKEN_PIPE;
        }
        name => at_once(shell, name, arguments),
    };
    let (code, text) = match outcome {
        Ok(done) => done,
        Err(error) => {
            let _ = streams.stderr.write(format!("{name}: {error}\n")).await;
            return 1;
        }
    };
    if !text.is_empty() && streams.stdout.write(text).await.is_err() {
        return BROKEN_PIPE;
    }
    code
}

/// An exit code and the rest of the output.
pub type Done = Result<(i32, Vec<u8>), String>;

/// What neither reads nor waits.
fn at_once(shell: &mut Shell, name: &str, arguments: &[String]) -> Done {
    let machine = shell.machine.clone();
    let text = match name {
        "true" => String::new(),
        "false" => return Ok((1, Vec::new())),
        "echo" => match arguments.split_first() {
            Some((flag, rest)) if flag == "-n" => rest.join(" "),
            _ => arguments.join(" ") + "\n",
        },
        "hostname" => format!("{}\n", machine.hostname),
        "whoami" => "root\n".to_owned(),
        "id" => "uid=0(root) gid=0(root) groups=0(root)\n".to_owned(),
        "pwd" => format!("{}\n", if shell.folder.is_empty() { "/" } else { &shell.folder }),
        "date" => Timestamp::now().strftime("%a %b %e %H:%M:%S UTC %Y\n").to_string(),
        "env" => shell.variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect(),
        "printenv" => match arguments.first() {
            None => return at_once(shell, "env", &[]),
            Some(name) => match shell.variable(name) {
                Some(value) => format!("{value}\n"),
                None => return Ok((1, Vec::new())),
            },
        },
        "seq" => sequence(arguments)?,
        "ls" => return list(shell, arguments),
        "test" | "[" => return Ok((i32::from(!holds(shell, arguments)?), Vec::new())),
        "mkdir" | "touch" | "rm" => {
            change(shell, name, arguments)?;
            String::new()
        }
        other => return Err(format!("{other} is not simulated")),
    };
    Ok((0, text.into_bytes()))
}

async fn cat(shell: &Shell, arguments: &[String], streams: &mut Streams) -> Done {
    let files: Vec<&String> =
        arguments.iter().filter(|argument| *argument == "-" || !argument.starts_with('-')).collect();
    if files.is_empty() {
        return copy(streams).await;
    }
    for file in files {
        if file == "-" {
            copy(streams).await?;
            continue;
        }
        let data = read(shell, file)?;
        if streams.stdout.write(data).await.is_err() {
            return Ok((BROKEN_PIPE, Vec::new()));
        }
    }
    Ok((0, Vec::new()))
}

async fn copy(streams: &mut Streams) -> Done {
    while let Some(piece) = streams.stdin.read().await {
        if streams.stdout.write(piece).await.is_err() {
            return Ok((BROKEN_PIPE, Vec::new()));
        }
    }
    Ok((0, Vec::new()))
}

async fn tee(shell: &Shell, arguments: &[String], streams: &mut Streams) -> Done {
    let data = streams.stdin.read_all(PIPE_BYTES_MAX).await?;
    for file in arguments.iter().filter(|argument| !argument.starts_with('-')) {
        let path = Files::resolve(&shell.folder, file);
        let written = shell.machine.files.lock().write(&path, data.clone(), 0o644, Timestamp::now());
        written.map_err(|why| format!("{file}: {why}"))?;
    }
    Ok((0, data))
}

/// `head`, `tail` and `wc` of a file or of the input, with -n, -c and -l.
async fn cut(shell: &Shell, name: &str, arguments: &[String], streams: &mut Streams) -> Done {
    let (mut unit, mut amount, mut file) = ('n', "10".to_owned(), None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.strip_prefix('-') {
            Some(flags) if flags.starts_with(['n', 'c', 'l']) => {
                unit = flags.chars().next().unwrap_or('n');
                if name != "wc" {
                    amount =
                        if flags.len() > 1 { flags[1..].to_owned() } else { rest.next().cloned().unwrap_or_default() };
                }
            }
            Some(number) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                amount = number.to_owned()
            }
            Some(other) if !other.is_empty() => return Err(format!("unrecognized option: {other}")),
            _ => file = Some(argument),
        }
    }
    let data = match file {
        Some(file) => read(shell, file)?,
        // Only as much as is wanted of an input without end.
        None if name == "head" => first(&mut streams.stdin, unit, &amount).await?,
        None => streams.stdin.read_all(PIPE_BYTES_MAX).await?,
    };
    if name == "wc" {
        let count = if unit == 'c' { data.len() } else { data.iter().filter(|byte| **byte == b'\n').count() };
        return Ok((0, format!("{count}\n").into_bytes()));
    }
    let from_start = amount.strip_prefix('+');
    let count: usize = from_start.unwrap_or(&amount).parse().map_err(|_| format!("invalid number '{amount}'"))?;
    let ends = |data: &[u8], from: usize| match unit {
        'c' => from.min(data.len()),
        _ => data
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at + 1)
            .nth(from.wrapping_sub(1))
            .unwrap_or(if from == 0 { 0 } else { data.len() }),
    };
    let total = if unit == 'c' { data.len() } else { data.split_inclusive(|byte| *byte == b'\n').count() };
    let kept = match (name, from_start.is_some()) {
        ("head", _) => data[..ends(&data, count)].to_vec(),
        (_, true) => data[ends(&data, count.saturating_sub(1))..].to_vec(),
        (_, false) => data[ends(&data, total.saturating_sub(count))..].to_vec(),
    };
    Ok((0, kept))
}

async fn first(input: &mut Input, unit: char, amount: &str) -> Result<Vec<u8>, String> {
    let wanted: usize = amount.parse().map_err(|_| format!("invalid number '{amount}'"))?;
    let mut data = Vec::new();
    while data.len() < PIPE_BYTES_MAX {
        let have = if unit == 'c' { data.len() } else { data.iter().filter(|byte| **byte == b'\n').count() };
        if have >= wanted {
            break;
        }
        let Some(piece) = input.read().await else { break };
        data.extend_from_slice(&piece);
    }
    Ok(data)
}

async fn sleep(arguments: &[String]) -> Done {
    let text = arguments.first().ok_or("missing operand")?;
    let invalid = || format!("invalid number '{text}'");
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        _ => (text.as_str(), 1.0),
    };
    if text == "infinity" {
        std::future::pending::<()>().await;
    }
    let seconds: f64 = number.parse().map_err(|_| invalid())?;
    tokio::time::sleep(Duration::try_from_secs_f64(seconds * unit).map_err(|_| invalid())?).await;
    Ok((0, Vec::new()))
}

fn sequence(arguments: &[String]) -> Result<String, String> {
    let numbers: Vec<u64> = arguments
        .iter()
        .map(|text| text.parse().map_err(|_| format!("invalid number '{text}'")))
        .collect::<Result<_, _>>()?;
    let (first, last) = match numbers.as_slice() {
        [last] => (1, *last),
        [first, last] => (*first, *last),
        _ => return Err("one number or two".to_owned()),
    };
    if last.saturating_sub(first) > SEQUENCE_MAX {
        return Err(format!("at most {SEQUENCE_MAX} numbers"));
    }
    Ok((first..=last).map(|number| format!("{number}\n")).collect())
}

fn list(shell: &Shell, arguments: &[String]) -> Done {
    let long = arguments.iter().any(|argument| argument.starts_with('-') && argument.contains('l'));
    let mut names: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    if names.is_empty() {
        names.push(".");
    }
    let files = shell.machine.files.lock();
    let mut text = String::new();
    for name in names {
        let path = Files::resolve(&shell.folder, name);
        let node = files.get(&path).ok_or_else(|| format!("{name}: No such file or directory"))?;
        let entries = if node.data.is_none() { files.list(&path) } else { vec![(name, node)] };
        for (name, node) in entries {
            if long {
                let kind = if node.data.is_none() { 'd' } else { '-' };
                let bits = |shift: u32, letter: char| if node.mode >> shift & 1 == 1 { letter } else { '-' };
                let mode: String =
                    (0..9_u32).rev().zip("rwxrwxrwx".chars()).map(|(shift, letter)| bits(shift, letter)).collect();
                let modified = node.modified.strftime("%b %e %H:%M");
                text.push_str(&format!("{kind}{mode}    1 root     root     {:9} {modified} {name}\n", node.size()));
            } else {
                text.push_str(&format!("{name}\n"));
            }
            if text.len() > OUTPUT_BYTES_MAX {
                return Err("there is too much to list".to_owned());
            }
        }
    }
    Ok((0, text.into_bytes()))
}

fn holds(shell: &Shell, arguments: &[String]) -> Result<bool, String> {
    let all: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| *word != "]").collect();
    let negations = all.iter().take_while(|word| **word == "!").count();
    let words = &all[negations..];
    let files = shell.machine.files.lock();
    let at = |path: &str| files.get(&Files::resolve(&shell.folder, path)).cloned();
    let holds = match words {
        ["-d", path] => at(path).is_some_and(|node| node.data.is_none()),
        ["-f", path] => at(path).is_some_and(|node| node.data.is_some()),
        ["-e" | "-r" | "-w", path] => at(path).is_some(),
        ["-s", path] => at(path).is_some_and(|node| node.size() > 0),
        ["-n", text] | [text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [] => false,
        _ => return Err("too many arguments".to_owned()),
    };
    Ok(holds ^ (negations % 2 == 1))
}

fn change(shell: &Shell, name: &str, arguments: &[String]) -> Result<(), String> {
    let flags: String = arguments.iter().filter_map(|argument| argument.strip_prefix('-')).collect();
    let mut files = shell.machine.files.lock();
    let now = Timestamp::now();
    for argument in arguments.iter().filter(|argument| !argument.starts_with('-')) {
        let path = Files::resolve(&shell.folder, argument);
        let node = files.get(&path);
        match name {
            "mkdir" => files
                .make_folder(&path, flags.contains('p'), now)
                .map_err(|why| format!("can't create directory '{argument}': {why}"))?,
            "touch" if node.is_none() => {
                files.write(&path, Vec::new(), 0o644, now).map_err(|why| format!("{argument}: {why}"))?
            }
            "touch" => {}
            _ => match node {
                None if flags.contains('f') => {}
                None => return Err(format!("can't remove '{argument}': No such file or directory")),
                Some(node) if node.data.is_none() && !flags.contains(['r', 'R']) => {
                    return Err(format!("'{argument}' is a directory"));
                }
                Some(_) => files.remove(&path),
            },
        }
    }
    Ok(())
}

fn read(shell: &Shell, file: &str) -> Result<Vec<u8>, String> {
    let path = Files::resolve(&shell.folder, file);
    match shell.machine.files.lock().get(&path) {
        Some(node) => node.data.clone().ok_or_else(|| format!("read error: {file}: Is a directory")),
        None => Err(format!("can't open '{file}': No such file or directory")),
    }
}
