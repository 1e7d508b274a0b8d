//! `store`: backups of the store, and imports from etcd. They need the store's own code, which only the program `keelson` has, so that one is run.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::Error;

/// Back the store up, restore it, and import etcd's keys, by the program `keelson`
#[derive(Debug, Args)]
#[command(after_help = HELP, disable_help_flag = true)]
pub(crate) struct Store {
    /// As for `keelson store`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

const HELP: &str = "\
Examples:
  keelctl store snapshot save backup.snap --endpoint https://127.0.0.1:2379 --cacert ca.crt --cert client.crt --key client.key
  keelctl store snapshot status backup.snap
  keelctl store snapshot restore backup.snap --data-dir /var/lib/keelson --name m1 --initial-cluster m1=10.0.0.1:2380
  keelctl store import etcd.snap --from-etcd https://10.0.0.8:2379,https://10.0.0.9:2379 --cacert ca.crt --user root --password-file root.pw";

impl Store {
    /// Becomes that program; returns only when it cannot.
    pub fn run(self) -> Result<(), Error> {
        let program = program();
        let error = Command::new(&program).arg("store").args(self.arguments).exec();
        Err(Error::Failed(format!("cannot run {}, which does this: {error}", program.display())))
    }
}

/// The one beside this program, or else the one on the path.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("keelson"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("keelson"))
}
