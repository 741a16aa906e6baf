//! The form that is a test: two points, and what must hold on any machine, however busy.

use super::point::{Mode, Point};
use super::run::run;

/// Goodput under overload that is asked for here, as part of that at the capacity. The bar is higher; a test must pass on a machine
/// that does other things as well.
const LEAST_KEPT: f64 = 0.8;

/// Runs the capacity and four times the capacity, and gives what was found and what is wrong with it, a line each. That every count
/// is zero at the end is part of a run: it does not end otherwise.
pub async fn check() -> (Vec<String>, Vec<String>) {
    let point = |load| Point { warm: 5.0, measured: 10.0, ..Point::new(Mode::Tidegate, load, true) };
    let (one, four) = (run(&point(1.0), None).await, run(&point(4.0), None).await);
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let kept = four.goodput / one.goodput;
    must(kept >= LEAST_KEPT, format!("goodput at 4 x is {:.0} % of that at 1 x", 100.0 * kept));
    must(four.refused > 0.0, "nothing was refused at 4 x".to_owned());
    for (load, figures) in [(1, &one), (4, &four)] {
        must(figures.mixed_up == 0, format!("{} answers were mixed up at {load} x", figures.mixed_up));
        must(figures.odd.is_empty(), format!("at {load} x attempts ended oddly: {:?}", figures.odd));
        must(figures.unfired == 0, format!("{} arrivals were not fired at {load} x", figures.unfired));
        must(figures.users > 0.0, format!("nobody came at {load} x"));
    }
    let told = [("1", &one), ("4", &four)].map(|(load, figures)| {
        format!(
            "{load} x: goodput {:.0} %, missed {:.1} %, refused {:.0} %, CPU {:.0} %",
            figures.goodput, figures.missed, figures.refused, figures.cpu
        )
    });
    (told.into(), wrong)
}
