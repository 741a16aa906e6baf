//! All runs of the scenario, in parts that take a few minutes each.

use super::point::{DEADLINES, Mode, Point};

/// The loads of a curve.
pub const LOADS: [f64; 5] = [0.5, 1.0, 2.0, 4.0, 10.0];
/// Nodes, and slots of each, of the fleets whose users are counted, with the seconds that it takes to count enough of them.
pub const SERVED: [(usize, u32, f64); 3] = [(1, 3, 40.0), (2, 4, 30.0), (4, 15, 25.0)];
/// The load at which they are.
pub const SERVED_LOAD: f64 = 0.9;
/// Numbers of routers that are compared, and how often.
pub const ROUTERS: [usize; 4] = [1, 2, 4, 8];
/// Runs of each number of routers.
pub const REPEATS: u64 = 3;

/// Loads at which the calls of the largest of those fleets are counted: no more than a small machine can offer it.
pub const CALLS: [f64; 2] = [1.0, 4.0];

/// A part of the scenario that is run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// One curve, with and without retries.
    Curve(Mode),
    /// The hard deadline.
    Hard,
    /// Users served a little below the capacity.
    Served,
    /// Three classes.
    Classes,
    /// Numbers of routers.
    Routers,
    /// What a larger fleet's refusals cost Redis.
    Calls,
}

impl Part {
    /// All, in the order of the report.
    pub const ALL: [Part; 8] = [
        Part::Curve(Mode::Tidegate),
        Part::Curve(Mode::Off),
        Part::Curve(Mode::Replicas),
        Part::Hard,
        Part::Served,
        Part::Classes,
        Part::Routers,
        Part::Calls,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Part::Curve(Mode::Tidegate) => "tidegate",
            Part::Curve(Mode::Off) => "off",
            Part::Curve(Mode::Replicas) => "replicas",
            Part::Hard => "hard",
            Part::Served => "served",
            Part::Classes => "classes",
            Part::Routers => "routers",
            Part::Calls => "calls",
        }
    }

    /// Its runs, in order.
    pub fn points(self) -> Vec<Point> {
        let overload = |load| Point::new(Mode::Tidegate, load, true);
        match self {
            Part::Curve(mode) => {
                let one = |retries| LOADS.map(|load| Point::new(mode, load, retries));
                [one(true), one(false)].concat()
            }
            // One long request that is cut is a larger part of what a hard deadline leaves: measured longer.
            Part::Hard => {
                let hard = |load| Point { deadline: DEADLINES[1], measured: 30.0, ..overload(load) };
                [1.0, 10.0].map(hard).into()
            }
            Part::Served => {
                let fleet =
                    |(nodes, slots, measured)| Point { nodes, slots, measured, ..overload(SERVED_LOAD) };
                SERVED.map(fleet).into()
            }
            Part::Classes => vec![Point { mixed: true, ..overload(10.0) }],
            // Runs of different numbers take turns, so that what else the machine does meets all of them. The curve has run 1.
            Part::Routers => (2..2 + REPEATS)
                .flat_map(|repeat| {
                    ROUTERS.map(|routers| Point {
                        routers,
                        repeat,
                        warm: 6.0,
                        measured: 12.0,
                        ..Point::new(Mode::Tidegate, 10.0, false)
                    })
                })
                .collect(),
            Part::Calls => {
                let (nodes, slots, _) = SERVED[SERVED.len() - 1];
                let large = |load| Point { nodes, slots, ..Point::new(Mode::Tidegate, load, false) };
                CALLS.map(large).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_runs_have_one_name_and_all_take_less_than_twenty_five_minutes() {
        let points: Vec<Point> = Part::ALL.into_iter().flat_map(Part::points).collect();
        let names: BTreeSet<String> = points.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), points.len());
        let load: f64 = points.iter().map(|point| point.end().as_secs_f64()).sum();
        // Some two seconds a run go to starting and ending the fleet.
        let whole = load + 2.0 * points.len() as f64;
        assert!(whole < 25.0 * 60.0, "{whole} s");
    }

    #[test]
    fn the_load_stays_at_what_a_small_machine_can_offer() {
        for point in Part::ALL.into_iter().flat_map(Part::points) {
            let tries = 1 + point.retrying().most();
            let rate = point.load * point.capacity() * f64::from(tries);
            assert!(rate <= 600.0, "{point}: {rate} attempts a second");
        }
    }
}
