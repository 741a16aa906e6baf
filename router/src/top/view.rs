//! The picture: header and sentence, slots and queue beside the curve, the last minutes, routers, keys.
//!
//! Everything is drawn from a [`State`] into a buffer of any size; where there is little room, what matters least goes
//! first: the curve's picture, then the last minutes, then the slots.

mod curve;
mod history;
mod queue;
mod routers;
#[cfg(test)]
pub(crate) mod scene;
mod slots;
#[cfg(test)]
mod tests;
mod title;

use super::palette::Palette;
use super::state::State;
use crate::live::Now;
use crate::report::PoolReport;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Widget};

/// Columns from which the curve stands beside slots and queue.
const TWO_COLUMNS: u16 = 64;
/// Rows of the last minutes with their title.
const MINUTES: u16 = 7;
/// Rows that slots, queue and curve have at least before the last minutes get any.
const LEAST_NOW: u16 = 6;

/// What the parts of the picture are drawn from.
#[derive(Clone, Copy)]
struct Scene<'a> {
    state: &'a State,
    now: &'a Now,
    pool: &'a PoolReport,
    palette: Palette,
}

/// Draws the whole picture.
pub fn draw(state: &State, palette: Palette, area: Rect, to: &mut Buffer) {
    let header = title::lines(state, palette, area.width);
    let rows = u16::try_from(header.len()).unwrap_or(u16::MAX);
    let [top, body, keys] =
        Layout::vertical([Constraint::Length(rows), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    for (row, line) in top.rows().zip(header) {
        line.render(row, to);
    }
    title::keys(state, palette).render(keys, to);
    if let (Some(now), Some((_, pool))) = (&state.now, state.pool()) {
        draw_pool(Scene { state, now, pool, palette }, body, to);
    }
}

/// Draws a pool and the routers.
fn draw_pool(scene: Scene<'_>, area: Rect, to: &mut Buffer) {
    let routers = routers::lines(scene, area.width);
    let most = area.height.saturating_sub(4);
    let rows = u16::try_from(routers.len()).unwrap_or(u16::MAX).min(most);
    let minutes =
        if area.height >= MINUTES + rows + LEAST_NOW { minutes_height(scene, area.height) } else { 0 };
    let [now, last, fleet] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(minutes), Constraint::Length(rows)])
            .areas(area);
    draw_now(scene, now, to);
    if minutes > 0 {
        history::draw(scene, last, to);
    }
    for (row, line) in fleet.rows().zip(routers) {
        line.render(row, to);
    }
}

/// Rows for the last minutes: more where there is much room, for a line for each reason.
fn minutes_height(scene: Scene<'_>, height: u16) -> u16 {
    let wanted = MINUTES + history::reasons(scene).len().saturating_sub(1) as u16;
    if height >= 34 { wanted } else { MINUTES }
}

/// Draws how the pool stands at this moment.
fn draw_now(scene: Scene<'_>, area: Rect, to: &mut Buffer) {
    let (left, curve) = if area.width >= TWO_COLUMNS && area.height >= LEAST_NOW {
        let columns = [Constraint::Fill(1), Constraint::Percentage(42)];
        let [left, right] = Layout::horizontal(columns).spacing(2).areas(area);
        (left, Some(right))
    } else {
        (area, None)
    };
    // What the slots do not need the queue can use: it has a line for each ticket, where there is room.
    let least = queue::LEAST_HEIGHT.min(left.height.saturating_sub(2));
    let wanted = slots::height(scene, left.width, left.height.saturating_sub(least));
    let [slots, tickets] = Layout::vertical([Constraint::Length(wanted), Constraint::Fill(1)]).areas(left);
    slots::draw(scene, slots, to);
    queue::draw(scene, tickets, to);
    if let Some(area) = curve {
        curve::draw(scene, area, to);
    }
}

/// A rule with a title at its left, and a note at its right where there is room for one; returns the room below.
fn section(area: Rect, title: &str, note: &str, palette: Palette, to: &mut Buffer) -> Rect {
    let fits = |text: &str| 2 + title.chars().count() + text.chars().count() + 4 <= usize::from(area.width);
    let note = if note.is_empty() || !fits(note) { String::new() } else { format!(" {note} ") };
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(palette.dim())
        .title(Line::styled(format!("{title} "), palette.strong()))
        .title(Line::styled(note, palette.dim()).right_aligned());
    let inner = block.inner(area);
    block.render(area, to);
    inner
}
