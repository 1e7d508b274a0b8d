//! The commands of `keelson dev` as a person sees them.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use k8s_openapi::api::core::v1::Node;
use keelson_client::Patch;

use super::cluster::Cluster;
use super::layout::Spec;
use super::ready;

/// How long `up` waits for the control plane and the nodes.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A cluster on this machine: three members and an agent with simulated nodes, each a process of its own.
#[derive(Debug, Args)]
pub struct Dev {
    /// Where the cluster keeps everything: data, certificates, logs.
    #[arg(long, global = true, env = "KEELSON_HOME", default_value_os_t = default_home())]
    home: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the cluster, making it first if there is none, and wait until it is ready.
    #[command(
        after_help = "Example:\n  keelson dev up --members 3 --nodes 3\n  eval \"$(keelson dev env)\"\n  kubectl get nodes"
    )]
    Up(Up),
    /// End its processes. The data stays, and `up` continues with it.
    Down,
    /// Show the processes and the members.
    Status,
    /// End a process as a power failure would (kill -9), or make a simulated node fail.
    Kill {
        /// m1, m2, … (or 1, 2, …), `agent` with all its nodes, or one node: node-1, node-2, …
        name: String,
    },
    /// Start a process that is down, or end it gracefully and start it again; or let a failed node work again.
    Restart {
        /// m1, m2, … (or 1, 2, …), `agent`, or a node: node-1, node-2, …
        name: String,
    },
    /// Print what a process logged.
    Logs {
        /// m1, m2, … (or 1, 2, …), or `agent`.
        process: String,
        /// Go on as more is logged.
        #[arg(long, short)]
        follow: bool,
    },
    /// Print the variables that kubectl, keelctl and etcdctl need, for the shell to evaluate.
    Env,
    /// End the processes and erase all data and certificates.
    Reset,
}

#[derive(Debug, Args)]
struct Up {
    /// How many members: 1, 3, 5 or 7.
    #[arg(long, default_value_t = Spec::default().members)]
    members: usize,
    /// How many simulated nodes.
    #[arg(long, default_value_t = Spec::default().nodes)]
    nodes: usize,
    /// The API port of the first member; each further one is ten higher.
    #[arg(long, default_value_t = Spec::default().api_port)]
    api_port: u16,
    /// The etcd port of the first member; each further one is ten higher.
    #[arg(long, default_value_t = Spec::default().store_port)]
    store_port: u16,
    /// The peer port of the first member; each further one is ten higher.
    #[arg(long, default_value_t = Spec::default().peer_port)]
    peer_port: u16,
    /// Open the etcd port without TLS, on loopback only, for comparisons with a plain etcd.
    #[arg(long)]
    insecure_store: bool,
}

fn default_home() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    home.join(".keelson").join("dev")
}

impl Dev {
    /// Runs the command.
    ///
    /// # Errors
    /// With a text that says what to do next.
    pub fn run(self) -> anyhow::Result<()> {
        let program = std::env::current_exe().context("cannot find the path of this program")?;
        let open = || Ok::<_, anyhow::Error>(Cluster::open(&self.home, &program)?);
        match self.command {
            Command::Up(up) => up.run(&self.home, &program),
            Command::Down => open()?.stop().map_err(Into::into),
            Command::Status => status(&open()?),
            Command::Kill { name } if is_node(&name) => set_dead(&open()?, &name, true),
            Command::Restart { name } if is_node(&name) => set_dead(&open()?, &name, false),
            Command::Kill { name } => with_process(&open()?, &name, |_, process| Ok(process.kill()?)),
            Command::Restart { name } => with_process(&open()?, &name, |cluster, process| {
                process.stop()?;
                match cluster.member_index(process.name()) {
                    Ok(index) => Ok(cluster.start_member(index)?),
                    Err(_) => Ok(cluster.start_agent()?),
                }
            }),
            Command::Logs { process, follow } => {
                with_process(&open()?, &process, |_, process| print_log(&process.layout().log(), follow))
            }
            Command::Env => {
                print!("{}", environment(&open()?, &program));
                Ok(())
            }
            Command::Reset => open()?.erase().map_err(Into::into),
        }
    }
}

fn is_node(name: &str) -> bool {
    name.starts_with(super::cluster::NODE_PREFIX)
}

/// Makes a simulated node fail, or work again.
fn set_dead(cluster: &Cluster, name: &str, dead: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let value = if dead { serde_json::json!("true") } else { serde_json::Value::Null };
        let patch = serde_json::json!({ "metadata": { "annotations": { (keelson_agent::node::DEAD): value } } });
        ready::client(cluster)?.patch::<Node>("", name, Patch::Merge(patch)).await?;
        Ok(())
    })
}

fn with_process(
    cluster: &Cluster,
    name: &str,
    act: impl FnOnce(&Cluster, super::Process) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let process =
        if name == cluster.agent().name() { cluster.agent() } else { cluster.member(cluster.member_index(name)?) };
    act(cluster, process)
}

impl Up {
    fn run(self, home: &Path, program: &Path) -> anyhow::Result<()> {
        let started = Instant::now();
        let spec = Spec {
            members: self.members,
            nodes: self.nodes,
            api_port: self.api_port,
            store_port: self.store_port,
            peer_port: self.peer_port,
            insecure_store: self.insecure_store,
            ..Spec::default()
        };
        let progress = Progress::start();
        progress.step("certificates and configuration");
        let cluster = Cluster::open_or_create(home, spec, program)?;
        progress.step("starting the members");
        for index in 0..cluster.spec().members {
            cluster.start_member(index)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let deadline = started + READY_WITHIN;
        runtime.block_on(ready::control_plane(&cluster, deadline, |text| progress.step(text)))?;
        cluster.start_agent()?;
        runtime.block_on(ready::nodes(&cluster, deadline, |text| progress.step(text)))?;
        progress.finish(&format!(
            "ready after {:.1} s: {} members, {} nodes",
            started.elapsed().as_secs_f64(),
            cluster.spec().members,
            cluster.spec().nodes
        ));
        print!("{}", next_steps(&cluster, program));
        Ok(())
    }
}

/// Steps on a terminal replace each other; elsewhere each is a line.
struct Progress {
    bar: Option<indicatif::ProgressBar>,
    last: RefCell<String>,
}

impl Progress {
    fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = indicatif::ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, last: RefCell::default() }
    }

    fn step(&self, text: &str) {
        if self.last.replace(text.to_owned()) == text {
            return;
        }
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => eprintln!("keelson dev: {text}"),
        }
    }

    fn finish(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                eprintln!("✔ {text}");
            }
            None => eprintln!("keelson dev: {text}"),
        }
    }
}

fn next_steps(cluster: &Cluster, program: &Path) -> String {
    let home = if cluster.layout().home() == default_home() {
        String::new()
    } else {
        format!(" --home {}", cluster.layout().home().display())
    };
    let program = if on_path("keelson") { "keelson".to_owned() } else { program.display().to_string() };
    format!(
        "\nWhat to type next:\n  \
         eval \"$({program} dev{home} env)\"    # kubectl, keelctl and etcdctl talk to this cluster\n  \
         keelctl cluster status\n  \
         kubectl get nodes\n  \
         keelson dev{home} kill m1           # then look at the status again\n  \
         keelson dev{home} down              # the data stays\n"
    )
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn status(cluster: &Cluster) -> anyhow::Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["PROCESS", "STATE", "PID", "MEMORY", "API", "STORE", "PEER"]);
    let spec = cluster.spec();
    for (index, process) in cluster.members().chain([cluster.agent()]).enumerate() {
        let memory = process.resident_bytes().map_or("-".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        let addresses = if index < spec.members {
            [spec.api_address(index), spec.store_address(index), spec.peer_address(index)].map(|a| a.to_string())
        } else {
            ["-", "-", "-"].map(str::to_owned)
        };
        let mut row = vec![
            process.name().to_owned(),
            if process.pid().is_some() { "running" } else { "down" }.to_owned(),
            process.pid().map_or("-".to_owned(), |pid| pid.to_string()),
            memory,
        ];
        row.extend(addresses);
        table.add_row(row);
    }
    for line in table.lines() {
        println!("{}", line.trim());
    }
    println!("\nHome: {}", cluster.layout().home().display());
    if cluster.members().any(|member| member.pid().is_none()) {
        println!("Start what is down with `keelson dev up`, or one with `keelson dev restart NAME`.");
    }
    Ok(())
}

fn environment(cluster: &Cluster, program: &Path) -> String {
    // Single quotes keep everything literal; a quote inside ends, escapes and reopens them.
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut text = String::new();
    for (name, value) in cluster.environment() {
        let _ = match value {
            Some(value) => writeln!(text, "export {name}={}", quote(&value)),
            None => writeln!(text, "unset {name}"),
        };
    }
    if let Some(folder) = program.parent().filter(|_| !on_path("keelctl")) {
        let _ = writeln!(text, "export PATH={}:\"$PATH\"", quote(&folder.to_string_lossy()));
    }
    text
}

fn print_log(path: &Path, follow: bool) -> anyhow::Result<()> {
    let mut file = std::fs::File::open(path).with_context(|| format!("there is no log {}", path.display()))?;
    let mut output = std::io::stdout().lock();
    loop {
        let mut chunk = Vec::new();
        file.read_to_end(&mut chunk)?;
        if output.write_all(&chunk).and_then(|()| output.flush()).is_err() {
            // The reader, `head` for example, has seen enough.
            return Ok(());
        }
        if !follow {
            return Ok(());
        }
        if file.metadata()?.len() < file.stream_position()? {
            file.seek(SeekFrom::Start(0))?;
        }
        if !path.exists() {
            bail!("the log {} was removed", path.display());
        }
        #[expect(clippy::disallowed_methods, reason = "a command of the shell follows a file on its own thread")]
        std::thread::sleep(Duration::from_millis(200));
    }
}
