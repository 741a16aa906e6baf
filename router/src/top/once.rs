//! `--once`: one snapshot as text, every pool of it, for scripts and for terminals that are none.

use super::feed::{Address, Events, Heard};
use super::palette::Palette;
use super::state::State;
use super::view;
use anyhow::Context;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Columns and rows of a pool's picture where nothing else is asked for.
const COLUMNS: u16 = 100;
const ROWS: u16 = 30;
/// The narrowest and the widest picture.
const MOST_COLUMNS: std::ops::RangeInclusive<u16> = 40..=300;

/// The fleet as the router at `address` sees it now.
///
/// # Errors
/// If there is no router with a live feed.
pub async fn text(address: &Address, columns: Option<u16>) -> anyhow::Result<String> {
    let asked = async { Events::open(address).await?.next().await };
    let event = asked.await.with_context(|| format!("no word from {}", address.base()))?;
    let mut state = State::new(address.base());
    state.hear(Heard::Event(Box::new(event)));
    let pools = state.now.as_ref().map_or(0, |now| now.pools.len());
    let columns = columns.unwrap_or(COLUMNS).clamp(*MOST_COLUMNS.start(), *MOST_COLUMNS.end());
    let mut pictures = Vec::new();
    for _ in 0..pools.max(1) {
        pictures.push(picture(&state, columns));
        state.choose(1);
    }
    Ok(pictures.join("\n"))
}

/// The picture without the line of keys, which nobody can press here.
fn picture(state: &State, columns: u16) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, ROWS));
    view::draw(state, Palette::new(false), buffer.area, &mut buffer);
    let rows = buffer.content.chunks(columns.into()).take(usize::from(ROWS) - 1);
    let text: Vec<String> = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect();
    let mut lines: Vec<&str> = text.iter().map(|line| line.trim_end()).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines.join("\n") + "\n"
}
