//! The routers that share the account: how long ago each renewed its lease, and whether they decide by the same flags.

use super::super::units::{shortened, time};
use super::Scene;
use super::title::wrapped;
use crate::report::RouterReport;
use ratatui::text::{Line, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Age from which a router is late: it renews each second, and is forgotten after five.
const LATE_MS: u64 = 2500;

/// One line of routers, and one more where their flags differ.
pub(super) fn lines(scene: Scene<'_>, width: u16) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let mut lines = vec![routers(scene, width)];
    if scene.now.flags_differ {
        let text = format!("FLAGS DIFFER between routers: {}", differences(&scene.now.routers).join(", "));
        lines.extend(
            wrapped(&text, width).into_iter().map(|line| Line::styled(line, scene.palette.warning())),
        );
    }
    lines
}

/// The routers side by side, this one first, as many as fit.
fn routers(scene: Scene<'_>, width: usize) -> Line<'static> {
    let palette = scene.palette;
    let mut routers: Vec<&RouterReport> = scene.now.routers.iter().collect();
    routers.sort_by_key(|router| router.id != scene.now.router);
    let mut spans = vec![Span::styled(format!("Routers {}  ", routers.len()), palette.strong())];
    let mut taken: usize = spans.iter().map(Span::width).sum();
    for (at, router) in routers.iter().enumerate() {
        let late = router.age_ms >= LATE_MS;
        let this = if router.id == scene.now.router { " (this)" } else { "" };
        let late_word = if late { " late!" } else { "" };
        let text = format!("{}{this} {}{late_word}  ", shortened(&router.id, 14), time(router.age_ms as f64));
        let more = format!("+{}", routers.len() - at);
        if taken + text.chars().count() + more.len() > width {
            spans.push(Span::styled(more, palette.dim()));
            break;
        }
        taken += text.chars().count();
        spans.push(if late { Span::styled(text, palette.warning()) } else { Span::raw(text) });
    }
    Line::from(spans)
}

/// The flags that have more than one value, each with its values.
fn differences(routers: &[RouterReport]) -> Vec<String> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in routers
        .iter()
        .flat_map(|router| router.flags.split_whitespace())
        .filter_map(|word| word.split_once('='))
    {
        values.entry(name).or_default().insert(value);
    }
    let several = values.into_iter().filter(|(_, values)| values.len() > 1);
    several
        .map(|(name, values)| format!("{name} {}", values.into_iter().collect::<Vec<_>>().join(" | ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flags_that_differ_are_named() {
        let router = |flags: &str| RouterReport { id: "r".to_owned(), age_ms: 1, flags: flags.to_owned() };
        let routers = [router("a=1 b=2 c=3"), router("a=1 b=4 c=3"), router("")];
        assert_eq!(differences(&routers), ["b 2 | 4"]);
    }
}
