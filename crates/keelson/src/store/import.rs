//! `keelson store import`: the keys of a live etcd cluster, as a file that members are restored from.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use keelson_store::import;

use super::snapshot::print;

/// What to import. The flags are named as etcdctl's.
#[derive(Debug, Args)]
pub struct Import {
    /// The file to make, for `snapshot status` and `snapshot restore`; it must not be there
    file: PathBuf,
    /// URLs of the etcd cluster's members; each that answers may be asked
    #[arg(long, required = true, value_delimiter = ',', value_name = "URLS")]
    from_etcd: Vec<String>,
    /// The authority that signed the members' certificates, a PEM file
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// A client's certificate, a PEM file
    #[arg(long, value_name = "FILE", requires_all = ["key", "cacert"])]
    cert: Option<PathBuf>,
    /// Its key, a PEM file
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// A user who may read everything, root most likely: NAME, or NAME:PASSWORD
    #[arg(long, value_name = "NAME[:PASSWORD]")]
    user: Option<String>,
    /// The user's password, when --user has none
    #[arg(long, value_name = "PASSWORD", requires = "user")]
    password: Option<String>,
    /// A file with the user's password, which other users of this machine cannot see as they can see a flag
    #[arg(long, value_name = "FILE", requires = "user", conflicts_with = "password")]
    password_file: Option<PathBuf>,
}

impl Import {
    /// Does it.
    ///
    /// # Errors
    /// In words for the operator.
    pub fn run(self) -> anyhow::Result<()> {
        let options = self.options()?;
        let bar = ProgressBar::new(0)
            .with_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} keys {msg} {per_sec} {eta}")?);
        let mut first = true;
        let progress = |step: import::Step| {
            bar.set_length(step.keys_total);
            if std::mem::take(&mut first) {
                let from = if step.keys > 0 { "goes on" } else { "begins" };
                let line =
                    format!("{from} at revision {} with {} of {} keys", step.revision, step.keys, step.keys_total);
                // Also where there is no bar because there is no terminal.
                bar.suspend(|| eprintln!("{line}"));
                // Keys of earlier runs say nothing of the speed.
                bar.set_position(step.keys);
                bar.reset_eta();
            }
            bar.set_position(step.keys);
            bar.set_message(indicatif::BinaryBytes(step.bytes).to_string());
        };
        let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
        let imported = runtime.block_on(import::run(&options, progress))?;
        bar.finish_and_clear();
        print(&imported.summary);
        println!(
            "imported {} keys at revision {} and {} leases into {}, verified",
            imported.summary.keys,
            imported.summary.revision,
            imported.leases,
            options.file.display()
        );
        if imported.ended_leases > 0 {
            println!(
                "{} leases ended at the source meanwhile; with their keys, they end a second after the new cluster starts",
                imported.ended_leases
            );
        }
        println!(
            "now, for each member of the new cluster: keelctl store snapshot restore {} …",
            options.file.display()
        );
        Ok(())
    }

    fn options(&self) -> anyhow::Result<import::Options> {
        if self.cacert.is_none() && self.from_etcd.iter().any(|url| url.starts_with("https://")) {
            bail!("URLs that begin with https:// need --cacert");
        }
        // Else what is asked to be secret would go in the clear.
        if self.cacert.is_some() && self.from_etcd.iter().any(|url| url.to_ascii_lowercase().starts_with("http://")) {
            bail!("URLs that begin with http:// do not go with --cacert: use https://");
        }
        let mut options = import::Options::new(&self.file, self.from_etcd.clone());
        options.ca.clone_from(&self.cacert);
        options.certificate = self.cert.clone().zip(self.key.clone());
        options.user = self.user()?;
        Ok(options)
    }

    fn user(&self) -> anyhow::Result<Option<(String, String)>> {
        let Some(user) = &self.user else { return Ok(None) };
        if let Some((name, password)) = user.split_once(':') {
            if self.password.is_some() || self.password_file.is_some() {
                bail!("the password is given twice");
            }
            return Ok(Some((name.to_owned(), password.to_owned())));
        }
        let password = match (&self.password, &self.password_file) {
            (Some(password), _) => password.clone(),
            (None, Some(path)) => {
                let content =
                    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                content.trim_end_matches(['\r', '\n']).to_owned()
            }
            (None, None) => bail!("--user needs a password: NAME:PASSWORD, --password or --password-file"),
        };
        Ok(Some((user.clone(), password)))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        import: Import,
    }

    fn options(arguments: &str) -> Result<import::Options, String> {
        let words = ["import", "to.snap", "--from-etcd"].into_iter().chain(arguments.split(' '));
        let parsed = Command::try_parse_from(words).map_err(|error| error.to_string())?;
        parsed.import.options().map_err(|error| error.to_string())
    }

    #[test]
    fn flags_are_etcdctls_and_what_does_not_fit_is_said() {
        let good = options("a:1,http://b:2 --user root:pa:ss").expect("good");
        assert_eq!(good.endpoints, ["a:1", "http://b:2"]);
        assert_eq!(good.user, Some(("root".to_owned(), "pa:ss".to_owned())));
        assert_eq!(options("a:1").expect("good").user, None);
        assert_eq!(options("a:1 --user u --password p").expect("good").user, Some(("u".to_owned(), "p".to_owned())));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "from a file\n").expect("writes");
        let read = options(&format!("a:1 --user u --password-file {}", file.display())).expect("good");
        assert_eq!(read.user, Some(("u".to_owned(), "from a file".to_owned())));
        let tls = options("https://a:1 --cacert ca --cert c --key k").expect("good");
        assert_eq!((tls.ca, tls.certificate), (Some("ca".into()), Some(("c".into(), "k".into()))));
        for (wrong, expected) in [
            ("https://a:1", "need --cacert"),
            ("a:1 --cert c", "--key"),
            ("a:1 --cert c --key k --user u:p", "--cacert"),
            ("a:1,http://b:1 --cacert ca", "http:// do not go with --cacert"),
            ("a:1 --user u", "needs a password"),
            ("a:1 --user u:p --password p", "given twice"),
            ("a:1 --password p", "--user"),
        ] {
            let refused = options(wrong).expect_err(wrong);
            assert!(refused.contains(expected), "{wrong}: {refused}");
        }
    }
}
