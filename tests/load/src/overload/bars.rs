//! The bars of the scenario, and by how much a figure misses one.

use super::parts::{Part, ROUTERS};
use super::point::{Mode, Point};
use super::rows::{Row, Rows};
use super::tables::{NOT_RUN, SATURATED, median};
use tidegate_sim::table::{Table, short};

/// One bar.
struct Bar {
    name: &'static str,
    /// What was found, and what is wanted of it.
    found: Option<f64>,
    wanted: Wanted,
}

enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Bar {
    fn row(&self) -> [String; 4] {
        let (wanted, short_of) = match self.wanted {
            Wanted::AtLeast(least) => (format!("at least {least}"), self.found.map(|found| least - found)),
            Wanted::AtMost(most) => (format!("at most {most}"), self.found.map(|found| found - most)),
        };
        let verdict = match short_of {
            None => NOT_RUN.to_owned(),
            Some(short_of) if short_of > 0.0 => format!("**missed by {}**", short(short_of)),
            Some(_) => "reached".to_owned(),
        };
        [
            self.name.to_owned(),
            wanted,
            self.found.map_or_else(String::new, |found| format!("{found:.1}")),
            verdict,
        ]
    }
}

/// The table of all bars.
pub fn table(rows: &Rows) -> Table {
    let mut table = Table::new(&["bar", "wanted", "found", ""]);
    for bar in bars(rows) {
        table.row(bar.row());
    }
    table
}

fn bars(rows: &Rows) -> Vec<Bar> {
    let at = |load| rows.find(&Point::new(Mode::Tidegate, load, true));
    let ten = at(10.0);
    let kept = ten.zip(at(1.0)).map(|(ten, one)| 100.0 * ten.figures.goodput / one.figures.goodput);
    let served = Part::Served.points().into_iter().find(|point| point.all_slots() == 60.0);
    let served = served.and_then(|point| rows.find(&point)).map(|row| row.figures.served);
    let of_ten = |figure: fn(&Row) -> f64| ten.map(figure);
    let bar = |name, found, wanted| Bar { name, found, wanted };
    vec![
        bar("goodput at 10 x, retries on, % of that at 1 x", kept, Wanted::AtLeast(95.0)),
        bar("the same, % of the slots' time", of_ten(|row| row.figures.goodput), Wanted::AtLeast(95.0)),
        bar(
            "accepted work that misses its deadline at 10 x, %",
            of_ten(|row| row.figures.missed),
            Wanted::AtMost(5.0),
        ),
        bar("users served at 0.9 x with 60 slots, %", served, Wanted::AtLeast(98.0)),
        bar(
            "p99 of a refusal, worst of all rows whose cores were not saturated, ms",
            slowest(rows),
            Wanted::AtMost(5.0),
        ),
        bar("1 to 8 routers: largest change of the median goodput, %", spread(rows), Wanted::AtMost(3.0)),
        bar(
            "Redis calls at 10 x, % of those allowed",
            of_ten(|row| 100.0 * row.figures.calls / row.figures.allowed_calls(row.point.routers)),
            Wanted::AtMost(100.0),
        ),
    ]
}

fn slowest(rows: &Rows) -> Option<f64> {
    let ours = rows.0.iter().filter(|row| row.point.mode == Mode::Tidegate && row.figures.cpu <= SATURATED);
    let refusing = ours.filter(|row| row.figures.refused > 0.0);
    refusing.map(|row| row.figures.refused_ms[1]).max_by(f64::total_cmp)
}

fn spread(rows: &Rows) -> Option<f64> {
    let goodput = |routers| median(rows, routers, |row| row.figures.goodput);
    let one = goodput(ROUTERS[0])?;
    let changes: Option<Vec<f64>> =
        ROUTERS.into_iter().map(|routers| Some(100.0 * (goodput(routers)? / one - 1.0).abs())).collect();
    changes?.into_iter().max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::figures::Figures;

    fn row(point: Point, goodput: f64) -> Row {
        let figures =
            Figures { goodput, missed: 6.5, refused: 90.0, refused_ms: [1.0, 4.0], ..Figures::default() };
        Row { point, wait_share: None, machine: String::new(), figures }
    }

    #[test]
    fn a_bar_that_is_missed_says_by_how_much_and_one_without_runs_says_so() {
        let rows = Rows(vec![
            row(Point::new(Mode::Tidegate, 1.0, true), 90.0),
            row(Point::new(Mode::Tidegate, 10.0, true), 94.0),
        ]);
        let text = table(&rows).to_string();
        let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap().to_owned();
        assert!(line("of that at 1 x").ends_with("| at least 95 | 104.4 | reached |"), "{text}");
        assert!(line("slots' time").ends_with("| at least 95 | 94.0 | **missed by 1.0** |"), "{text}");
        assert!(line("misses its deadline").ends_with("| at most 5 | 6.5 | **missed by 1.5** |"), "{text}");
        assert!(line("p99 of a refusal").ends_with("| at most 5 | 4.0 | reached |"), "{text}");
        assert!(line("1 to 8 routers").ends_with("|  | not run |"), "{text}");
    }

    #[test]
    fn routers_are_compared_by_their_medians() {
        let points = Part::Routers.points();
        let goodput = |point: &Point| match (point.routers, point.repeat) {
            (8, 3) => 20.0,
            (8, _) => 98.0,
            _ => 100.0,
        };
        let rows = Rows(points.iter().map(|point| row(point.clone(), goodput(point))).collect());
        assert_eq!(spread(&rows).map(f64::round), Some(2.0));
    }
}
