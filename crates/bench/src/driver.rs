//! Runs a work on both clusters in turn: etcd, ours, ours, etcd, … so that neither always has the quieter half of a minute.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;

use crate::figure::{Figure, Published, Target};
use crate::options::Options;
use crate::report::Comparison;
use crate::side::{Kind, Side};

/// A run, or what is prepared for it, that takes longer has met a cluster that hangs: the longest is to load millions of keys.
const RUN_WITHIN: Duration = Duration::from_secs(3_600);
/// Runs on the server that does nothing, of which the median is the limit.
const LIMIT_RUNS: usize = 3;

/// Something to be measured.
#[async_trait(?Send)]
pub trait Work {
    /// Its name and its parameters, for a heading.
    fn title(&self) -> String;

    /// What the project wants of its figures.
    fn targets(&self) -> Vec<Target> {
        Vec::new()
    }

    /// What others have published of the same, where etcd is no peer.
    fn published(&self) -> Vec<Published> {
        Vec::new()
    }

    /// Whether etcd can do it.
    fn has_peer(&self) -> bool {
        true
    }

    /// Whether a server that does nothing can serve it.
    fn has_limit(&self) -> bool {
        false
    }

    /// How many pairs of runs it makes of those asked for: fewer if a run takes minutes.
    fn pairs(&self, asked: usize) -> usize {
        asked
    }

    /// Once on each cluster, before the first run.
    async fn prepare(&self, _side: &Side) -> anyhow::Result<()> {
        Ok(())
    }

    /// One run: always the same figures in the same order.
    async fn run(&self, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>>;
}

/// Measures a work on the clusters that the options name, each started for it and erased afterwards.
///
/// # Errors
/// When a cluster does not start or a run fails.
pub async fn compare(work: &dyn Work, options: &Options) -> anyhow::Result<Comparison> {
    let pairs = work.pairs(options.pairs);
    let mut comparison = Comparison::new(work.title(), work.targets()).beside(work.published());
    {
        let mut sides = Vec::new();
        for kind in options.kinds().into_iter().filter(|kind| work.has_peer() || *kind == Kind::Keelson) {
            sides.push(start(work, kind, options).await?);
        }
        for pair in 0..pairs {
            for turn in turns(pair, sides.len()) {
                comparison.add(sides[turn].kind(), run(work, &sides[turn], options).await?);
            }
        }
    }
    // With both clusters gone; a look at one of them alone is meant to be quick.
    if work.has_limit() && options.only.is_none() {
        run_limit(work, options, LIMIT_RUNS.min(pairs), &mut comparison).await?;
    }
    Ok(comparison)
}

/// Measures a work on the server that does nothing.
///
/// # Errors
/// When a run fails.
pub async fn limit(work: &dyn Work, options: &Options) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::new(work.title(), Vec::new());
    run_limit(work, options, options.pairs, &mut comparison).await?;
    Ok(comparison)
}

async fn run_limit(work: &dyn Work, options: &Options, runs: usize, comparison: &mut Comparison) -> anyhow::Result<()> {
    let side = start(work, Kind::Nothing, options).await?;
    for _ in 0..runs {
        comparison.add(side.kind(), run(work, &side, options).await?);
    }
    Ok(())
}

async fn start(work: &dyn Work, kind: Kind, options: &Options) -> anyhow::Result<Side> {
    let side = Side::start(kind, options).await?;
    bounded(&side, work.prepare(&side), Duration::ZERO).await?;
    Ok(side)
}

async fn run(work: &dyn Work, side: &Side, options: &Options) -> anyhow::Result<Vec<Figure>> {
    let window = options.window();
    bounded(side, work.run(side, options), window.warm_up + window.measured).await
}

async fn bounded<T>(
    side: &Side,
    doing: impl Future<Output = anyhow::Result<T>>,
    measured: Duration,
) -> anyhow::Result<T> {
    let done = tokio::time::timeout(RUN_WITHIN + 2 * measured, doing).await;
    done.with_context(|| format!("{} does not end the run", side.kind().name()))?
}

/// Which side goes first changes from pair to pair.
fn turns(pair: usize, sides: usize) -> Vec<usize> {
    if pair.is_multiple_of(2) { (0..sides).collect() } else { (0..sides).rev().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_turn_alternates() {
        let order: Vec<usize> = (0..3).flat_map(|pair| turns(pair, 2)).collect();
        assert_eq!(order, [0, 1, 1, 0, 0, 1]);
        assert_eq!(turns(1, 1), [0]);
    }
}
