//! The machine that a figure comes from.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Processor, number of its cores, and the day, on one line.
pub fn described() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("a processor that has no name", |(_, name)| name);
    let day = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let day = day.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    format!("{model}, {cores} cores, {day}")
}

/// Microseconds since 1970, to compare instants of two processes.
#[expect(clippy::disallowed_methods, reason = "two processes share no other clock")]
pub fn unix_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
