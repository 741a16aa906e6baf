//! How a log line looks and which lines are written: text for people at a terminal, JSON for machines elsewhere.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::{Layer, Registry, fmt};

use crate::environment::Environment;

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
    /// One JSON object a line, with the fields of the innermost span under `span`.
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

/// The layer that writes log lines.
pub(crate) fn layer(options: LogOptions, environment: &Environment) -> Result<BoxLayer, ParseError> {
    let filter = EnvFilter::try_new(environment.get("RUST_LOG").map_or(options.level, str::to_owned))?;
    let terminal = std::io::stderr().is_terminal();
    let text = match options.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    if text {
        let colour = terminal && environment.get("NO_COLOR").is_none();
        return Ok(lines.with_ansi(colour).with_filter(filter).boxed());
    }
    Ok(lines.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
