//! All runs of one work, and the table that they make.

use serde_json::{Value, json};

use super::statistics::{digits, median, ratio, spread, with_unit};
use crate::figure::{Better, Figure, Published, Target};
use crate::side::Kind;

/// All runs of one work.
#[derive(Clone, Debug)]
pub struct Comparison {
    title: String,
    targets: Vec<Target>,
    published: Vec<Published>,
    rows: Vec<Row>,
}

/// One figure in all runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is.
    pub name: &'static str,
    unit: &'static str,
    /// Which way is good.
    pub better: Better,
    etcd: Vec<f64>,
    keelson: Vec<f64>,
    nothing: Vec<f64>,
}

impl Row {
    fn values(&mut self, kind: Kind) -> &mut Vec<f64> {
        match kind {
            Kind::Etcd => &mut self.etcd,
            Kind::Keelson => &mut self.keelson,
            Kind::Nothing => &mut self.nothing,
        }
    }

    /// Ours by etcd's, with its spread. Counts and what is a ratio itself have none.
    pub fn ratio(&self) -> Option<(f64, (f64, f64))> {
        if matches!(self.unit, "" | "%" | "×") { None } else { ratio(&self.etcd, &self.keelson) }
    }

    /// What the server without work reaches, by etcd's.
    pub fn limit(&self) -> Option<f64> {
        // Of latencies, the least that is possible says nothing.
        if self.better == Better::Lower {
            return None;
        }
        let etcd = median(&self.etcd).filter(|etcd| *etcd != 0.0)?;
        Some(median(&self.nothing)? / etcd)
    }
}

impl Comparison {
    /// Without any runs yet.
    pub fn new(title: String, targets: Vec<Target>) -> Self {
        Self { title, targets, published: Vec::new(), rows: Vec::new() }
    }

    /// With what was published of the same.
    #[must_use]
    pub fn beside(self, published: Vec<Published>) -> Self {
        Self { published, ..self }
    }

    /// Adds the figures of a run.
    pub fn add(&mut self, kind: Kind, figures: Vec<Figure>) {
        for figure in figures {
            let Figure { name, unit, better, value } = figure;
            let row = match self.rows.iter().position(|row| row.name == name) {
                Some(index) => &mut self.rows[index],
                None => {
                    let (etcd, keelson, nothing) = (Vec::new(), Vec::new(), Vec::new());
                    self.rows.push(Row { name, unit, better, etcd, keelson, nothing });
                    let last = self.rows.len() - 1;
                    &mut self.rows[last]
                }
            };
            row.values(kind).push(value);
        }
    }

    /// The heading.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Its figures.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What is wanted of a figure.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.figure == name)
    }

    fn published(&self, name: &str) -> Option<&Published> {
        self.published.iter().find(|published| published.figure == name)
    }

    /// Prints the table, with the columns that have something in them.
    pub fn print(&self) {
        let header = [
            "figure",
            "etcd",
            "keelson",
            "ratio",
            "spread of the ratio",
            "wanted",
            "met",
            "no-op server",
            "limit",
            "etcd alone and limit when it was set",
            "kube-apiserver, as published",
        ];
        let cells: Vec<Vec<String>> = self.rows.iter().map(|row| self.cells(row)).collect();
        let used: Vec<usize> =
            (0..header.len()).filter(|column| cells.iter().any(|row| !row[*column].is_empty())).collect();
        let header: Vec<&str> = used.iter().map(|column| header[*column]).collect();
        let rows = cells.iter().map(|row| used.iter().map(|column| row[*column].clone()).collect()).collect();
        super::table(&self.title, &header, rows);
        let mut sources: Vec<&str> = self.published.iter().map(|published| published.source).collect();
        sources.sort_unstable();
        sources.dedup();
        for source in sources.into_iter().filter(|source| !source.is_empty()) {
            println!("published: {source}");
        }
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let with_unit = |value: f64| with_unit(value, row.unit);
        let alone = row.etcd.is_empty() || row.keelson.is_empty();
        let shown = |values: &[f64]| match (median(values), spread(values)) {
            (Some(middle), Some((least, greatest))) if alone && values.len() > 1 => {
                format!("{} ({} to {})", with_unit(middle), digits(least), digits(greatest))
            }
            (Some(middle), _) => with_unit(middle),
            _ => String::new(),
        };
        let ratio = row.ratio();
        let times = |ratio: f64| format!("{}×", digits(ratio));
        let target = self.target(row.name);
        let ours = median(&row.keelson);
        let met = target.zip(ours).and_then(|(target, ours)| target.bound.is_met(ours, ratio.map(|(ratio, _)| ratio)));
        let then = target.map_or_else(String::new, |target| match (target.etcd_alone, target.limit) {
            ("", "") => String::new(),
            (etcd, "") => etcd.to_owned(),
            ("", limit) => format!("limit {limit}"),
            (etcd, limit) => format!("{etcd}, limit {limit}"),
        });
        vec![
            row.name.to_owned(),
            shown(&row.etcd),
            shown(&row.keelson),
            ratio.map_or_else(String::new, |(ratio, _)| times(ratio)),
            ratio
                .map_or_else(String::new, |(_, (least, greatest))| format!("{} to {}", digits(least), times(greatest))),
            target.map_or_else(String::new, |target| target.bound.text(row.unit)),
            met.map_or_else(String::new, |met| if met { "yes" } else { "no" }.to_owned()),
            shown(&row.nothing),
            row.limit().map_or_else(String::new, times),
            then,
            self.published(row.name).map_or_else(String::new, |published| published.text.to_owned()),
        ]
    }

    /// Everything, with each run's value.
    pub fn to_json(&self) -> Value {
        let side = |values: &[f64]| match (median(values), spread(values)) {
            (Some(median), Some((least, greatest))) => {
                json!({ "median": median, "least": least, "greatest": greatest, "runs": values })
            }
            _ => Value::Null,
        };
        let figures: Vec<Value> = (self.rows.iter())
            .map(|row| {
                let ratio = row.ratio();
                let ours = median(&row.keelson);
                let target = self.target(row.name);
                let published = self.published(row.name);
                json!({
                    "name": row.name,
                    "unit": row.unit,
                    "better": row.better,
                    "etcd": side(&row.etcd),
                    "keelson": side(&row.keelson),
                    "no_op_server": side(&row.nothing),
                    "ratio": ratio.map(|(median, (least, greatest))| {
                        json!({ "median": median, "least": least, "greatest": greatest })
                    }),
                    "limit": row.limit(),
                    "published": published.map(|it| json!({ "of": "kube-apiserver", "text": it.text, "source": it.source })),
                    "wanted": target.map(|target| target.bound.text(row.unit)),
                    "met": target.zip(ours).and_then(|(target, ours)| target.bound.is_met(ours, ratio.map(|r| r.0))),
                })
            })
            .collect();
        json!({ "work": self.title, "figures": figures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Bound, P99, RATE};

    fn comparison() -> Comparison {
        let target = Target { figure: RATE, bound: Bound::RatioAtLeast(2.0), etcd_alone: "14,400/s", limit: "4.2×" };
        let mut comparison = Comparison::new("put".to_owned(), vec![target]);
        for (etcd, keelson) in [(10_000.0, 21_000.0), (12_000.0, 24_000.0), (8_000.0, 12_000.0)] {
            comparison.add(Kind::Etcd, vec![Figure::higher(RATE, "/s", etcd), Figure::lower(P99, "ms", 19.0)]);
            comparison.add(Kind::Keelson, vec![Figure::higher(RATE, "/s", keelson), Figure::lower(P99, "ms", 9.5)]);
        }
        comparison.add(Kind::Nothing, vec![Figure::higher(RATE, "/s", 42_000.0)]);
        comparison
    }

    #[test]
    fn a_row_has_medians_ratio_spread_target_and_limit() {
        let comparison = comparison();
        let cells = comparison.cells(&comparison.rows()[0]);
        let expected = [
            "rate",
            "10,000/s",
            "21,000/s",
            "2×",
            "1.50 to 2.10×",
            "≥ 2×",
            "yes",
            "42,000/s",
            "4.20×",
            "14,400/s, limit 4.2×",
            "",
        ];
        assert_eq!(cells, expected);
        assert_eq!(comparison.cells(&comparison.rows()[1])[..5], ["p99", "19 ms", "9.50 ms", "0.50×", "0.50 to 0.50×"]);
    }

    #[test]
    fn one_side_alone_shows_its_spread_and_judges_no_ratio() {
        let mut alone = Comparison::new(String::new(), comparison().targets);
        for rate in [3.0, 1.0, 2.0] {
            alone.add(Kind::Keelson, vec![Figure::higher(RATE, "/s", rate)]);
        }
        let cells = alone.cells(&alone.rows()[0]);
        assert_eq!(cells[2], "2/s (1 to 3)");
        assert_eq!((cells[3].as_str(), cells[6].as_str()), ("", ""));
    }

    #[test]
    fn what_was_published_stands_beside_its_figure_with_its_source() {
        let published = Published { figure: P99, text: "≤ 1 s (objective)", source: "https://example.org" };
        let beside = comparison().beside(vec![published]);
        let last = |index: usize| beside.cells(&beside.rows()[index]).pop();
        assert_eq!((last(0).as_deref(), last(1).as_deref()), (Some(""), Some("≤ 1 s (objective)")));
        let json = beside.to_json();
        assert_eq!(json["figures"][1]["published"]["source"], "https://example.org");
        assert_eq!(json["figures"][0]["published"], Value::Null);
    }

    #[test]
    fn json_keeps_every_run() {
        let json = comparison().to_json();
        let rate = &json["figures"][0];
        assert_eq!(rate["etcd"]["runs"], json!([10_000.0, 12_000.0, 8_000.0]));
        assert_eq!(rate["ratio"], json!({ "median": 2.0, "least": 1.5, "greatest": 2.1 }));
        assert_eq!((&rate["met"], &rate["limit"]), (&json!(true), &json!(4.2)));
        assert_eq!(json["figures"][1]["no_op_server"], Value::Null);
    }
}
