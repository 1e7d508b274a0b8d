//! When members compare what they hold, as flags: those of etcd 3.5, under the names of then and of later, and the feature gates
//! that two of them have become.

use std::str::FromStr;
use std::time::Duration;

use keelson_store::corruption::Options;

/// Whether and when members look for one whose data differ.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Comparison of members' data")]
pub struct CorruptionChecks {
    /// Compare this member's data with the other members' before it takes part, and do not start when a majority of them agrees on
    /// something else. As --feature-gates InitialCorruptCheck=true.
    #[arg(long, visible_alias = "experimental-initial-corrupt-check")]
    initial_corrupt_check: bool,
    /// How often the leader compares all members, which reads everything: 10m, 1h30m; 0s for never. A member that differs gets the
    /// alarm CORRUPT, which stops all writes until it is taken back.
    #[arg(long, visible_alias = "experimental-corrupt-check-time", default_value = "0s")]
    corrupt_check_time: Span,
    /// Compare all members at the revisions up to which they compact. As --feature-gates CompactHashCheck=true.
    #[arg(long, visible_alias = "experimental-compact-hash-check-enabled")]
    compact_hash_check_enabled: bool,
    /// How often the leader looks whether there was a compaction.
    #[arg(long, visible_alias = "experimental-compact-hash-check-time", default_value = "1m")]
    compact_hash_check_time: Span,
    /// The same as etcd 3.6 and later call it: InitialCorruptCheck=true|false,CompactHashCheck=true|false. There are no others here.
    #[arg(long, value_delimiter = ',')]
    feature_gates: Vec<Gate>,
}

impl CorruptionChecks {
    pub fn options(&self) -> Options {
        let mut options = Options {
            at_start: self.initial_corrupt_check,
            interval: self.corrupt_check_time.0,
            after_compactions: self.compact_hash_check_enabled,
            compaction_interval: self.compact_hash_check_time.0,
        };
        for gate in &self.feature_gates {
            match *gate {
                Gate::InitialCorruptCheck(open) => options.at_start |= open,
                Gate::CompactHashCheck(open) => options.after_compactions |= open,
            }
        }
        options
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    InitialCorruptCheck(bool),
    CompactHashCheck(bool),
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, open) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=true or NAME=false"))?;
        let open = open.parse().map_err(|_| format!("{open:?} is neither true nor false"))?;
        match name {
            "InitialCorruptCheck" => Ok(Gate::InitialCorruptCheck(open)),
            "CompactHashCheck" => Ok(Gate::CompactHashCheck(open)),
            _ => Err(format!("there is no feature gate {name:?} here: InitialCorruptCheck and CompactHashCheck are")),
        }
    }
}

/// A duration as etcd's flags have it: `1h30m`, `10s`, `500ms`, `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span(Duration);

/// Longer ones first, since `m` begins `ms`.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no duration: 1h30m, 10s, 500ms");
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let (mut rest, mut millis) = (text, 0_u64);
        while !rest.is_empty() {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, unit) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| wrong())?;
            let (length, scale) = UNITS
                .iter()
                .find_map(|(name, scale)| unit.strip_prefix(name).map(|after| (unit.len() - after.len(), *scale)))
                .ok_or_else(wrong)?;
            millis = number.checked_mul(scale).and_then(|more| millis.checked_add(more)).ok_or_else(wrong)?;
            rest = &unit[length..];
        }
        if text.is_empty() { Err(wrong()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    fn options(flags: &[&str]) -> Result<Options, String> {
        let command = CorruptionChecks::augment_args(Command::new("x").no_binary_name(true));
        let matches = command.try_get_matches_from(flags).map_err(|error| error.to_string())?;
        Ok(CorruptionChecks::from_arg_matches(&matches).expect("flags").options())
    }

    #[test]
    fn without_flags_nothing_is_compared_as_the_store_has_it() {
        assert_eq!(options(&[]), Ok(Options::default()));
    }

    #[test]
    fn each_name_that_etcd_has_or_had_means_the_same() {
        let all = Options {
            at_start: true,
            interval: Duration::from_secs(5400),
            after_compactions: true,
            compaction_interval: Duration::from_millis(1500),
        };
        let former = [
            "--experimental-initial-corrupt-check",
            "--experimental-corrupt-check-time=1h30m",
            "--experimental-compact-hash-check-enabled",
            "--experimental-compact-hash-check-time=1s500ms",
        ];
        assert_eq!(options(&former), Ok(all));
        let gates = "--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true";
        assert_eq!(options(&[gates, "--corrupt-check-time=90m", "--compact-hash-check-time=1500ms"]), Ok(all));
        assert_eq!(options(&["--feature-gates=CompactHashCheck=false"]), Ok(Options::default()));
    }

    #[test]
    fn what_is_no_duration_or_gate_is_refused_by_name() {
        for wrong in ["1", "m", "1x", "1h-3m", "", "99999999999999999999s"] {
            let refused = options(&[&format!("--corrupt-check-time={wrong}")]).expect_err(wrong);
            assert!(refused.contains("corrupt-check-time"), "{refused}");
        }
        let refused = options(&["--feature-gates=StopGRPCServiceOnDefrag=true"]).expect_err("another gate");
        assert!(refused.contains("StopGRPCServiceOnDefrag"), "{refused}");
        assert!(options(&["--feature-gates=CompactHashCheck=perhaps"]).is_err());
    }
}
