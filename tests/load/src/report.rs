//! The report, `docs/overload.md`: its tables are put there by the commands, its words are written by hand.

use anyhow::Context;
use std::fs;
use std::path::Path;
use tidegate_sim::report::put;

/// Puts a table into its place in a report.
///
/// # Errors
/// A report that cannot be read or written, or that has no place for the table.
pub fn put_into(report: &Path, name: &str, table: &str) -> anyhow::Result<()> {
    let page = fs::read_to_string(report).with_context(|| report.display().to_string())?;
    let page =
        put(&page, name, table).with_context(|| format!("{} has no place for {name}", report.display()))?;
    Ok(fs::write(report, page)?)
}
