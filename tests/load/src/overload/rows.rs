//! The results so far, in a file: one line of JSON for each point, so that parts can be run one after another.

use super::figures::Figures;
use super::point::Point;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// One point's result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// What was run.
    pub point: Point,
    /// `--wait-share` where it was given.
    pub wait_share: Option<f64>,
    /// The machine and the day.
    pub machine: String,
    /// What came of it.
    pub figures: Figures,
}

/// All results.
#[derive(Debug, Clone, Default)]
pub struct Rows(pub Vec<Row>);

impl Rows {
    /// Reads a file; one that is not there holds nothing.
    ///
    /// # Errors
    /// A line that cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let lines = fs::read_to_string(path)?;
        let rows = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        Ok(Self(rows.with_context(|| format!("{} was written by another version", path.display()))?))
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let lines: Vec<String> = self.0.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, lines.join("\n") + "\n").with_context(|| path.display().to_string())
    }

    /// Puts a result in the place of an earlier one of the same point.
    pub fn put(&mut self, row: Row) {
        let name = row.point.to_string();
        self.0.retain(|old| old.point.to_string() != name);
        self.0.push(row);
    }

    /// The result of a point, where there is one.
    pub fn find(&self, point: &Point) -> Option<&Row> {
        let name = point.to_string();
        self.0.iter().find(|row| row.point.to_string() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::point::Mode;

    #[test]
    fn a_new_result_replaces_the_old_one_and_what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/rows.jsonl");
        let row = |load, goodput| Row {
            point: Point::new(Mode::Off, load, true),
            wait_share: None,
            machine: "a machine".to_owned(),
            figures: Figures { goodput, ..Figures::default() },
        };
        let mut rows = Rows::read(&path).unwrap();
        for (load, goodput) in [(1.0, 50.0), (2.0, 60.0), (1.0, 70.0)] {
            rows.put(row(load, goodput));
        }
        rows.write(&path).unwrap();
        let rows = Rows::read(&path).unwrap();
        let goodput = |load| rows.find(&row(load, 0.0).point).map(|row| row.figures.goodput);
        assert_eq!(
            (rows.0.len(), goodput(1.0), goodput(2.0), goodput(4.0)),
            (2, Some(70.0), Some(60.0), None)
        );
    }
}
