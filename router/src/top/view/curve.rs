//! The rejection curve: how likely a refusal is with so many held, and where the pool stands.
//!
//! Each priority has a line of its own, and on it stands its letter: H, N, L.

use super::super::units::{amount, percent, time};
use super::{Scene, section};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use ratatui::widgets::canvas::{Canvas, Context, Line as Stroke};
use tidegate_admission::Priority;

/// Rows from which the curve is drawn (below, numbers say it), and rows that it takes at most.
const DRAWN: std::ops::RangeInclusive<u16> = 4..=14;
/// Rows from which there is room for the facts beside the curve.
const WITH_FACTS: u16 = 8;

/// The letters of the priorities, in the order of service.
const LETTERS: [&str; 3] = ["H", "N", "L"];

/// Draws the curve with its title.
pub(super) fn draw(scene: Scene<'_>, area: Rect, to: &mut Buffer) {
    let palette = scene.palette;
    let inner = section(area, "Rejection curve", "over requests held", palette, to);
    let facts = if inner.height >= WITH_FACTS { facts(scene, inner.width) } else { Vec::new() };
    let free = inner.height.saturating_sub(2 + facts.len() as u16);
    let parts = [1, free.min(*DRAWN.end()), 1, facts.len() as u16].map(Constraint::Length);
    let [words, plot, axis, below] = Layout::vertical(parts).areas(inner);
    odds(scene).render(words, to);
    if plot.height >= *DRAWN.start() && plot.width >= 12 {
        picture(scene, plot, to);
        Line::styled(axis_text(scene, axis.width.into()), palette.dim()).render(axis, to);
    } else {
        numbers(scene, plot, to);
    }
    for (row, line) in below.rows().zip(facts) {
        line.render(row, to);
    }
}

/// How fast the pool works.
fn facts(scene: Scene<'_>, width: u16) -> Vec<Line<'static>> {
    let Some(service) = scene.pool.service_ms else { return Vec::new() };
    let (mean, p90) = (time(service.mean), time(service.p90));
    let speed = format!("drains {}/s", amount(scene.pool.drain_per_s));
    let text = if width >= 42 {
        format!("{speed}, service {mean}, p90 {p90}")
    } else {
        format!("{speed}, service p90 {p90}")
    };
    vec![Line::styled(text, scene.palette.dim())]
}

/// The chance of a refusal by priority.
fn odds(scene: Scene<'_>) -> Line<'static> {
    let mut spans = vec![Span::raw("p  ")];
    for (priority, letter) in Priority::ALL.into_iter().zip(LETTERS) {
        let text = format!("{letter} {}  ", percent(scene.pool.curve.p.of(priority)));
        spans.push(Span::styled(text, scene.palette.priority(priority)));
    }
    Line::from(spans)
}

/// The curve in words, where there is no room for a picture.
fn numbers(scene: Scene<'_>, area: Rect, to: &mut Buffer) {
    let curve = &scene.pool.curve;
    for (row, priority) in area.rows().zip(Priority::ALL) {
        let (held, start, end) =
            (curve.held.of(priority), curve.start.of(priority), curve.capacity.of(priority));
        let text = format!("{:<6} {held:.0} held, refused from {start:.0} to {end:.0}", priority.as_str());
        Line::styled(text, scene.palette.priority(priority)).render(row, to);
    }
}

/// The largest number of held requests that the picture shows.
fn widest(scene: Scene<'_>) -> f64 {
    let curve = &scene.pool.curve;
    let held = Priority::ALL.map(|priority| curve.held.of(priority));
    held.into_iter().fold(curve.capacity.high.max(1.0), f64::max)
}

fn picture(scene: Scene<'_>, area: Rect, to: &mut Buffer) {
    let widest = widest(scene);
    Canvas::default()
        .marker(Marker::Braille)
        .x_bounds([0.0, widest * 1.02])
        .y_bounds([0.0, 1.0])
        .paint(|context| {
            // What is drawn later lies above: normal priority is what most requests have.
            for priority in [Priority::Low, Priority::High, Priority::Normal] {
                stroke(scene, priority, widest, context);
            }
            for priority in [Priority::Low, Priority::High, Priority::Normal] {
                stand(scene, priority, context);
            }
        })
        .render(area, to);
}

fn stroke(scene: Scene<'_>, priority: Priority, widest: f64, context: &mut Context<'_>) {
    let curve = &scene.pool.curve;
    let (start, end) = (curve.start.of(priority), curve.capacity.of(priority).max(curve.start.of(priority)));
    let colour = scene.palette.dots(priority);
    for (x1, y1, x2, y2) in [(0.0, 0.0, start, 0.0), (start, 0.0, end, 1.0), (end, 1.0, widest, 1.0)] {
        context.draw(&Stroke::new(x1, y1, x2, y2, colour));
    }
}

/// The letter of a priority where the pool stands on its line.
fn stand(scene: Scene<'_>, priority: Priority, context: &mut Context<'_>) {
    let curve = &scene.pool.curve;
    let letter = LETTERS.get(priority.rank()).copied().unwrap_or_default();
    let style = scene.palette.priority(priority).patch(scene.palette.chosen());
    context.print(curve.held.of(priority), curve.p.of(priority), Line::styled(letter, style));
}

/// The axis below: nothing held, all slots taken, everything held.
fn axis_text(scene: Scene<'_>, width: usize) -> String {
    let (slots, widest) = (scene.pool.slots, widest(scene));
    let end = format!("{widest:.0}");
    let at = (f64::from(slots) / (widest * 1.02) * width as f64) as usize;
    let label = format!("│{slots} slots");
    let mut text = vec![' '; width];
    let mut put = |at: usize, label: &str| {
        for (cell, letter) in text.iter_mut().skip(at).zip(label.chars()) {
            *cell = letter;
        }
    };
    let ends = width.saturating_sub(end.chars().count());
    put(ends, &end);
    // Not over the number at the end.
    let at = at.min(ends.saturating_sub(label.chars().count() + 1));
    put(at, &label);
    text.into_iter().collect()
}
