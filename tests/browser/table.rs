//! A table of what was seen, which is part of the test's output also where the test succeeds.

use std::io::{self, Write};

pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: String, columns: &[&str]) -> Self {
        let mut table = Self {
            title,
            rows: Vec::new(),
        };
        table.add(columns);
        table
    }

    pub fn add<T: ToString>(&mut self, row: impl IntoIterator<Item = T>) {
        let row = row.into_iter().map(|cell| cell.to_string());
        self.rows.push(row.collect());
    }

    /// Not by `print!`, which the harness keeps to itself until a test fails.
    pub fn print(&self) {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        let mut text = format!("\n{}\n", self.title);
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let line: String = cells
                .map(|(cell, &width)| format!("  {cell:<width$}"))
                .collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.push('\n');
        io::stdout().write_all(text.as_bytes()).unwrap();
    }
}
