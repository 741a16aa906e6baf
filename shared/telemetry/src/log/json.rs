//! A log line for machines: one JSON object with time, level, message, the event's fields, target, and the request's ids.

use std::fmt;
use std::io::Write as _;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{cut, longest_text};
use crate::scope::current_ids;

/// Formats events as JSON.
pub(super) struct JsonLines;

impl<N> FormatEvent<Registry, N> for JsonLines
where
    Registry: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, Registry, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Line { bytes: Vec::new(), longest: longest_text(event.metadata().target()) };
        line.put("timestamp", &time);
        line.put("level", event.metadata().level().as_str());
        event.record(&mut line);
        line.put("target", event.metadata().target());
        if let Some(ids) = current_ids() {
            line.put("request_id", ids.request());
            if let Some(trace) = ids.trace() {
                line.put("trace_id", &trace.to_string());
            }
        }
        writer.write_str(line.end()?)
    }
}

/// A JSON object under construction.
struct Line {
    bytes: Vec<u8>,
    /// Bytes of a text that are written.
    longest: usize,
}

impl Line {
    /// Adds a member; writing into memory cannot fail, and numbers, truths and text always serialise.
    fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.bytes.push(if self.bytes.is_empty() { b'{' } else { b',' });
        let written = serde_json::to_writer(&mut self.bytes, name).and_then(|()| {
            self.bytes.push(b':');
            serde_json::to_writer(&mut self.bytes, value)
        });
        if written.is_err() {
            self.bytes.extend_from_slice(b"null");
        }
    }

    /// The whole line.
    fn end(&mut self) -> Result<&str, fmt::Error> {
        self.bytes.write_all(b"}\n").map_err(|_| fmt::Error)?;
        std::str::from_utf8(&self.bytes).map_err(|_| fmt::Error)
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.put(field.name(), &*cut(&text, self.longest));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), &*cut(value, self.longest));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value);
    }
}
