//! What a reader of figures needs: the conditions, medians with their spread, ratios, and what was wanted.

mod comparison;
mod conditions;
mod plot;
pub mod statistics;

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

pub use comparison::Comparison;
pub use conditions::Conditions;

use crate::options::Options;

/// All that was measured so far.
pub struct Report {
    conditions: Conditions,
    comparisons: Vec<Comparison>,
}

impl Report {
    /// Nothing was measured yet.
    pub fn new(conditions: Conditions) -> Self {
        Self { conditions, comparisons: Vec::new() }
    }

    /// Adds a work.
    pub fn add(&mut self, comparison: Comparison) {
        self.comparisons.push(comparison);
    }

    /// Writes the files that the options ask for, in place of what is there.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(&self, options: &Options) -> anyhow::Result<()> {
        if let Some(path) = &options.json {
            write(path, &serde_json::to_string_pretty(&self.to_json())?)?;
        }
        if let Some(path) = &options.plot {
            write(path, &plot::svg(&self.comparisons, &self.conditions.short()))?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let conditions: serde_json::Map<_, _> =
            self.conditions.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let works: Vec<Value> = self.comparisons.iter().map(Comparison::to_json).collect();
        json!({ "conditions": conditions, "works": works })
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A table under a title.
pub fn table(title: &str, header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(header);
    table.add_rows(rows);
    println!("\n{title}\n{table}");
}
