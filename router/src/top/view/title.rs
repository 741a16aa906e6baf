//! The first lines: who speaks, whether it still does, what is wrong, how the chosen pool stands. And the last: the keys.

use super::super::palette::Palette;
use super::super::sentence::{Severity, of_lost, of_pool, of_router};
use super::super::state::{Link, State};
use super::super::units::{count, shortened};
use crate::live::Now;
use ratatui::text::{Line, Span};

/// Characters that a sentence may have at most: three lines of eighty.
const MOST_CHARACTERS: usize = 240;

/// The lines above the picture.
pub(super) fn lines(state: &State, palette: Palette, width: u16) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let mut lines = vec![who(state, palette, width)];
    if let Link::Lost(why) = &state.link {
        let old = if state.now.is_some() { " What is shown is old." } else { "" };
        let text = format!("GONE: {} does not answer ({why}); trying again.{old}", state.address);
        lines.extend(wrapped(&text, width).into_iter().map(|line| alarm(&line, palette, width)));
    }
    let Some(now) = &state.now else { return lines };
    if let Some(text) = of_router(now) {
        lines.extend(wrapped(&text, width).into_iter().map(|line| alarm(&line, palette, width)));
    }
    let Some((at, pool)) = state.pool() else {
        lines.push(Line::styled("No model is served: no backend has come yet.", palette.bad()));
        return lines;
    };
    if now.pools.len() > 1 {
        lines.push(pools(now, at, palette, width));
    }
    let (severity, text) = of_pool(pool, state);
    let style = match severity {
        Severity::Calm => palette.good(),
        Severity::Busy => palette.strong(),
        Severity::Refusing => palette.warning(),
        Severity::Critical => palette.bad(),
    };
    let text = if now.pools.len() > 1 { text } else { format!("{}: {text}", shortened(&pool.model, 40)) };
    lines.extend(wrapped(&text, width).into_iter().map(|line| Line::styled(line, style)));
    if let Some(text) = of_lost(pool, state, now.at_ms) {
        lines.extend(wrapped(&text, width).into_iter().map(|line| Line::styled(line, palette.bad())));
    }
    lines
}

/// The line of keys.
pub(super) fn keys(state: &State, palette: Palette) -> Line<'static> {
    let several = state.now.as_ref().is_some_and(|now| now.pools.len() > 1);
    let mut text = String::from("q quit   w window");
    if several {
        text.push_str("   tab, arrows: pool");
    }
    Line::styled(text, palette.dim())
}

fn who(state: &State, palette: Palette, width: usize) -> Line<'static> {
    let (word, style) = match state.link {
        Link::Connecting => ("... connecting", palette.warning()),
        Link::Live => ("● live", palette.good()),
        Link::Lost(_) => ("× gone", palette.alarm()),
    };
    let about = match &state.now {
        None => state.address.clone(),
        Some(now) => {
            let ledger = match now.ledger.as_ref() {
                "memory" => "account in memory",
                "redis" => "account in Redis",
                _ => "account out of reach",
            };
            format!("{}  {}, {ledger}, router {}", now.version, now.mode, now.router)
        }
    };
    let room = width.saturating_sub("tidegate ".len() + word.chars().count() + 1);
    let about = shortened(&about, room);
    let gap = " ".repeat(room - about.chars().count().min(room) + 1);
    Line::from(vec![
        Span::styled("tidegate ", palette.strong()),
        Span::raw(about),
        Span::raw(gap),
        Span::styled(word, style),
    ])
}

/// One line of an alarm, reversed to the border.
fn alarm(line: &str, palette: Palette, width: usize) -> Line<'static> {
    Line::styled(format!("{line:<width$}"), palette.alarm())
}

/// The pools side by side; the chosen one is reversed and stands in brackets. Where they do not all fit, those round the chosen one.
fn pools(now: &Now, chosen: usize, palette: Palette, width: usize) -> Line<'static> {
    let label = format!("{} ", count(u32::try_from(now.pools.len()).unwrap_or(u32::MAX), "pool"));
    let names: Vec<String> = now.pools.iter().map(|pool| shortened(&pool.model, 24)).collect();
    let taken = |from: usize| -> usize {
        names.iter().take(chosen + 1).skip(from).map(|name| name.chars().count() + 3).sum()
    };
    let room = width.saturating_sub(label.len() + 2);
    let from = (0..=chosen).find(|from| taken(*from) <= room).unwrap_or(chosen);
    let mut spans = vec![Span::styled(label, palette.dim())];
    if from > 0 {
        spans.push(Span::styled("‹ ", palette.dim()));
    }
    for (at, name) in names.into_iter().enumerate().skip(from) {
        let troubled =
            now.pools.get(at).is_some_and(|pool| pool.slots == 0 || pool.rejection_probability > 0.0);
        let name = if troubled { format!("{name}!") } else { name };
        spans.push(if at == chosen {
            Span::styled(format!("[{name}]"), palette.chosen())
        } else {
            Span::styled(format!(" {name} "), if troubled { palette.warning() } else { palette.strong() })
        });
    }
    Line::from(spans)
}

/// `text` in lines of at most `width` characters, broken between words; a very long one ends with `…`.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let word = shortened(word, width);
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(&word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    let most = MOST_CHARACTERS.div_ceil(width.max(30));
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(width.saturating_sub(1)).chain(['…']).collect();
        }
    }
    lines
}
