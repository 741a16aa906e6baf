//! How a log line looks and which lines are written: text for people at a terminal, JSON for machines elsewhere.

mod filter;
mod json;
mod text;

use std::borrow::Cow;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::environment::Environment;
use filter::LineFilter;
use json::JsonLines;
use text::TextLines;

/// Target of the lines that say how a request ended, one for each. They are no events of spans: spans say it themselves.
pub const ACCESS: &str = "tidegate::access";
/// Target of the lines that hold prompts and answers: written only where the operator asks for them (`--log-content`).
pub const CONTENT: &str = "tidegate::content";

/// Bytes of a text in a line: of a field's value in JSON, of all fields otherwise.
const LONGEST_TEXT: usize = 8 * 1024;

/// Bytes of a text that lines of this target hold. What an operator asks for by `--log-content` is written whole: the body that it is from is bounded.
fn longest_text(target: &str) -> usize {
    if target == CONTENT { usize::MAX } else { LONGEST_TEXT }
}

/// At most so many bytes of a text, and a sign where some are missing.
fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(longest)]))
}

/// A layer of the subscriber that [`init`](crate::init) builds.
pub(crate) type BoxLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The shape of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text when standard error is a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One line for people, coloured on a terminal unless `NO_COLOR` is set.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is not one of auto, text, json")),
        }
    }
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// What is logged, and how. Logs go to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// The shape of a line.
    pub format: LogFormat,
    /// A level (`info`) or a filter (`info,tidegate_router=debug`). `RUST_LOG`, where set, is used instead.
    pub level: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

/// The layer that writes log lines to standard error.
pub(crate) fn layer(options: LogOptions, environment: &Environment) -> Result<BoxLayer, ParseError> {
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && environment.get("NO_COLOR").is_none();
    lines(options, environment, terminal, colour, std::io::stderr)
}

/// The same with any writer, which is a terminal or not and shows colours or not.
fn lines<W>(
    options: LogOptions,
    environment: &Environment,
    terminal: bool,
    colour: bool,
    writer: W,
) -> Result<BoxLayer, ParseError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter =
        LineFilter(EnvFilter::try_new(environment.get("RUST_LOG").map_or(options.level, str::to_owned))?);
    let text = match options.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer().with_writer(writer);
    if text {
        return Ok(lines.with_ansi(colour).event_format(TextLines).with_filter(filter).boxed());
    }
    // The fields of spans are not shown: they need not be formatted.
    let lines = lines.fmt_fields(debug_fn(|_, _, _| Ok(())));
    Ok(lines.event_format(JsonLines).with_filter(filter).boxed())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{HeaderMap, HeaderValue};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::environment::Propagator;
    use crate::propagation::composite;
    use crate::scope::RequestScope;

    #[test]
    fn formats_read_as_they_are_written() {
        for format in [LogFormat::Auto, LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("xml".parse::<LogFormat>().unwrap_err().contains("auto, text, json"));
    }

    #[test]
    fn the_variable_wins_over_the_option_and_nonsense_is_refused() {
        let nonsense = LogOptions { level: "tidegate=loud".to_owned(), ..LogOptions::default() };
        assert!(layer(nonsense.clone(), &Environment::default()).is_err());
        let variable = [("RUST_LOG", "debug")].into_iter().collect();
        assert!(layer(nonsense, &variable).is_ok());
    }

    /// Collects what is written.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of a request and beside it.
    fn logged(format: LogFormat, terminal: bool, filter: &str) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let options = LogOptions { format, level: filter.to_owned() };
        let layer = lines(options, &Environment::default(), terminal, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            opentelemetry::global::set_text_map_propagator(composite(&[Propagator::TraceContext]));
            let mut headers = HeaderMap::new();
            let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            headers.insert("traceparent", HeaderValue::from_static(parent));
            let id = HeaderValue::from_static("req-1");
            RequestScope::silent(&headers, id).enter(|| {
                let below = tracing::info_span!(target: "tidegate_test", "below", secret = "nor this");
                below.in_scope(
                    || tracing::warn!(target: "tidegate_test", waited_ms = 1.5, code = "a\"b", "slow"),
                );
            });
            tracing::info!(target: "tidegate_test", "beside");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_has_the_events_fields_and_the_requests_ids_and_nothing_of_spans() {
        let text = logged(LogFormat::Auto, false, "info");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [slow, beside] = lines.as_slice() else { panic!("{text}") };
        assert_eq!(
            (&slow["message"], &slow["level"], &slow["target"]),
            (&"slow".into(), &"WARN".into(), &"tidegate_test".into())
        );
        assert_eq!((&slow["waited_ms"], &slow["code"]), (&1.5.into(), &"a\"b".into()));
        assert_eq!(slow["request_id"], "req-1");
        assert_eq!(slow["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(beside.get("request_id").is_none() && beside.get("trace_id").is_none(), "{beside}");
        assert!(!text.contains("not shown") && !text.contains("nor this"), "{text}");
    }

    #[test]
    fn a_line_is_never_longer_than_it_may_be_but_for_what_was_asked_for() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let sink = Sink::default();
            let writer = sink.clone();
            let options = LogOptions { format, level: "info".to_owned() };
            let layer =
                lines(options, &Environment::default(), false, false, move || writer.clone()).unwrap();
            let long = "é".repeat(100_000);
            tracing::subscriber::with_default(Registry::default().with(layer), || {
                tracing::warn!(target: "tidegate_test", long, debug = ?long, "long");
                tracing::info!(target: CONTENT, long, "asked for");
            });
            let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
            let lengths: Vec<usize> = text.lines().map(str::len).collect();
            assert_eq!(lengths.len(), 2, "{format}");
            assert!(lengths[0] > LONGEST_TEXT && lengths[0] < 3 * LONGEST_TEXT, "{format}: {lengths:?}");
            assert!(lengths[1] > long.len(), "{format}: {lengths:?}");
        }
    }

    #[test]
    fn a_text_line_ends_with_the_ids() {
        let text = logged(LogFormat::Auto, true, "info");
        let slow = text.lines().next().unwrap();
        assert!(slow.contains(" WARN tidegate_test: slow waited_ms=1.5"), "{slow}");
        assert!(slow.ends_with("request_id=req-1 trace_id=4bf92f3577b34da6a3ce929d0e0e4736"), "{slow}");
        assert!(!text.contains("not shown"), "{text}");
    }

    #[test]
    fn a_filter_that_hides_most_lines_does_not_take_the_ids_of_the_others() {
        let text = logged(LogFormat::Json, true, "warn");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("req-1"), "{text}");
    }
}
