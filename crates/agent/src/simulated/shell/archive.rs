//! `tar`: `cf - PATH…` and `xf -`, with -C, which is what `kubectl cp` needs.

use std::io::Read as _;

use jiff::Timestamp;
use tar::{Archive, Builder, EntryType, Header};

use super::commands::{Done, OUTPUT_BYTES_MAX};
use super::io::Streams;
use super::script::Shell;
use crate::simulated::files::Files;

pub async fn run(shell: &Shell, arguments: &[String], streams: &mut Streams) -> Done {
    let (mut mode, mut file, mut folder, mut paths) = (None, None, shell.folder.clone(), Vec::new());
    let mut rest = arguments.iter().enumerate();
    while let Some((index, argument)) = rest.next() {
        let flags = match argument.strip_prefix('-') {
            Some("") | None if index > 0 => {
                paths.push(argument.clone());
                continue;
            }
            Some(long) if long.starts_with('-') => continue,
            Some(flags) => flags,
            None => argument,
        };
        for flag in flags.chars() {
            match flag {
                'c' | 'x' | 't' => mode = Some(flag),
                'f' => file = rest.next().map(|(_, file)| file.clone()),
                'C' => {
                    let wanted = rest.next().map_or("", |(_, folder)| folder.as_str());
                    folder = Files::resolve(&shell.folder, wanted);
                    if !shell.machine.files.lock().is_folder(&folder) {
                        return Err(format!("can't change directory to '{wanted}': No such file or directory"));
                    }
                }
                'm' | 'p' | 'v' | 'o' => {}
                other => return Err(format!("invalid option -- '{other}'")),
            }
        }
    }
    if file.as_deref() != Some("-") {
        return Err("only archives on standard input or output are simulated: -f -".to_owned());
    }
    match mode {
        Some('c') => Ok((0, create(shell, &folder, &paths)?)),
        Some('x') => {
            let bytes = streams.stdin.read_all(OUTPUT_BYTES_MAX).await?;
            extract(shell, &folder, &bytes)?;
            Ok((0, Vec::new()))
        }
        Some('t') => {
            let bytes = streams.stdin.read_all(OUTPUT_BYTES_MAX).await?;
            let mut names = String::new();
            for entry in Archive::new(bytes.as_slice()).entries().map_err(told)? {
                names.push_str(&entry.map_err(told)?.path().map_err(told)?.to_string_lossy());
                names.push('\n');
            }
            Ok((0, names.into_bytes()))
        }
        _ => Err("one of -c, -x and -t is needed".to_owned()),
    }
}

fn told(error: std::io::Error) -> String {
    error.to_string()
}

fn create(shell: &Shell, folder: &str, paths: &[String]) -> Result<Vec<u8>, String> {
    let files = shell.machine.files.lock();
    let mut builder = Builder::new(Vec::new());
    for path in paths {
        let absolute = Files::resolve(folder, path);
        let tree = files.tree(&absolute);
        if tree.is_empty() {
            return Err(format!("{path}: No such file or directory"));
        }
        // Members are named as they were asked for, without a slash before.
        let name = path.trim_matches('/');
        for (found, node) in tree {
            let below = found.strip_prefix(&absolute).unwrap_or_default();
            let member = format!("{name}{below}");
            let member = member.trim_start_matches('/');
            let member = if member.is_empty() { "." } else { member };
            let mut header = Header::new_gnu();
            header.set_mode(node.mode);
            header.set_mtime(u64::try_from(node.modified.as_second()).unwrap_or_default());
            let data = node.data.as_deref();
            header.set_entry_type(if data.is_some() { EntryType::Regular } else { EntryType::Directory });
            let data = data.unwrap_or_default();
            if builder.get_ref().len() + data.len() > OUTPUT_BYTES_MAX {
                return Err("the archive is too large".to_owned());
            }
            header.set_size(data.len() as u64);
            let member = if node.data.is_none() { format!("{member}/") } else { member.to_owned() };
            builder.append_data(&mut header, member, data).map_err(told)?;
        }
    }
    builder.into_inner().map_err(told)
}

fn extract(shell: &Shell, folder: &str, bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("short read".to_owned());
    }
    let now = Timestamp::now();
    let mut files = shell.machine.files.lock();
    for entry in Archive::new(bytes).entries().map_err(told)? {
        let mut entry = entry.map_err(told)?;
        let name = entry.path().map_err(told)?.to_string_lossy().into_owned();
        let path = Files::resolve(folder, name.trim_start_matches('/'));
        let failed = |why: String| format!("can't create '{name}': {why}");
        match entry.header().entry_type() {
            EntryType::Directory => files.make_folder(&path, true, now).map_err(failed)?,
            EntryType::Regular | EntryType::Continuous => {
                if let Some((parent, _)) = path.rsplit_once('/') {
                    files.make_folder(parent, true, now).map_err(failed)?;
                }
                let mode = entry.header().mode().map_err(told)?;
                let mut data = Vec::new();
                entry.read_to_end(&mut data).map_err(told)?;
                files.write(&path, data, mode & 0o777, now).map_err(failed)?;
            }
            // Links and devices are not simulated.
            _ => {}
        }
    }
    Ok(())
}
