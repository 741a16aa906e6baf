//! The tables of the report.

use super::parts::{Part, REPEATS, ROUTERS};
use super::point::{Mode, Point};
use super::rows::{Row, Rows};
use tidegate_sim::table::{Table, short};

/// What stands where nothing was run.
pub const NOT_RUN: &str = "not run";
/// Busy part of the cores above which a row says more about the machine than about the fleet.
pub const SATURATED: f64 = 70.0;

/// The tables of a part, by their names in the report.
pub fn of(part: Part, rows: &Rows) -> Vec<(&'static str, String)> {
    let points = part.points();
    match part {
        Part::Curve(mode) => vec![(part.name(), curve(&points, mode == Mode::Tidegate, rows).to_string())],
        Part::Hard | Part::Calls => vec![(part.name(), curve(&points, true, rows).to_string())],
        Part::Served => vec![("served", served(&points, rows).to_string())],
        Part::Classes => vec![("classes", classes(&points, rows).to_string())],
        Part::Routers => vec![("routers", routers(rows).to_string())],
    }
}

/// Who ran what on which machine: everything that the rows have in common, or that sets them apart.
pub fn machines(rows: &Rows) -> String {
    let mut machines: Vec<String> = rows.0.iter().map(|row| format!("- {}\n", row.machine)).collect();
    machines.sort_unstable();
    machines.dedup();
    let mut shares: Vec<String> = rows.0.iter().map(|row| format!("{:?}", row.wait_share)).collect();
    shares.sort_unstable();
    shares.dedup();
    let default = shares.iter().all(|share| share == "None");
    let share = if default { "the product's default".to_owned() } else { shares.join(" and ") };
    format!("{}- `--wait-share`: {share}\n", machines.concat())
}

fn curve(points: &[Point], redis: bool, rows: &Rows) -> Table {
    let mut headings = vec![
        "load",
        "retries",
        "attempts/s",
        "goodput %",
        "answers %",
        "missed %",
        "answer p50 / p99 ms",
        "refused %",
        "refusal p50 / p99 ms",
        "CPU %",
    ];
    if redis {
        headings.extend(["Redis calls/s", "allowed"]);
    }
    let mut table = Table::new(&headings);
    for point in points {
        let mut cells =
            vec![format!("{} x", point.load), if point.retries { "as the SDKs" } else { "none" }.to_owned()];
        match rows.find(point) {
            Some(row) => cells.extend(curve_cells(row, redis)),
            None => cells.push(NOT_RUN.to_owned()),
        }
        cells.resize(headings.len(), String::new());
        table.row(cells);
    }
    table
}

fn curve_cells(row: &Row, redis: bool) -> Vec<String> {
    let figures = &row.figures;
    let refusal = if figures.refused > 0.0 { pair(figures.refused_ms, 1) } else { "–".to_owned() };
    let mut cells = vec![
        format!("{:.0}", figures.attempts),
        short(figures.goodput),
        short(figures.answers),
        short(figures.missed),
        pair(figures.accepted_ms, 0),
        short(figures.refused),
        refusal,
        cpu(figures.cpu),
    ];
    if redis {
        let allowed = figures.allowed_calls(row.point.routers);
        cells.extend([format!("{:.0}", figures.calls), format!("{allowed:.0}")]);
    }
    cells
}

fn served(points: &[Point], rows: &Rows) -> Table {
    let headings = ["slots", "users", "served %", "refused % of attempts", "answer p50 / p99 ms", "CPU %"];
    let mut table = Table::new(&headings);
    for point in points {
        let slots = format!("{:.0}", point.all_slots());
        let cells = match rows.find(point) {
            None => {
                vec![slots, NOT_RUN.to_owned(), String::new(), String::new(), String::new(), String::new()]
            }
            Some(Row { figures, .. }) => vec![
                slots,
                format!("{:.0}", figures.users * point.measured),
                short(figures.served),
                short(figures.refused),
                pair(figures.accepted_ms, 0),
                cpu(figures.cpu),
            ],
        };
        table.row(cells);
    }
    table
}

fn classes(points: &[Point], rows: &Rows) -> Table {
    let headings = ["classes", "goodput %", "missed %", "served high / normal / low %", "refused %", "CPU %"];
    let mut table = Table::new(&headings);
    let one = Point::new(Mode::Tidegate, 10.0, true);
    for point in std::iter::once(&one).chain(points) {
        let name = if point.mixed { "10 % high, 60 % normal, 30 % low" } else { "one" };
        let cells = match rows.find(point) {
            None => vec![
                name.to_owned(),
                NOT_RUN.to_owned(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ],
            Some(Row { figures, .. }) => vec![
                name.to_owned(),
                short(figures.goodput),
                short(figures.missed),
                if point.mixed { figures.served_by.map(short).join(" / ") } else { short(figures.served) },
                short(figures.refused),
                cpu(figures.cpu),
            ],
        };
        table.row(cells);
    }
    table
}

fn routers(rows: &Rows) -> Table {
    let headings = [
        "routers",
        "goodput % of each run",
        "median",
        "against 1",
        "missed %",
        "refusal p99 ms",
        "Redis calls/s",
        "allowed",
        "CPU %",
    ];
    let mut table = Table::new(&headings);
    let one = median(rows, ROUTERS[0], |row| row.figures.goodput);
    for routers in ROUTERS {
        let of = |figure: fn(&Row) -> f64| median(rows, routers, figure);
        let text = |value: Option<f64>| value.map_or_else(|| NOT_RUN.to_owned(), short);
        let goodput = of(|row| row.figures.goodput);
        let change = goodput.zip(one).map(|(here, one)| format!("{:+.1} %", 100.0 * (here / one - 1.0)));
        let each: Vec<String> = runs(rows, routers).map(|row| short(row.figures.goodput)).collect();
        table.row([
            routers.to_string(),
            each.join(", "),
            text(goodput),
            change.unwrap_or_default(),
            text(of(|row| row.figures.missed)),
            text(of(|row| row.figures.refused_ms[1])),
            text(of(|row| row.figures.calls)),
            text(of(|row| row.figures.allowed_calls(row.point.routers))),
            of(|row| row.figures.cpu).map_or_else(String::new, cpu),
        ]);
    }
    table
}

/// The runs of so many routers, in order.
fn runs(rows: &Rows, routers: usize) -> impl Iterator<Item = &Row> {
    let points = Part::Routers.points().into_iter().filter(move |point| point.routers == routers);
    points.filter_map(|point| rows.find(&point))
}

/// Median over the runs of so many routers; `None` unless all were run.
pub fn median(rows: &Rows, routers: usize, figure: impl Fn(&Row) -> f64) -> Option<f64> {
    let mut values: Vec<f64> = runs(rows, routers).map(figure).collect();
    values.sort_unstable_by(f64::total_cmp);
    (values.len() as u64 == REPEATS).then(|| values[values.len() / 2])
}

fn pair([median, high]: [f64; 2], decimals: usize) -> String {
    format!("{median:.decimals$} / {high:.decimals$}")
}

fn cpu(busy: f64) -> String {
    if busy > SATURATED { format!("**{busy:.0}**") } else { format!("{busy:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_sim::report::put;

    #[test]
    fn the_page_has_a_place_for_every_table_and_shows_the_chart() {
        let page = include_str!("../../../../docs/overload.md");
        let rows = Rows::default();
        let parts = Part::ALL.into_iter().flat_map(|part| of(part, &rows)).map(|(name, _)| name);
        for name in parts.chain(["bars", "machine", "idle"]) {
            assert!(put(page, name, "").is_some(), "{name}");
        }
        assert!(page.contains("(overload.svg)"));
    }

    #[test]
    fn what_was_not_run_says_so() {
        for (name, table) in Part::ALL.into_iter().flat_map(|part| of(part, &Rows::default())) {
            assert!(table.contains(NOT_RUN), "{name}: {table}");
        }
    }
}
