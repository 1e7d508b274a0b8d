//! The machine, the build and the options, without which figures mean nothing.

use std::path::Path;
use std::process::Command;

use crate::options::Options;

/// What figures were taken under, by name.
#[derive(Clone, Debug)]
pub struct Conditions(pub Vec<(&'static str, String)>);

impl Conditions {
    /// Looks at this machine and at the programs that are to be measured.
    pub fn now(options: &Options) -> Self {
        let scratch = keelson::dev::scratch::folder().unwrap_or_default();
        let tls = if options.tls {
            "on for both, with client certificates"
        } else {
            "off for the clients of both; keelson's members always speak TLS among themselves, etcd's do not here"
        };
        let mut conditions = vec![
            ("CPU", field("/proc/cpuinfo", "model name")),
            ("cores", std::thread::available_parallelism().map_or(0, usize::from).to_string()),
            ("memory", memory()),
            ("kernel", first_line("/proc/sys/kernel/osrelease")),
            ("file system", file_system(&scratch)),
            ("load average before", first_line("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned()),
            ("keelson-bench", format!("{}, {}", env!("CARGO_PKG_VERSION"), own_build())),
            ("members", format!("{} each, both clusters and the clients on this machine", options.members)),
            (
                "clients",
                "closed loops on one thread, 10 a connection, at most 30 connections, spread over the members"
                    .to_owned(),
            ),
            ("TLS", tls.to_owned()),
            (
                "API",
                "HTTP/2 with TLS and client certificates, whatever the option; Kubernetes' JSON, leases as protobuf, nothing compressed"
                    .to_owned(),
            ),
            ("fsync", "on for both".to_owned()),
        ];
        let mut runs = format!("{} pairs of {} s", options.pairs, options.seconds);
        runs.push_str(&format!(
            ", each after {} s of warm-up; works with long runs make fewer",
            options.warm_up_seconds
        ));
        conditions.push(("runs", runs));
        if let Ok(program) = options.keelson_program() {
            conditions.push(("keelson", format!("{}, {}", version(&program), built(&program))));
        }
        if let Ok(program) = options.etcd_program() {
            conditions.push(("etcd", format!("{}, its defaults but a quota of 8 GiB", version(&program))));
        }
        Self(conditions)
    }

    /// The few that go on one line.
    pub fn short(&self) -> String {
        let wanted = ["CPU", "cores", "kernel", "file system", "etcd", "runs"];
        let shown = self.0.iter().filter(|(name, _)| wanted.contains(name));
        shown.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("; ")
    }

    /// Prints them.
    pub fn print(&self) {
        for (name, value) in &self.0 {
            println!("{name:>20}: {value}");
        }
    }
}

/// How a program was built, as far as its folder tells.
fn built(program: &Path) -> &'static str {
    match program.parent().and_then(Path::file_name).and_then(std::ffi::OsStr::to_str) {
        Some("release") => "release build",
        Some("debug") => "development build, of which only the store is optimized",
        _ => "build unknown",
    }
}

fn own_build() -> &'static str {
    std::env::current_exe().map_or("build unknown", |program| built(&program))
}

fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

fn first_line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or("unknown").to_owned()
}

/// The first value of a name in a file of `name: value` lines.
fn field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

fn memory() -> String {
    let kib: u64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
    format!("{} GiB", kib >> 20)
}

/// The file system that holds a folder, and its device.
fn file_system(folder: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    mount_of(&mounts, folder).unwrap_or_else(|| "unknown".to_owned())
}

fn mount_of(mounts: &str, folder: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?, words.next()?))
    });
    let holding = mounts.filter(|(_, point, _)| folder.starts_with(point));
    let (device, _, kind) = holding.max_by_key(|(_, point, _)| point.len())?;
    Some(format!("{kind} on {device}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_holds_a_folder() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /home xfs rw 0 0\n";
        assert_eq!(mount_of(mounts, Path::new("/home/someone/x")).as_deref(), Some("xfs on /dev/b"));
        assert_eq!(mount_of(mounts, Path::new("/homework")).as_deref(), Some("ext4 on /dev/a"));
        assert_eq!(mount_of("", Path::new("/")), None);
    }
}
