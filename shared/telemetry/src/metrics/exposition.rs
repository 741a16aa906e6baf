//! The text of a scrape, taken apart: to give it to a scraper in the format that it asks for, to join two registries into one
//! text, and to translate it for a collector.
//!
//! What is read here is what this crate's own registries write: OpenMetrics 1.0 without timestamps. Formats:
//! OpenMetrics 1.0 (prometheus.io/docs/specs/om/open_metrics_spec) and Prometheus's text format 0.0.4
//! (prometheus.io/docs/instrumenting/exposition_formats).

use std::collections::HashSet;
use std::fmt::Write;

/// A format of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own text, which everything reads.
    Prometheus,
    /// OpenMetrics, which has exemplars.
    OpenMetrics,
}

impl Format {
    /// What a scraper asks for by its `accept` header: OpenMetrics where it names it and likes it no less than plain text.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let open = liking(accept, "application/openmetrics-text");
        let plain = liking(accept, "text/plain");
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The content type of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The highest quality value that `accept` gives a media type; 0 where it does not name it.
fn liking(accept: &str, media: &str) -> f64 {
    let entries = accept.split(',').filter_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media));
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse::<f64>().ok());
        named.then_some(quality.unwrap_or(1.0))
    });
    entries.fold(0.0, f64::max)
}

/// A text of metrics, taken apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition<'a> {
    /// Its families, in the order of the text.
    pub families: Vec<MetricFamily<'a>>,
}

/// All samples of one name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricFamily<'a> {
    /// The name, without `_total` or `_info`.
    pub name: &'a str,
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: &'a str,
    /// What it means.
    pub help: &'a str,
    /// Its lines.
    pub samples: Vec<Sample<'a>>,
}

/// One line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample<'a> {
    /// The name with its suffix.
    pub name: &'a str,
    /// What stands between the braces; empty without labels.
    pub labels: &'a str,
    /// The value as text.
    pub value: &'a str,
    /// What stands behind `# ` after the value: labels in braces, then a value.
    pub exemplar: Option<&'a str>,
}

impl<'a> Exposition<'a> {
    /// Takes a text apart. Lines that are no line of OpenMetrics are left out.
    #[must_use]
    pub fn read(text: &'a str) -> Self {
        let mut families: Vec<MetricFamily<'a>> = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                families.push(MetricFamily { name, help, ..MetricFamily::default() });
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                if let (Some(family), Some((_, kind))) = (families.last_mut(), rest.split_once(' ')) {
                    family.kind = kind;
                }
            } else if let (Some(family), Some(sample)) = (families.last_mut(), Sample::read(line)) {
                family.samples.push(sample);
            }
        }
        Self { families }
    }

    /// Adds the samples of another text; one that is here already, such as a figure of the same process, stays as it is.
    pub fn join(&mut self, other: Exposition<'a>) {
        for family in other.families {
            let Some(mine) = self.families.iter_mut().find(|mine| mine.name == family.name) else {
                self.families.push(family);
                continue;
            };
            let known: HashSet<_> = mine.samples.iter().map(|sample| (sample.name, sample.labels)).collect();
            let new = |sample: &Sample<'_>| !known.contains(&(sample.name, sample.labels));
            let more: Vec<_> = family.samples.into_iter().filter(new).collect();
            mine.samples.extend(more);
        }
    }

    /// The text in a format.
    #[must_use]
    pub fn write(&self, format: Format) -> String {
        let mut out = String::new();
        for family in &self.families {
            family.write(format, &mut out);
        }
        if format == Format::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }
}

impl MetricFamily<'_> {
    fn write(&self, format: Format, out: &mut String) {
        let Self { name, kind, help, samples } = self;
        // In plain text a family is named as its samples are, and there is no type for constants.
        let (suffix, kind) = match (format, *kind) {
            (Format::Prometheus, "counter") => ("_total", "counter"),
            (Format::Prometheus, "info") => ("_info", "gauge"),
            (Format::Prometheus, "unknown") => ("", "untyped"),
            (_, kind) => ("", kind),
        };
        // Writing into a String cannot fail.
        let _ = writeln!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
        for Sample { name, labels, value, exemplar } in samples {
            out.push_str(name);
            if !labels.is_empty() {
                let _ = write!(out, "{{{labels}}}");
            }
            let _ = write!(out, " {value}");
            if let (Format::OpenMetrics, Some(exemplar)) = (format, exemplar) {
                let _ = write!(out, " # {exemplar}");
            }
            out.push('\n');
        }
    }
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(inside) => {
                let end = closing(inside)?;
                (&inside[..end], &inside[end + 1..])
            }
            None => ("", rest),
        };
        let rest = rest.strip_prefix(' ')?;
        let (value, exemplar) = match rest.split_once(" # ") {
            Some((value, exemplar)) => (value, Some(exemplar)),
            None => (rest, None),
        };
        Some(Self { name, labels, value, exemplar })
    }

    /// The labels, unescaped.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'a str, String)> {
        pairs(self.labels)
    }

    /// The exemplar's labels and value.
    #[must_use]
    pub fn exemplar(&self) -> Option<(Vec<(&'a str, String)>, f64)> {
        let inside = self.exemplar?.strip_prefix('{')?;
        let end = closing(inside)?;
        let value = inside[end + 1..].split_whitespace().next()?.parse().ok()?;
        Some((pairs(&inside[..end]), value))
    }
}

/// Where the brace closes that was opened before `inside`: a quoted value may hold braces of its own.
fn closing(inside: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// `name="value",…` as pairs.
fn pairs(mut labels: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    while let Some((name, rest)) = labels.split_once("=\"") {
        let mut value = String::new();
        let mut letters = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match letters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, other)) => value.push(other),
                    None => break,
                },
                other => value.push(other),
            }
        }
        found.push((name.trim_start_matches(','), value));
        labels = &rest[end..];
    }
    found
}

#[cfg(test)]
mod tests;
