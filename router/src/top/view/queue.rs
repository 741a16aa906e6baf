//! The queue: a row for each priority, and in it a bar for each ticket, in the order of service, as high as it is old.

use super::super::units::{bar, time};
use super::{Scene, framed};
use crate::report::TicketReport;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use tidegate_admission::Priority;

/// Below this age a bar says only that there is a ticket: with the oldest at 3 ms, full bars would frighten for nothing.
const FULL_BAR_MS: f64 = 1000.0;

/// Rows that the queue takes out of so many, with its frame.
pub(super) fn height(available: u16) -> u16 {
    match available {
        0..=3 => 0,
        4..=7 => available / 2,
        8..=15 => 5,
        _ => 8,
    }
}

/// Draws the queue with its frame.
pub(super) fn draw(scene: Scene<'_>, area: Rect, to: &mut Buffer) {
    let Scene { pool, palette, .. } = scene;
    let title = match pool.queued {
        0 => format!(" Queue: empty, room for {} ", pool.max_queue_size),
        queued => {
            format!(" Queue: {queued} of {}, oldest {} (█) ", pool.max_queue_size, time(full(scene)))
        }
    };
    let limit = pool.curve.queue_limit;
    let below = format!(" refused from: high {}, normal {}, low {} ", limit.high, limit.normal, limit.low);
    let inner = framed(area, Line::raw(title), Line::styled(below, palette.dim()), palette, to);
    let rows = usize::from(inner.height) / Priority::ALL.len();
    let lines = Priority::ALL
        .into_iter()
        .flat_map(|priority| lines(scene, priority, inner.width.into(), rows.max(1)));
    for (row, line) in inner.rows().zip(lines) {
        line.render(row, to);
    }
}

/// The age of a full bar, in milliseconds.
fn full(scene: Scene<'_>) -> f64 {
    (scene.pool.oldest_wait_ms as f64).max(FULL_BAR_MS)
}

/// One priority in exactly `rows` lines: how many, how old, and a bar for each as far as there is room.
fn lines(scene: Scene<'_>, priority: Priority, width: usize, rows: usize) -> Vec<Line<'static>> {
    let tickets: Vec<&TicketReport> =
        scene.pool.tickets.iter().filter(|ticket| ticket.priority == priority.as_str()).collect();
    let oldest = tickets.iter().map(|ticket| ticket.age_ms).max();
    let age = oldest.map(|ms| time(ms as f64)).unwrap_or_default();
    let label = format!("{:<6} {:>3} {age:>7} ", priority.as_str(), tickets.len());
    let room = width.saturating_sub(label.len());
    let more = |hidden: usize| format!(" +{hidden}");
    let mut shown = tickets.len().min(room * rows);
    if shown < tickets.len() {
        shown = (room * rows).saturating_sub(more(tickets.len()).len());
    }
    let mut bars: Vec<char> =
        tickets.iter().take(shown).map(|ticket| bar(ticket.age_ms.max(1) as f64, full(scene))).collect();
    if shown < tickets.len() {
        bars.extend(more(tickets.len() - shown).chars());
    }
    let style = scene.palette.priority(priority);
    let blank = " ".repeat(label.len());
    let mut chunks = bars.chunks(room.max(1));
    (0..rows)
        .map(|row| {
            let label = if row == 0 { label.clone() } else { blank.clone() };
            let bars: String = chunks.next().unwrap_or_default().iter().collect();
            Line::from(vec![Span::styled(label, style), Span::styled(bars, style)])
        })
        .collect()
}
