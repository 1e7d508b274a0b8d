//! What a run yields, and what the project wants of it.

use hdrhistogram::Histogram;

use crate::load::Tally;
use crate::report::statistics::with_unit;

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Higher,
    Lower,
}

/// One number of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// What it is counted in; empty for a count.
    pub unit: &'static str,
    /// Which way is good.
    pub better: Better,
    /// How much it is.
    pub value: f64,
}

impl Figure {
    /// More is better.
    pub fn higher(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, better: Better::Higher, value }
    }

    /// Less is better.
    pub fn lower(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, better: Better::Lower, value }
    }
}

/// How many a second.
pub const RATE: &str = "rate";
/// The median latency.
pub const P50: &str = "p50";
/// The latency that one of a hundred exceeds.
pub const P99: &str = "p99";
/// How many failed.
pub const ERRORS: &str = "errors";

/// A latency in milliseconds at a quantile of a histogram in microseconds.
pub fn milliseconds(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1e3
}

/// Rate, latencies and errors of a load. Errors are named aloud: a figure with errors in it means little.
pub fn of_load(tally: &Tally) -> Vec<Figure> {
    if let Some(error) = &tally.first_error {
        eprintln!("{} requests failed, the first with: {error}", tally.errors);
    }
    vec![
        Figure::higher(RATE, "/s", tally.per_second()),
        Figure::lower(P50, "ms", milliseconds(&tally.latencies, 0.5)),
        Figure::lower(P99, "ms", milliseconds(&tally.latencies, 0.99)),
        Figure::lower(ERRORS, "", tally.errors as f64),
    ]
}

/// What the project wants of one figure.
#[derive(Clone, Debug)]
pub struct Target {
    /// The figure's name.
    pub figure: &'static str,
    /// What is wanted.
    pub bound: Bound,
    /// What etcd reached alone when the target was set; empty if unknown.
    pub etcd_alone: &'static str,
    /// What a server without work reached then, as a multiple of etcd's; empty if unknown.
    pub limit: &'static str,
}

/// What somebody has published of one figure of kube-apiserver. Never measured here: other machines, and other conditions.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// The figure's name.
    pub figure: &'static str,
    /// What is published, and of what.
    pub text: &'static str,
    /// Where; empty when nothing was found.
    pub source: &'static str,
}

/// A bound on our figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At least so many times etcd's.
    RatioAtLeast(f64),
    /// At most so many times etcd's.
    RatioAtMost(f64),
    /// At most so much, whatever etcd's is.
    AtMost(f64),
}

impl Bound {
    /// As a reader sees it.
    pub fn text(self, unit: &str) -> String {
        match self {
            Self::RatioAtLeast(ratio) => format!("≥ {ratio}×"),
            Self::RatioAtMost(ratio) => format!("≤ {ratio}×"),
            Self::AtMost(value) => format!("≤ {}", with_unit(value, unit)),
        }
    }

    /// Whether our median meets it. `None` without etcd's, if that is needed.
    pub fn is_met(self, ours: f64, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::RatioAtLeast(bound) => ratio.map(|ratio| ratio >= bound),
            Self::RatioAtMost(bound) => ratio.map(|ratio| ratio <= bound),
            Self::AtMost(bound) => Some(ours <= bound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_judged_by_ratio_or_by_our_own_value() {
        assert_eq!(Bound::RatioAtLeast(2.0).is_met(1.0, Some(2.0)), Some(true));
        assert_eq!(Bound::RatioAtLeast(2.0).is_met(1.0, Some(1.99)), Some(false));
        assert_eq!(Bound::RatioAtMost(1.0).is_met(1.0, None), None);
        assert_eq!(Bound::AtMost(1024.0).is_met(1025.0, None), Some(false));
        assert_eq!(Bound::AtMost(10.0).text("%"), "≤ 10 %");
        assert_eq!(Bound::RatioAtLeast(1.3).text("/s"), "≥ 1.3×");
    }
}
