//! The report: a page whose tables are made here and whose words are written by hand.
//!
//! A table stands between `<!-- table NAME -->` and `<!-- end -->`; what is between them is replaced, all else stays.

use std::fmt::Write;

use crate::{
    scale,
    scenario::Scenario,
    tables::{Cell, Effort, batching, cheap, constants, fresh, held_out, lengths, short, steps, trouble},
};

/// A part of the report that is run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The 24 fresh scenarios.
    Fresh,
    /// The held-out scenarios.
    HeldOut,
    /// The other constants.
    Constants,
    /// Timeouts that are short for the work.
    Short,
    /// What it brings to learn the length of requests.
    Lengths,
    /// Refusals from a view, and several routers.
    Cheap,
    /// Steps of load and service time.
    Steps,
    /// Slowdown by batching.
    Batching,
    /// Bursts and stalls.
    Trouble,
    /// The large fleet.
    Scale,
}

/// Seconds that the large fleet is measured for.
const SCALE_SECONDS: f64 = 10.0;

impl Part {
    /// All parts, in the order of the report.
    pub const ALL: [Part; 10] = [
        Part::Fresh,
        Part::HeldOut,
        Part::Constants,
        Part::Short,
        Part::Lengths,
        Part::Cheap,
        Part::Steps,
        Part::Batching,
        Part::Trouble,
        Part::Scale,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Part::Fresh => "fresh",
            Part::HeldOut => "held-out",
            Part::Constants => "constants",
            Part::Short => "short",
            Part::Lengths => "lengths",
            Part::Cheap => "cheap",
            Part::Steps => "steps",
            Part::Batching => "batching",
            Part::Trouble => "trouble",
            Part::Scale => "scale",
        }
    }

    /// Runs it: its tables with their names.
    pub fn run(self, effort: Effort) -> Vec<(&'static str, String)> {
        match self {
            Part::Fresh => fresh_tables(&fresh::run(effort)),
            Part::HeldOut => {
                let runs = held_out::run(effort);
                vec![
                    ("held-out", held_out::bars(&runs).to_string()),
                    ("held-out-each", held_out::each(&runs).to_string()),
                ]
            }
            Part::Constants => vec![("constants", constants::run(effort).to_string())],
            Part::Short => vec![("short", short::run(effort).to_string())],
            Part::Lengths => vec![
                ("lengths", lengths::of_fresh(effort).to_string()),
                ("lengths-short", lengths::of_short(effort).to_string()),
                ("lengths-routers", lengths::of_routers(effort).to_string()),
                ("lengths-steps", lengths::of_steps(effort).to_string()),
            ],
            Part::Cheap => vec![("cheap", cheap::run(effort).to_string())],
            Part::Steps => vec![("steps", steps::run(effort).to_string())],
            Part::Batching => vec![("batching", batching::run(effort).to_string())],
            Part::Trouble => vec![
                ("burst", trouble::burst(effort).to_string()),
                ("stalls", trouble::stalls(effort).to_string()),
            ],
            Part::Scale => {
                let (whole, kinds) = scale::run(SCALE_SECONDS * effort.part);
                vec![("scale", whole.to_string()), ("kinds", kinds.to_string())]
            }
        }
    }
}

fn fresh_tables(runs: &[(Scenario, Vec<Cell>)]) -> Vec<(&'static str, String)> {
    vec![
        ("bars", fresh::bars(runs).to_string()),
        ("each", fresh::each(runs).to_string()),
        ("detail", fresh::detail(runs).to_string()),
    ]
}

/// The page with a table in its place, or nothing where it has no such place.
pub fn put(page: &str, name: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(&format!("<!-- table {name} -->\n"))?;
    let (_, after) = rest.split_once("<!-- end -->")?;
    let mut put = String::new();
    write!(put, "{before}<!-- table {name} -->\n\n{}\n\n<!-- end -->{after}", table.trim_end()).ok()?;
    Some(put)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_replaced_and_the_words_stay() {
        let page = "words\n\n<!-- table a -->\nold\n<!-- end -->\n\nmore <!-- table b -->\n<!-- end -->";
        let put_once = put(page, "a", "| new |\n").unwrap();
        assert_eq!(put_once, page.replace("\nold\n", "\n\n| new |\n\n"));
        assert_eq!(put(&put_once, "a", "| new |\n"), Some(put_once.clone()));
        assert_eq!(put(page, "c", ""), None);
    }

    #[test]
    fn the_page_has_a_place_for_every_table() {
        let page = include_str!("../../../docs/admission-sim.md");
        let names = [
            "time",
            "bars",
            "each",
            "detail",
            "held-out",
            "held-out-each",
            "constants",
            "short",
            "lengths",
            "lengths-short",
            "lengths-routers",
            "lengths-steps",
            "cheap",
            "steps",
            "batching",
            "burst",
            "stalls",
            "scale",
            "kinds",
        ];
        for name in names {
            assert!(put(page, name, "").is_some(), "{name}");
        }
    }
}
