//! The chart of the report: goodput over offered load, a line for each of the three fleets.

use super::parts::{LOADS, Part};
use super::point::{Mode, Point};
use super::rows::Rows;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
/// The plot's left, right, top and bottom.
const PLOT: [f64; 4] = [64.0, 590.0, 66.0, 350.0];
/// The highest value of the vertical axis, in percent.
const TOP: f64 = 110.0;
/// Least distance between two labels at the right.
const APART: f64 = 18.0;

/// Colours of the lines and of their names: for light and for dark pages.
const STYLE: &str = "\
.ground { fill: #ffffff; stroke: #d0d7de; } .grid { stroke: #d8dee4; } .axis { stroke: #57606a; }
    .text { fill: #1f2328; font-size: 13px; } .head { fill: #1f2328; font-size: 15px; font-weight: 600; }
    .line { fill: none; stroke-width: 2.4; stroke-linejoin: round; }
    .l0 { stroke: #0969da; } .l1 { stroke: #cf222e; } .l2 { stroke: #9a6700; }
    .d0 { fill: #0969da; } .d1 { fill: #cf222e; } .d2 { fill: #9a6700; } .name { font-size: 13.5px; font-weight: 600; }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117; stroke: #30363d; } .grid { stroke: #262c34; } .axis { stroke: #8b949e; }
      .text, .head { fill: #e6edf3; }
      .l0 { stroke: #58a6ff; } .l1 { stroke: #ff7b72; } .l2 { stroke: #e3b341; }
      .d0 { fill: #58a6ff; } .d1 { fill: #ff7b72; } .d2 { fill: #e3b341; }
    }";

/// The chart as SVG; `None` unless all three curves are there.
pub fn svg(rows: &Rows) -> Option<String> {
    let curves: Vec<Vec<f64>> = Mode::ALL.into_iter().map(|mode| curve(rows, mode)).collect::<Option<_>>()?;
    let mut body = grid();
    let labels = spread(curves.iter().map(|curve| curve.last().map_or(0.0, |last| y(*last))).collect());
    for (number, (curve, mode)) in curves.iter().zip(Mode::ALL).enumerate() {
        let points: Vec<(f64, f64)> =
            LOADS.iter().zip(curve).map(|(load, value)| (x(*load), y(*value))).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(body, "  <polyline class=\"line l{number}\" points=\"{}\"/>", path.join(" "));
        for ((x, y), value) in points.iter().zip(curve) {
            let dot = format!("<title>{}: {value:.0} %</title>", mode.name());
            let _ = writeln!(
                body,
                "  <circle class=\"d{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">{dot}</circle>"
            );
        }
        let (left, last) = (PLOT[1] + 12.0, curve.last().copied().unwrap_or_default());
        let _ = writeln!(
            body,
            "  <text class=\"name d{number}\" x=\"{left}\" y=\"{:.1}\">{} {last:.0} %</text>",
            labels[number] + 4.5,
            mode.name()
        );
    }
    Some(page(&curves, &body))
}

/// Goodput at each load with retries.
fn curve(rows: &Rows, mode: Mode) -> Option<Vec<f64>> {
    let points: Vec<Point> = Part::Curve(mode).points().into_iter().filter(|point| point.retries).collect();
    points.iter().map(|point| rows.find(point).map(|row| row.figures.goodput)).collect()
}

/// The load on a logarithmic axis.
fn x(load: f64) -> f64 {
    let [left, right, ..] = PLOT;
    let part = (load / LOADS[0]).ln() / (LOADS[LOADS.len() - 1] / LOADS[0]).ln();
    left + 14.0 + part * (right - left - 14.0)
}

fn y(percent: f64) -> f64 {
    let [.., top, bottom] = PLOT;
    bottom - percent.min(TOP) / TOP * (bottom - top)
}

fn grid() -> String {
    let [left, right, top, bottom] = PLOT;
    let mut grid = String::new();
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let (y, class) = (y(percent), if percent == 0.0 { "axis" } else { "grid" });
        let _ = writeln!(grid, "  <path class=\"{class}\" d=\"M{left} {y:.1}H{right}\"/>");
        let _ = writeln!(
            grid,
            "  <text class=\"text\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>",
            left - 8.0,
            y + 4.5
        );
    }
    for load in LOADS {
        let x = x(load);
        let _ = writeln!(grid, "  <path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/>");
        let _ = writeln!(
            grid,
            "  <text class=\"text\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{load} x</text>",
            bottom + 20.0
        );
    }
    grid
}

/// Moves labels down until no two overlap; gives them in their own order.
fn spread(wanted: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut placed = wanted;
    for pair in order.windows(2) {
        placed[pair[1]] = placed[pair[1]].max(placed[pair[0]] + APART);
    }
    // Those that were pushed below the axis pull the others up with them.
    let most = order.last().map_or(0.0, |last| placed[*last] - PLOT[3]);
    if most > 0.0 {
        for number in order {
            placed[number] = placed[number].max(PLOT[2] + most) - most;
        }
    }
    placed
}

fn page(curves: &[Vec<f64>], body: &str) -> String {
    let told: Vec<String> = curves
        .iter()
        .zip(Mode::ALL)
        .map(|(curve, mode)| {
            let values: Vec<String> = curve.iter().map(|value| format!("{value:.0}")).collect();
            format!("{}: {} %", mode.name(), values.join(", "))
        })
        .collect();
    let loads = LOADS.map(|load| load.to_string()).join(", ");
    let middle = f64::midpoint(PLOT[0], PLOT[1]);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-labelledby=\"title about\" font-family=\"ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\">\n  \
         <title id=\"title\">Goodput over offered load</title>\n  \
         <desc id=\"about\">At {loads} times the capacity. {}.</desc>\n  <style>\n    {STYLE}\n  </style>\n  \
         <rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"10\"/>\n  \
         <text class=\"head\" x=\"24\" y=\"34\">Goodput: slot time of answers inside their deadline, % of all slot time</text>\n\
         {body}  <text class=\"text\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">users who come, over what the fleet can serve; \
         SDK retries on</text>\n</svg>\n",
        told.join(". "),
        WIDTH - 1.0,
        HEIGHT - 1.0,
        PLOT[3] + 48.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::figures::Figures;
    use crate::overload::rows::Row;

    #[test]
    fn labels_do_not_overlap_and_stay_inside() {
        for wanted in [vec![80.0, 340.0, 345.0], vec![350.0, 350.0, 350.0], vec![90.0, 85.0, 300.0]] {
            let mut placed = spread(wanted.clone());
            placed.sort_by(f64::total_cmp);
            assert!(
                placed.windows(2).all(|pair| pair[1] - pair[0] >= APART - 1e-9),
                "{wanted:?}: {placed:?}"
            );
            assert!(placed.iter().all(|at| (PLOT[2]..=PLOT[3]).contains(at)), "{wanted:?}: {placed:?}");
        }
    }

    #[test]
    fn there_is_a_chart_once_all_curves_are_there() {
        let points = Mode::ALL.into_iter().flat_map(|mode| Part::Curve(mode).points());
        let mut rows = Rows(Vec::new());
        for point in points {
            assert!(!point.retries || svg(&rows).is_none());
            let figures = Figures { goodput: 90.0 / point.load, ..Figures::default() };
            rows.put(Row { point, wait_share: None, machine: String::new(), figures });
        }
        let svg = svg(&rows).unwrap();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (3, 15));
        assert!(svg.contains("Tidegate 9 %"), "{svg}");
    }
}
