//! Numbers as people read them.

/// Milliseconds: `120 ms`, `8.1 s`, `75 s`, `12 min`.
pub fn time(ms: f64) -> String {
    match ms {
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 9_950.0 => format!("{:.1} s", ms / 1e3),
        ms if ms < 180_000.0 => format!("{:.0} s", ms / 1e3),
        ms => format!("{:.0} min", ms / 6e4),
    }
}

/// A share from 0 to 1. What is more than nothing is never shown as nothing, and what is less than all never as all.
pub fn percent(share: f64) -> String {
    let rounded = (share * 100.0).round();
    let shown = if share > 0.0 && share < 1.0 { rounded.clamp(1.0, 99.0) } else { rounded };
    format!("{shown:.0} %")
}

/// A rate or an amount: one decimal below ten, `1.2k` from a thousand.
pub fn amount(value: f64) -> String {
    match value {
        value if value < 9.95 && value.fract().abs() > 0.05 => format!("{value:.1}"),
        value if value < 999.5 => format!("{value:.0}"),
        value if value < 9_950.0 => format!("{:.1}k", value / 1e3),
        value => format!("{:.0}k", value / 1e3),
    }
}

/// `1 slot`, `3 slots`.
pub fn count(number: u32, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// At most `width` characters of `text`; what is left out in the middle is `…`, so that the ends, which differ, stay.
pub fn shortened(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let Some(kept) = width.checked_sub(1) else { return String::new() };
    let (head, tail) = (kept - kept / 2, kept / 2);
    text.chars().take(head).chain(['…']).chain(text.chars().skip(length - tail)).collect()
}

/// The bar of a value: eight heights up to `most`; a value above nothing has at least the lowest.
pub fn bar(value: f64, most: f64) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if value <= 0.0 || most <= 0.0 {
        return ' ';
    }
    let level = (value / most * 8.0).ceil().clamp(1.0, 8.0);
    BARS.get(level as usize - 1).copied().unwrap_or('█')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_at_every_size() {
        let times = [0.0, 999.4, 999.6, 9_949.0, 9_951.0, 179_000.0, 720_000.0].map(time);
        assert_eq!(times, ["0 ms", "999 ms", "1.0 s", "9.9 s", "10 s", "179 s", "12 min"]);
        assert_eq!([0.0, 0.001, 0.404, 0.999, 1.0].map(percent), ["0 %", "1 %", "40 %", "99 %", "100 %"]);
        let amounts = [0.0, 0.3, 4.0, 12.4, 999.0, 1_234.0, 56_000.0].map(amount);
        assert_eq!(amounts, ["0", "0.3", "4", "12", "999", "1.2k", "56k"]);
        assert_eq!((count(1, "slot"), count(0, "slot")), ("1 slot".to_owned(), "0 slots".to_owned()));
    }

    #[test]
    fn what_is_shortened_keeps_both_ends_and_its_width() {
        assert_eq!(shortened("abcdefgh", 8), "abcdefgh");
        assert_eq!(shortened("abcdefgh", 5), "ab…gh");
        assert_eq!(shortened("äöüäöü", 2), "ä…");
        assert_eq!((shortened("abc", 1), shortened("abc", 0)), ("…".to_owned(), String::new()));
    }

    #[test]
    fn bars_show_something_of_whatever_is_there() {
        assert_eq!([0.0, 0.01, 0.5, 1.0, 9.0].map(|value| bar(value, 1.0)), [' ', '▁', '▄', '█', '█']);
        assert_eq!(bar(1.0, 0.0), ' ');
    }
}
