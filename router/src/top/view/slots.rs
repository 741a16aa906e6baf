//! The slots, one by one: which backend has them, which are taken, and by what.
//!
//! With few backends each has a line with its name. With many they stand side by side without names, those in trouble first;
//! and where even that is too much, each is one mark, as high as it is full.

use super::super::palette::Palette;
use super::super::units::{bar, shortened, time};
use super::{Scene, section};
use crate::report::{BackendReport, PoolReport};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

const RUNNING: char = '■';
const FREE: char = '□';
const ABANDONED: char = '▨';
const CLOSED: char = '╌';
const LOST: char = '×';

/// Slots of one backend that are drawn one by one; more are counted.
const MOST_SINGLE: u32 = 32;

/// Draws the slots with their frame.
pub(super) fn draw(scene: Scene<'_>, area: Rect, to: &mut Buffer) {
    let Scene { pool, palette, .. } = scene;
    let title = format!("Slots: {} of {} busy", pool.running + pool.abandoned, pool.slots);
    let inner = section(area, &title, &legend(pool, area.width), palette, to);
    let lines = lines(&pool.backends, palette, inner.width.into(), inner.height.into());
    for (row, line) in inner.rows().zip(lines) {
        line.render(row, to);
    }
}

/// Rows that the slots take with their title, of those that there are.
pub(super) fn height(scene: Scene<'_>, width: u16, available: u16) -> u16 {
    let within = usize::from(available.saturating_sub(1));
    let lines = lines(&scene.pool.backends, scene.palette, width.into(), within).len();
    u16::try_from(lines.min(within)).unwrap_or(u16::MAX).saturating_add(1)
}

/// What the marks mean: all of them where there is room, else those that are seen now.
fn legend(pool: &PoolReport, width: u16) -> String {
    let any = |is: fn(Standing) -> bool| pool.backends.iter().map(Standing::of).any(is);
    let marks = [
        (RUNNING, "running", pool.running > 0),
        (FREE, "free", pool.running + pool.abandoned < pool.slots),
        (ABANDONED, "abandoned", pool.abandoned > 0),
        (
            CLOSED,
            "draining, ejected",
            any(|standing| matches!(standing, Standing::Draining | Standing::Ejected)),
        ),
        (LOST, "lost", any(Standing::is_lost)),
    ];
    let shown = marks.iter().filter(|(_, _, seen)| *seen || width >= 84);
    shown.map(|(mark, word, _)| format!("{mark} {word}")).collect::<Vec<_>>().join("  ")
}

fn lines(backends: &[BackendReport], palette: Palette, width: usize, height: usize) -> Vec<Line<'static>> {
    if backends.len() <= height {
        return backends.iter().map(|backend| named(backend, backends, palette, width)).collect();
    }
    let mut sorted: Vec<&BackendReport> = backends.iter().collect();
    // A stable sort: within its kind each keeps its place by id.
    sorted.sort_by_key(|backend| (Standing::of(backend), backend.id.as_str()));
    let groups: Vec<Vec<Span<'static>>> =
        sorted.iter().map(|backend| marks(backend, palette, width)).collect();
    let flowed = flow(&groups, width, 1);
    if flowed.len() <= height {
        return flowed;
    }
    let single: Vec<Vec<Span<'static>>> =
        sorted.iter().map(|backend| vec![one_mark(backend, palette)]).collect();
    let mut flowed = flow(&single, width, 0);
    if flowed.len() > height {
        flowed.truncate(height.saturating_sub(1));
        let hidden = sorted.len() - flowed.len() * width.min(sorted.len());
        flowed.push(Line::styled(format!("and {hidden} backends more"), palette.dim()));
    }
    flowed
}

/// How it stands with a backend. What should be seen first comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Gone,
    Silent(u64),
    Ejected,
    Trial,
    Draining,
    Abandoned,
    Live,
}

impl Standing {
    fn of(backend: &BackendReport) -> Self {
        match (backend.state.as_ref(), backend.silence()) {
            ("gone", _) => Self::Gone,
            (_, Some(silent)) => Self::Silent(silent),
            ("ejected", None) => Self::Ejected,
            ("trial", None) => Self::Trial,
            ("draining", None) => Self::Draining,
            (_, None) if backend.abandoned > 0 => Self::Abandoned,
            (_, None) => Self::Live,
        }
    }

    fn is_lost(self) -> bool {
        matches!(self, Self::Gone | Self::Silent(_))
    }

    fn word(self) -> String {
        match self {
            Self::Gone => " gone".to_owned(),
            Self::Silent(ms) => format!(" silent {}", time(ms as f64)),
            Self::Ejected => " ejected".to_owned(),
            Self::Trial => " on trial".to_owned(),
            Self::Draining => " draining".to_owned(),
            Self::Abandoned | Self::Live => String::new(),
        }
    }

    fn style(self, palette: Palette) -> Style {
        match self {
            Self::Gone | Self::Silent(_) | Self::Ejected => palette.bad(),
            Self::Trial | Self::Draining | Self::Abandoned => palette.warning(),
            Self::Live => palette.good(),
        }
    }
}

/// A backend with its name, its slots, and what is to say of it.
fn named(backend: &BackendReport, all: &[BackendReport], palette: Palette, width: usize) -> Line<'static> {
    let longest = all.iter().map(|backend| name(backend).chars().count()).max().unwrap_or(0);
    let room = longest.min(width / 3).min(24);
    let label = shortened(name(backend), room);
    let standing = Standing::of(backend);
    let tail = format!(" {}/{}{}", backend.running + backend.abandoned, backend.slots, standing.word());
    let style = if standing == Standing::Live { Style::new() } else { standing.style(palette) };
    let mut spans = vec![Span::raw(format!("{label:<room$} "))];
    spans.extend(marks(backend, palette, width.saturating_sub(room + 1 + tail.chars().count())));
    spans.push(Span::styled(tail, style));
    Line::from(spans)
}

/// The address without what all addresses have; an embedded backend's is no place at all, so only its kind stands there.
fn name(backend: &BackendReport) -> &str {
    match backend.url.split_once("://") {
        Some(("http", place)) => place,
        Some((kind, _)) => kind,
        None => &backend.url,
    }
}

/// The slots of a backend: how many of each kind, each with its mark and look.
fn kinds(backend: &BackendReport, palette: Palette) -> [(char, u32, Style); 3] {
    let rest = backend.slots.saturating_sub(backend.running + backend.abandoned);
    let rest = match Standing::of(backend) {
        Standing::Gone | Standing::Silent(_) => (LOST, rest, palette.bad()),
        Standing::Ejected | Standing::Draining => (CLOSED, rest, palette.dim()),
        Standing::Trial | Standing::Abandoned | Standing::Live => (FREE, rest, palette.dim()),
    };
    [(RUNNING, backend.running, palette.good()), (ABANDONED, backend.abandoned, palette.warning()), rest]
}

/// One mark a slot, or, where there are too many, each kind's mark and number.
fn marks(backend: &BackendReport, palette: Palette, room: usize) -> Vec<Span<'static>> {
    let kinds = kinds(backend, palette);
    let all: u32 = kinds.iter().map(|(_, number, _)| number).sum();
    let single = all <= MOST_SINGLE && all as usize <= room;
    let shown = kinds.into_iter().filter(|(_, number, _)| *number > 0);
    let text = |mark: char, number: u32| {
        if single { mark.to_string().repeat(number as usize) } else { format!("{mark}{number} ") }
    };
    shown.map(|(mark, number, style)| Span::styled(text(mark, number), style)).collect()
}

/// A backend as one mark: as high as it is full, or what is wrong with it.
fn one_mark(backend: &BackendReport, palette: Palette) -> Span<'static> {
    let busy = f64::from(backend.running + backend.abandoned);
    let standing = Standing::of(backend);
    let mark = match standing {
        Standing::Gone | Standing::Silent(_) => LOST,
        Standing::Ejected | Standing::Draining => CLOSED,
        Standing::Abandoned => ABANDONED,
        Standing::Live | Standing::Trial if busy <= 0.0 => return Span::styled("_", standing.style(palette)),
        Standing::Live | Standing::Trial => bar(busy, f64::from(backend.slots)),
    };
    Span::styled(mark.to_string(), standing.style(palette))
}

/// Groups side by side, with `gap` spaces between them, in as many lines as that takes.
fn flow(groups: &[Vec<Span<'static>>], width: usize, gap: usize) -> Vec<Line<'static>> {
    let (mut lines, mut line, mut taken) = (Vec::new(), Vec::new(), 0);
    for group in groups {
        let length: usize = group.iter().map(Span::width).sum();
        if taken > 0 && taken + gap + length > width {
            lines.push(Line::from(std::mem::take(&mut line)));
            taken = 0;
        }
        if taken > 0 {
            line.push(Span::raw(" ".repeat(gap)));
            taken += gap;
        }
        line.extend(group.iter().cloned());
        taken += length;
    }
    if !line.is_empty() {
        lines.push(Line::from(line));
    }
    lines
}
