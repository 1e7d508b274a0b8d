//! What a reader of figures needs: the conditions, medians with their spread, ratios, and what was wanted.

mod comparison;
mod conditions;
pub mod statistics;

pub use comparison::Comparison;
pub use conditions::Conditions;

/// A table under a title.
pub fn table(title: &str, header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header(header);
    table.add_rows(rows);
    println!("\n{title}\n{table}");
}
