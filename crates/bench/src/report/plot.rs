//! A plot of the ratios as SVG: one bar for each figure that has one, with its spread, and a mark where it is wanted to be.
//!
//! Everything is drawn so that longer is better: of a latency, etcd's by ours. Pure; a library would bring fonts and back ends
//! for what is a few rectangles.

use std::fmt::Write as _;

use super::Comparison;
use super::statistics::digits;
use crate::figure::{Better, Bound};

const LABEL_WIDTH: f64 = 640.0;
const BARS_WIDTH: f64 = 520.0;
const VALUE_WIDTH: f64 = 190.0;
const ROW_HEIGHT: f64 = 22.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 20.0;
/// A limit of a hundred times would leave no room for what was measured.
const RATIO_MAX: f64 = 8.0;

/// One bar.
#[derive(Debug, PartialEq)]
struct Bar {
    label: String,
    ratio: f64,
    least: f64,
    greatest: f64,
    wanted: Option<f64>,
}

fn bars(comparisons: &[Comparison]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for comparison in comparisons {
        for row in comparison.rows() {
            // Of a latency of nothing there is no reciprocal.
            let Some((ratio, (least, greatest))) = row.ratio().filter(|(_, (least, _))| *least > 0.0) else { continue };
            let label = format!("{}: {}", comparison.title(), row.name);
            let wanted = comparison.target(row.name).and_then(|target| match target.bound {
                Bound::RatioAtLeast(ratio) | Bound::RatioAtMost(ratio) => Some(ratio),
                Bound::AtMost(_) => None,
            });
            bars.push(match row.better {
                Better::Higher => Bar { label, ratio, least, greatest, wanted },
                Better::Lower => Bar {
                    label,
                    ratio: 1.0 / ratio,
                    least: 1.0 / greatest,
                    greatest: 1.0 / least,
                    wanted: wanted.map(|wanted| 1.0 / wanted),
                },
            });
        }
    }
    bars
}

/// Draws all ratios. Nothing but a heading if there are none.
pub fn svg(comparisons: &[Comparison], conditions: &str) -> String {
    let bars = bars(comparisons);
    let width = LABEL_WIDTH + BARS_WIDTH + VALUE_WIDTH;
    let height = TOP + ROW_HEIGHT * bars.len() as f64 + BOTTOM;
    let longest = bars.iter().flat_map(|bar| [bar.greatest, bar.wanted.unwrap_or(0.0)]).fold(2.0, f64::max);
    let scale = BARS_WIDTH / longest.min(RATIO_MAX);
    let at = |ratio: f64| LABEL_WIDTH + ratio.min(RATIO_MAX) * scale;
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"18\" font-size=\"14\">Keelson by etcd, longer is better (of latencies: etcd by Keelson); \
         line: spread over the pairs, diamond: wanted</text>\n<text x=\"8\" y=\"36\" fill=\"#555\">{}</text>",
        escaped(conditions)
    );
    for (index, bar) in bars.iter().enumerate() {
        let top = TOP + ROW_HEIGHT * index as f64;
        let middle = top + ROW_HEIGHT / 2.0;
        let color = if bar.wanted.is_some_and(|wanted| bar.ratio < wanted) { "#c0562f" } else { "#3b7d5c" };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{LABEL_WIDTH}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" fill=\"{color}\"/>\n\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"black\"/>\n\
             <text x=\"{}\" y=\"{}\">{}× ({} to {})</text>",
            LABEL_WIDTH - 6.0,
            middle + 4.0,
            escaped(&bar.label),
            top + 4.0,
            at(bar.ratio) - LABEL_WIDTH,
            ROW_HEIGHT - 8.0,
            at(bar.least),
            at(bar.greatest),
            LABEL_WIDTH + BARS_WIDTH + 10.0,
            middle + 4.0,
            digits(bar.ratio),
            digits(bar.least),
            digits(bar.greatest),
        );
        if let Some(wanted) = bar.wanted {
            let x = at(wanted);
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {} l5 5 l-5 5 l-5 -5 z\" fill=\"#f2c14e\" stroke=\"black\"/>",
                middle - 5.0
            );
        }
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1}\" y2=\"{2}\" stroke=\"#888\" stroke-dasharray=\"3\"/>\n\
         <text x=\"{0:.1}\" y=\"{3}\" fill=\"#555\" text-anchor=\"middle\">1×</text>\n</svg>",
        at(1.0),
        TOP - 4.0,
        height - BOTTOM,
        height - 6.0,
    );
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Figure, P99, RATE, Target};
    use crate::side::Kind;

    fn comparison() -> Comparison {
        let wanted = |figure, bound| Target { figure, bound, etcd_alone: "", limit: "" };
        let targets = vec![wanted(RATE, Bound::RatioAtLeast(2.0)), wanted(P99, Bound::RatioAtMost(1.0))];
        let mut comparison = Comparison::new("put <1>".to_owned(), targets);
        let figures = |rate, p99| vec![Figure::higher(RATE, "/s", rate), Figure::lower(P99, "ms", p99)];
        comparison.add(Kind::Etcd, figures(100.0, 8.0));
        comparison.add(Kind::Keelson, figures(150.0, 4.0));
        comparison.add(Kind::Nothing, vec![Figure::higher("without a ratio", "", 1.0)]);
        comparison
    }

    #[test]
    fn longer_is_better_whatever_the_figure() {
        let bars = bars(&[comparison()]);
        let shown: Vec<_> = bars.iter().map(|bar| (bar.ratio, bar.wanted)).collect();
        assert_eq!(shown, [(1.5, Some(2.0)), (2.0, Some(1.0))]);
    }

    #[test]
    fn a_plot_has_a_bar_for_each_ratio_and_escapes_its_text() {
        let svg = svg(&[comparison()], "2 cores & more");
        assert_eq!(svg.matches("<rect x=").count(), 2);
        assert_eq!(svg.matches("<path").count(), 2);
        assert!(svg.contains("put &lt;1&gt;: rate") && svg.contains("2 cores &amp; more"), "{svg}");
        // What is missed has another colour.
        assert_eq!(svg.matches("#c0562f").count(), 1);
    }
}
