//! The last minutes as sparklines: accepted, refused and why, waits, first tokens, tokens per second.

use super::super::palette::Palette;
use super::super::units::{amount, bar, shortened, time};
use super::{Scene, section};
use crate::live::history::PoolPoint;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use std::collections::BTreeMap;

/// Columns from which labels are long and the most of a row has a column.
const WIDE: usize = 56;

/// Characters of a row's label and of its numbers.
#[derive(Clone, Copy)]
struct Columns {
    label: usize,
    now: usize,
    most: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        if width >= WIDE { Self { label: 19, now: 9, most: 9 } } else { Self { label: 12, now: 8, most: 0 } }
    }

    /// Columns that are left for the bars.
    fn bars(self, width: usize) -> usize {
        width.saturating_sub(self.label + self.now + self.most)
    }
}

/// What a sparkline shows.
enum Value {
    Accepted,
    /// Refusals for one reason, or for any.
    Refused(Option<String>),
    Wait,
    FirstToken,
    Tokens,
    Waiting,
}

impl Value {
    fn label(&self, short: bool) -> String {
        match self {
            Self::Accepted => "accepted /s".to_owned(),
            Self::Refused(None) => "refused /s".to_owned(),
            Self::Refused(Some(code)) => format!("refused {code}"),
            Self::Wait => "wait, p90".to_owned(),
            Self::FirstToken if short => "first token".to_owned(),
            Self::Waiting if short => "waiting".to_owned(),
            Self::FirstToken => "first token, p90".to_owned(),
            Self::Tokens => "tokens /s".to_owned(),
            Self::Waiting => "waiting, fleet".to_owned(),
        }
    }

    /// One second's value; `None` where there is nothing to say.
    fn of(&self, point: &PoolPoint) -> Option<f64> {
        Some(match self {
            Self::Accepted => point.accepted as f64,
            Self::Refused(None) => point.rejected.values().sum::<u64>() as f64,
            Self::Refused(Some(code)) => point.rejected.get(code.as_str()).copied().unwrap_or(0) as f64,
            Self::Wait => point.waited_ms?.p90,
            Self::FirstToken => point.first_token_ms?.p90,
            Self::Tokens => point.tokens as f64,
            Self::Waiting => f64::from(point.queued),
        })
    }

    /// Of seconds that share a column, rates show the mean, and what must not be overlooked the most.
    fn is_rate(&self) -> bool {
        matches!(self, Self::Accepted | Self::Refused(_) | Self::Tokens)
    }

    fn text(&self, value: f64) -> String {
        if matches!(self, Self::Wait | Self::FirstToken) { time(value) } else { amount(value) }
    }

    fn style(&self, palette: Palette) -> Style {
        match self {
            Self::Accepted => palette.good(),
            Self::Refused(_) => palette.bad(),
            _ => Style::new(),
        }
    }
}

/// Draws the sparklines with their frame.
pub(super) fn draw(scene: Scene<'_>, area: Rect, to: &mut Buffer) {
    let minutes = scene.state.window.seconds() / 60;
    let minutes = if minutes == 1 { "minute".to_owned() } else { format!("{minutes} minutes") };
    let title = format!("Last {minutes}, this router");
    let inner = section(area, &title, "now      most", scene.palette, to);
    let rows = rows(scene, inner.height.into());
    for (area, row) in inner.rows().zip(rows) {
        line(scene, &row, inner.width.into()).render(area, to);
    }
}

/// Error codes of the refusals in the window, the most frequent first.
pub(super) fn reasons(scene: Scene<'_>) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (_, point) in window(scene) {
        for (code, number) in point.iter().flat_map(|point| &point.rejected) {
            *counts.entry(code.to_string()).or_default() += number;
        }
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    counts
}

fn window<'a>(scene: Scene<'a>) -> impl Iterator<Item = (u64, Option<&'a PoolPoint>)> {
    let newest = scene.state.history.back().map_or(0, |point| point.t);
    let from = newest.saturating_sub(scene.state.window.seconds());
    scene.state.points(&scene.pool.model).filter(move |(t, _)| *t > from)
}

/// The rows that fit: where there is room, a row for each reason of a refusal.
fn rows(scene: Scene<'_>, height: usize) -> Vec<Value> {
    let reasons = reasons(scene);
    let mut rows = vec![Value::Accepted];
    if reasons.is_empty() || reasons.len() > height.saturating_sub(5).max(1) {
        rows.push(Value::Refused(None));
    } else {
        rows.extend(reasons.into_iter().map(|(code, _)| Value::Refused(Some(code))));
    }
    rows.extend([Value::Wait, Value::FirstToken, Value::Tokens, Value::Waiting]);
    rows
}

fn line(scene: Scene<'_>, value: &Value, width: usize) -> Line<'static> {
    let layout = Columns::of(width);
    let room = layout.bars(width);
    let columns = columns(scene, value, room.max(1));
    let most = columns.iter().flatten().copied().fold(0.0, f64::max);
    let bars: String =
        columns.iter().take(room).map(|value| value.map_or(' ', |value| bar(value, most))).collect();
    let now = scene.state.points(&scene.pool.model).next_back().and_then(|(_, point)| value.of(point?));
    let now = now.map_or_else(|| "-".to_owned(), |now| value.text(now));
    let seen = columns.iter().any(Option::is_some);
    let most = if layout.most > 0 && seen { value.text(most) } else { String::new() };
    let label = shortened(&value.label(width < WIDE), layout.label - 1);
    Line::from(vec![
        Span::raw(format!("{label:<width$}", width = layout.label)),
        Span::styled(format!("{bars:>room$}"), value.style(scene.palette)),
        Span::raw(format!("{now:>width$}", width = layout.now)),
        Span::raw(format!("{most:>width$}", width = layout.most)),
    ])
}

/// The window's values in `width` columns, the newest at the right. Columns begin at multiples of their length, so that a bar does not
/// change while it moves.
fn columns(scene: Scene<'_>, value: &Value, width: usize) -> Vec<Option<f64>> {
    let newest = scene.state.history.back().map_or(0, |point| point.t);
    let seconds = scene.state.window.seconds().div_ceil(width as u64).max(1);
    let count = (scene.state.window.seconds().div_ceil(seconds) as usize).min(width);
    let mut columns: Vec<(f64, f64, u32)> = vec![(0.0, 0.0, 0); count];
    for (t, point) in window(scene) {
        let back = (newest / seconds - t / seconds) as usize;
        let value = point.and_then(|point| value.of(point));
        if let (Some(value), Some(column)) =
            (value, count.checked_sub(back + 1).and_then(|at| columns.get_mut(at)))
        {
            *column = (column.0 + value, column.1.max(value), column.2 + 1);
        }
    }
    let merged = |(sum, most, seen): (f64, f64, u32)| {
        (seen > 0).then(|| if value.is_rate() { sum / f64::from(seen) } else { most })
    };
    columns.into_iter().map(merged).collect()
}
