//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

use crate::commands::Command;

const EXAMPLES: &str = "\
Examples:
  keelctl get pods -A -o wide
  keelctl apply -f app.yaml
  keelctl rollout status deployment/web
  keelctl exec -it web-1 -- sh
  keelctl cluster status

Connection: --endpoints, --cacert, --cert and --key, or KEELCTL_ENDPOINTS, KEELCTL_CACERT,
KEELCTL_CERT and KEELCTL_KEY, or else the file keelctl.json in $KEELSON_HOME, by default
~/.keelson/dev, where `keelson dev up` writes it.";

/// Control a Keelson cluster.
#[derive(Debug, Parser)]
#[command(name = "keelctl", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,

    /// The namespace to work in
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) namespace: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to reach the cluster.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The members' API addresses, host:port, comma-separated
    #[arg(
        long,
        global = true,
        env = "KEELCTL_ENDPOINTS",
        value_delimiter = ',',
        value_name = "HOST:PORT",
        hide_short_help = true,
        hide_env_values = true
    )]
    pub endpoints: Vec<String>,

    /// The CA that signed the members' certificates, a PEM file
    #[arg(
        long,
        global = true,
        env = "KEELCTL_CACERT",
        value_name = "FILE",
        hide_short_help = true,
        hide_env_values = true
    )]
    pub cacert: Option<PathBuf>,

    /// Your certificate, a PEM file
    #[arg(
        long,
        global = true,
        env = "KEELCTL_CERT",
        value_name = "FILE",
        hide_short_help = true,
        hide_env_values = true
    )]
    pub cert: Option<PathBuf>,

    /// Your private key, a PEM file
    #[arg(
        long,
        global = true,
        env = "KEELCTL_KEY",
        value_name = "FILE",
        hide_short_help = true,
        hide_env_values = true
    )]
    pub key: Option<PathBuf>,

    /// How long one request may take: 500ms, 10s, 2m
    #[arg(long, global = true, default_value = "30s", value_parser = parse_duration, value_name = "DURATION", hide_short_help = true)]
    pub request_timeout: Option<Duration>,
}

/// `500ms`, `10s`, `1m30s`, `2h`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is not a duration such as 500ms, 10s, 1m30s or 2h");
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let length = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(length);
        let step = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3600).map(Duration::from_secs),
            _ => None,
        };
        total = step.and_then(|step| total.checked_add(step)).ok_or_else(invalid)?;
        rest = tail;
    }
    if text.is_empty() { Err(invalid()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use keelson_fuzzing::{Texts, fuzz};

    use super::*;

    #[test]
    fn durations_are_read_as_kubectl_reads_them() {
        for (text, milliseconds) in [("500ms", 500), ("10s", 10_000), ("1m30s", 90_000), ("2h", 7_200_000), ("7", 7000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "10", "1d", "-1s", "1.5s", "99999999999999999999s", "10x"] {
            assert_eq!(parse_duration(text).is_ok(), text == "10", "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn any_text_is_a_duration_or_none_and_longer_with_more_behind_it() {
        fuzz!(Texts::new(&["500ms", "10s", "1m30s", "2h", "7"], &["ms", "s", "m", "h", "0", "-", ".", "é"]), |text| {
            let Ok(duration) = parse_duration(text) else { return false };
            if text.ends_with(|c: char| !c.is_ascii_digit())
                && let Ok(longer) = parse_duration(&format!("{text}1s"))
            {
                assert_eq!(longer, duration + Duration::from_secs(1));
            }
            true
        });
    }
}
