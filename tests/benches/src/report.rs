//! The table of figures.

use std::fmt;

/// Figures in the order they were taken.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<(String, String, f64, String)>,
}

impl Report {
    pub(crate) fn add(&mut self, name: &str, what: impl Into<String>, value: f64, unit: &str) {
        self.lines.push((name.to_owned(), what.into(), value, unit.to_owned()));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, what, value, unit) in &self.lines {
            let digits = if *value < 100.0 { 2 } else { 0 };
            writeln!(f, "{name:<12} {what:<58} {value:>10.digits$} {unit}")?;
        }
        Ok(())
    }
}
