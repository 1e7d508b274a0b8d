//! Descriptions: aligned fields, nested sections and tables, as `kubectl describe` lays them out.

use super::color::Color;
use super::table::Table;

/// A description, or a section of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    /// One or more lines.
    Field(String, Vec<String>),
    Section(String, Section),
    Table(String, Table),
}

impl Section {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn field(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.lines(name, vec![value.into()])
    }

    /// As a field, unless the value is empty.
    pub fn optional(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        let value = value.into();
        if value.is_empty() { self } else { self.field(name, value) }
    }

    /// A value of several lines; `<none>` without any.
    pub fn lines(&mut self, name: &str, lines: Vec<String>) -> &mut Self {
        let lines = if lines.is_empty() { vec!["<none>".to_owned()] } else { lines };
        self.entries.push(Entry::Field(name.to_owned(), lines));
        self
    }

    pub fn section(&mut self, name: &str, section: Section) -> &mut Self {
        if section.entries.is_empty() {
            return self.field(name, "<none>");
        }
        self.entries.push(Entry::Section(name.to_owned(), section));
        self
    }

    pub fn table(&mut self, name: &str, table: Table) -> &mut Self {
        if table.is_empty() {
            return self.field(name, "<none>");
        }
        self.entries.push(Entry::Table(name.to_owned(), table));
        self
    }

    pub fn render(&self) -> String {
        let mut text = String::new();
        self.write(0, &mut text);
        text
    }

    fn write(&self, depth: usize, text: &mut String) {
        let indent = "  ".repeat(depth);
        let width = self.entries.iter().filter_map(Entry::field_width).max().unwrap_or_default();
        for entry in &self.entries {
            match entry {
                Entry::Field(name, lines) => {
                    for (index, line) in lines.iter().enumerate() {
                        let label = if index == 0 { format!("{name}:") } else { String::new() };
                        push_line(text, &format!("{indent}{label:<width$}  {line}", width = width + 1));
                    }
                }
                Entry::Section(name, section) => {
                    push_line(text, &format!("{indent}{name}:"));
                    section.write(depth + 1, text);
                }
                Entry::Table(name, table) => {
                    push_line(text, &format!("{indent}{name}:"));
                    for line in table.render(Color::new(false)).lines() {
                        push_line(text, &format!("{indent}  {line}"));
                    }
                }
            }
        }
    }
}

impl Entry {
    fn field_width(&self) -> Option<usize> {
        match self {
            Self::Field(name, _) => Some(name.chars().count()),
            Self::Section(..) | Self::Table(..) => None,
        }
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_level_are_aligned() {
        let mut conditions = Table::new(["Type", "Status"]);
        conditions.row(["Ready", "True"]);
        let mut inner = Section::new();
        inner.field("Image", "nginx").field("Ready", "True");
        let mut containers = Section::new();
        containers.section("web", inner);
        let mut pod = Section::new();
        pod.field("Name", "web-1")
            .lines("Labels", vec!["app=web".into(), "tier=a".into()])
            .lines("Annotations", vec![])
            .optional("Reason", "")
            .section("Containers", containers)
            .table("Conditions", conditions)
            .table("Events", Table::new(["Type"]));
        assert_eq!(
            pod.render(),
            "\
Name:         web-1
Labels:       app=web
              tier=a
Annotations:  <none>
Containers:
  web:
    Image:  nginx
    Ready:  True
Conditions:
  Type    Status
  Ready   True
Events:       <none>
"
        );
    }
}
