//! One attempt on one backend, as the trace shows it: a CLIENT span by the GenAI conventions, from the sending of the request to the last
//! byte of its answer. What it finds out (first token, usage) is noted for the access line too.

use super::Job;
use super::access::{CLIENT_GONE, Notes};
use super::content::Content;
use super::usage::AnswerEnd;
use crate::error::ErrorKind;
use crate::ledger::Grant;
use crate::upstream::EMBEDDED_URL;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use std::time::Duration;
use tidegate_telemetry::{KeyValue, Span};
use tidegate_wire::openai::{COMPLETIONS_PATH, EMBEDDINGS_PATH, Usage};
use tidegate_wire::usage;
use tokio::time::Instant;

/// Stands for an error that the answer's status names.
const BY_STATUS: &str = "status";

/// An attempt under way. Dropped before it has ended, its client has gone.
#[derive(Debug)]
pub struct Call {
    notes: Notes,
    /// None where the request is not traced.
    span: Span,
    arrived: Instant,
    sent: Instant,
    stream: bool,
    /// From the sending to the first piece of a stream.
    first_chunk: Option<Duration>,
    end: AnswerEnd,
    usage: Option<Usage>,
    /// On the heap, since mostly there is none.
    content: Option<Box<Content>>,
    status: Option<StatusCode>,
    /// How it ended: `Ok`, or the word for what went wrong. None while it goes on.
    ended: Option<Result<(), &'static str>>,
}

impl Call {
    /// An attempt on the slot of `grant`, which was given just now, after so many on others. With `log_content` prompt and answer are written
    /// down.
    pub(super) fn begin(job: &Job, grant: &Grant, now: Instant, resends: u32, log_content: bool) -> Self {
        let notes = job.notes.clone();
        let mut facts = notes.facts();
        facts.backend = Some(grant.backend.clone());
        facts.resends = resends;
        drop(facts);
        let span = if notes.traced() { open(job, grant, resends, notes.server()) } else { Span::none() };
        Self {
            notes,
            span,
            arrived: job.arrived,
            sent: now,
            stream: job.stream,
            first_chunk: None,
            end: AnswerEnd::default(),
            usage: None,
            content: log_content.then(|| Box::new(Content::new(&job.body, job.stream))),
            status: None,
            ended: None,
        }
    }

    /// Writes this attempt's context into the headers for the backend: the client's own where nothing is exported.
    pub(super) fn inject(&self, headers: &mut HeaderMap) {
        if self.notes.traced() {
            self.span.inject(headers);
        } else {
            self.notes.scope().inject(headers);
        }
    }

    /// When it was sent.
    pub(super) fn sent(&self) -> Instant {
        self.sent
    }

    /// The head of the answer is there.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        if self.notes.traced() {
            let status = i64::from(status.as_u16());
            self.span.annotate([KeyValue::new("http.response.status_code", status)]);
        }
    }

    /// A piece of the answer passes.
    pub(super) fn passed(&mut self, data: &Bytes) {
        if self.stream && self.first_chunk.is_none() {
            let now = Instant::now();
            self.first_chunk = Some(now - self.sent);
            self.notes.facts().first_token = Some(now - self.arrived);
        }
        self.end.passed(data);
        if let Some(content) = &mut self.content {
            content.passed(data);
        }
    }

    /// What stands behind the last piece.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        self.usage = usage::read(trailers);
    }

    /// What a whole answer has cost, as far as the backend has told.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether a stream has told its end, although more may seem to come.
    pub(super) fn told_its_end(&self) -> bool {
        self.end.is_last_word()
    }

    /// The whole answer has passed, which is what the client asked for or the backend's own error.
    pub(super) fn finished(&mut self) {
        self.usage = self.usage.or_else(|| self.end.usage());
        self.notes.facts().usage = self.usage;
        let succeeded = self.status.is_none_or(|status| status.is_success());
        self.ended = Some(if succeeded { Ok(()) } else { Err(BY_STATUS) });
    }

    /// It failed, and how.
    pub(super) fn failed(&mut self, how: &'static str) {
        self.ended = Some(Err(how));
    }

    /// The answer broke off in the middle: the request's own end too.
    pub(super) fn broken(&mut self, kind: ErrorKind) {
        self.failed(kind.code());
        self.notes.failed(kind);
    }

    /// The backend did not take it, or could not be reached: the request goes on to another one.
    pub(super) fn refused(mut self, how: &'static str) {
        self.failed(how);
        if self.notes.traced() {
            let facts = self.notes.facts();
            let attributes = vec![
                KeyValue::new("tidegate.code", how),
                KeyValue::new("tidegate.backend", facts.backend.clone().unwrap_or_default()),
            ];
            drop(facts);
            self.notes.server().event("tidegate.refused_by_backend", attributes);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let ended = self.ended.unwrap_or(Err(CLIENT_GONE));
        // One that broke off may have told it too.
        let usage = self.usage.or_else(|| self.end.usage());
        self.notes.facts().usage = usage;
        if let Err(CLIENT_GONE) = ended {
            self.notes.facts().code = Some(CLIENT_GONE);
        }
        if let Some(content) = &self.content {
            content.write(self.notes.scope(), &self.span);
        }
        if !self.notes.traced() {
            return;
        }
        let first = self.first_chunk;
        let first =
            first.map(|first| KeyValue::new("gen_ai.response.time_to_first_chunk", first.as_secs_f64()));
        self.span.annotate(first.into_iter().chain(usage.into_iter().flat_map(tokens)));
        match (ended, self.status) {
            (Err(BY_STATUS), Some(status)) => self.span.fail(status.as_str().to_owned()),
            (Err(how), _) => self.span.fail(how),
            (Ok(()), _) => {}
        }
        self.span.end();
    }
}

fn tokens(usage: Usage) -> impl Iterator<Item = KeyValue> {
    let number = |name, tokens: u64| KeyValue::new(name, i64::try_from(tokens).unwrap_or(i64::MAX));
    let cached = usage.prompt_tokens_details.map(|details| details.cached_tokens);
    [
        number("gen_ai.usage.input_tokens", usage.prompt_tokens),
        number("gen_ai.usage.output_tokens", usage.completion_tokens),
    ]
    .into_iter()
    .chain(cached.map(|cached| number("gen_ai.usage.cache_read.input_tokens", cached)))
}

/// Opens the span with what is known before anything is sent.
fn open(job: &Job, grant: &Grant, resends: u32, server: &Span) -> Span {
    let operation = match job.target.path() {
        COMPLETIONS_PATH => "text_completion",
        EMBEDDINGS_PATH => "embeddings",
        _ => "chat",
    };
    let name = format!("{operation} {}", job.model);
    let span = tracing::info_span!(parent: server.id(), "call", otel.kind = "client");
    let span = Span::of(span);
    span.rename(name);
    let mut known = vec![
        KeyValue::new("gen_ai.operation.name", operation),
        KeyValue::new("gen_ai.provider.name", "tidegate"),
        KeyValue::new("gen_ai.request.model", job.model.clone()),
        KeyValue::new("tidegate.backend", grant.backend.clone()),
        KeyValue::new("tidegate.attempt", grant.attempt.as_str().to_owned()),
    ];
    if job.stream {
        known.push(KeyValue::new("gen_ai.request.stream", true));
    }
    if let Some(most) = job.max_tokens.and_then(|most| i64::try_from(most).ok()) {
        known.push(KeyValue::new("gen_ai.request.max_tokens", most));
    }
    if resends > 0 {
        known.push(KeyValue::new("http.request.resend_count", i64::from(resends)));
    }
    known.extend(address(&grant.url));
    span.annotate(known);
    span
}

/// Where the backend is; one in this very process is nowhere.
fn address(url: &str) -> Vec<KeyValue> {
    let Some(uri) = (url != EMBEDDED_URL).then(|| url.parse::<Uri>().ok()).flatten() else {
        return Vec::new();
    };
    let host = uri.host().map(|host| KeyValue::new("server.address", host.to_owned()));
    let port = KeyValue::new("server.port", i64::from(uri.port_u16().unwrap_or(80)));
    host.into_iter().chain([port]).collect()
}
