//! The queue: a row for each priority, and in it a bar for each ticket, in the order of service, as high as it is old.

use super::super::units::{bar, shortened, time};
use super::{Scene, section};
use crate::report::TicketReport;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use tidegate_admission::Priority;

/// Below this age a bar says only that there is a ticket: with the oldest at 3 ms, full bars would frighten for nothing.
const FULL_BAR_MS: f64 = 1000.0;

/// Rows of the queue's title and its three priorities.
pub(super) const LEAST_HEIGHT: u16 = 4;
/// Rows from which each priority may have two.
const TWO_ROWS: usize = 8;

/// Draws the queue with its title.
pub(super) fn draw(scene: Scene<'_>, area: Rect, to: &mut Buffer) {
    let Scene { pool, palette, .. } = scene;
    let title = match pool.queued {
        0 => format!("Queue: empty, room for {}", pool.max_queue_size),
        queued => format!("Queue: {queued} of {}, oldest {} █", pool.max_queue_size, time(full(scene))),
    };
    let limit = pool.curve.queue_limit;
    let note = format!("full for H {}, N {}, L {}", limit.high, limit.normal, limit.low);
    let inner = section(area, &title, &note, palette, to);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    let rows = if height >= TWO_ROWS { 2 } else { 1 };
    let by_priority = Priority::ALL.into_iter().flat_map(|priority| lines(scene, priority, width, rows));
    let one_by_one = pool.tickets.iter().enumerate().map(|(at, ticket)| one(scene, at, ticket, width));
    for (row, line) in inner.rows().zip(by_priority.chain(one_by_one)) {
        line.render(row, to);
    }
}

/// One ticket: its place, its priority, its age, its id.
fn one(scene: Scene<'_>, at: usize, ticket: &TicketReport, width: usize) -> Line<'static> {
    let label = format!("{:>4}. {:<6} {:>7}  ", at + 1, ticket.priority, time(ticket.age_ms as f64));
    let room = width.saturating_sub(label.len());
    let style = Priority::from_word(&ticket.priority).map(|priority| scene.palette.priority(priority));
    let id = Span::styled(shortened(&ticket.id, room), scene.palette.dim());
    Line::from(vec![Span::styled(label, style.unwrap_or_default()), id])
}

/// The age of a full bar, in milliseconds.
fn full(scene: Scene<'_>) -> f64 {
    (scene.pool.oldest_wait_ms as f64).max(FULL_BAR_MS)
}

/// One priority in at most `rows` lines: how many, how old, and a bar for each as far as there is room.
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
    let first = (label, chunks.next().unwrap_or_default());
    let others = chunks.map(|bars| (blank.clone(), bars));
    let line =
        |(label, bars): (String, &[char])| Line::styled(label + &bars.iter().collect::<String>(), style);
    std::iter::once(first).chain(others).map(line).collect()
}
