//! A log line for people: time, level, target, message and fields, and the request's ids at the end.

use std::fmt;

use tracing::{Event, Level};
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};

use super::{cut, longest_text};
use crate::scope::current_ids;

/// Formats events as text, coloured where the writer says that colours can be shown.
pub(super) struct TextLines;

impl<N> FormatEvent<Registry, N> for TextLines
where
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, Registry, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (dim, plain) = if writer.has_ansi_escapes() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        write!(writer, "{dim}")?;
        SystemTime.format_time(&mut writer)?;
        let level = event.metadata().level();
        let colour = if writer.has_ansi_escapes() { colour(level) } else { "" };
        write!(writer, "{plain} {colour}{level:>5}{plain} {dim}{}:{plain} ", event.metadata().target())?;
        if writer.has_ansi_escapes() {
            // A terminal, where nobody's disk fills up.
            context.field_format().format_fields(writer.by_ref(), event)?;
        } else {
            let mut fields = String::new();
            context.field_format().format_fields(Writer::new(&mut fields), event)?;
            writer.write_str(&cut(&fields, longest_text(event.metadata().target())))?;
        }
        if let Some(ids) = current_ids() {
            write!(writer, " {dim}request_id={}", ids.request())?;
            if let Some(trace) = ids.trace() {
                write!(writer, " trace_id={trace}")?;
            }
            write!(writer, "{plain}")?;
        }
        writeln!(writer)
    }
}

/// The escape sequence of a level's colour (ECMA-48, SGR).
fn colour(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}
