//! Streamed answers: server-sent events from a task of their own, so that the deadline holds even where the client does
//! not read, and a client that leaves cancels the work at once.

mod events;

use super::{
    answer::{Started, engine_failed, timeout},
    choices::Piece,
    format::Format,
};
use crate::error::ApiError;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use events::{Cut, Events};
use http::{HeaderValue, header};
use std::time::Duration;
use tidegate_telemetry::RequestScope;
use tidegate_wire::{
    header::ACCEL_BUFFERING,
    sse,
    usage::{self, USAGE},
};
use tokio::time::{Instant, timeout_at};

/// Opens the stream with its first piece, so that what fails before is answered with a real status; but not later than
/// after one keep-alive interval.
pub(super) async fn open<F: Format>(
    mut started: Started<F>,
    keep_alive: Duration,
) -> Result<Response, ApiError> {
    let patience = (Instant::now() + keep_alive).min(started.deadline);
    let first = match timeout_at(patience, started.choices.next()).await {
        Ok(Some(Piece::Failed { message })) => Err(engine_failed(&message)),
        Ok(Some(Piece::TimedOut)) => Err(timeout()),
        Err(_) if Instant::now() >= started.deadline => Err(timeout()),
        Ok(first) => Ok(first),
        Err(_) => Ok(None),
    };
    let first = match first {
        Ok(first) => first,
        Err(error) => return Err(started.running.failed(error)),
    };
    let (events, body) = events::channel(started.deadline, keep_alive);
    let tell_usage = started.tell_usage;
    started.running.opened();
    let span = started.running.tally.span.clone();
    tokio::spawn(RequestScope::current().follow(span.follow(send(started, events, first))));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(sse::CONTENT_TYPE)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    let mut answer = (headers, Body::new(body)).into_response();
    if tell_usage {
        answer.headers_mut().insert(header::TRAILER, HeaderValue::from_name(USAGE));
    }
    Ok(answer)
}

async fn send<F: Format>(mut started: Started<F>, events: Events, first: Option<Piece>) {
    match send_all(&mut started, &events, first).await {
        Ok(()) => {
            let usage = started.choices.usage();
            if started.tell_usage {
                events.trailer(usage::trailer(&usage));
            }
            started.running.succeeded(usage);
        }
        Err(Cut::Left) => drop(started),
        Err(Cut::Failed(error)) => {
            // The work is cancelled before the client hears of it: a retry then finds the slot free.
            drop(started.choices);
            let error = started.running.failed(error);
            events.last_word(sse::data(&error.to_body().to_json()));
        }
    }
}

async fn send_all<F: Format>(
    started: &mut Started<F>,
    events: &Events,
    first: Option<Piece>,
) -> Result<(), Cut> {
    let Started { running, choices, format, .. } = started;
    for index in 0..u32::try_from(choices.asked()).unwrap_or(u32::MAX) {
        if let Some(opening) = format.opening(index) {
            events.send(sse::data(&opening)).await?;
        }
    }
    let mut first = first;
    loop {
        let piece = match first.take() {
            Some(piece) => Some(piece),
            None => events.unless_cut(choices.next()).await?,
        };
        running.tally.piece(choices.usage(), piece.as_ref().and_then(Piece::reason));
        let next = match piece {
            Some(Piece::Text { index, said }) => format.text(index, said),
            Some(Piece::End { index, said, reason }) => format.closing(index, said, reason),
            Some(Piece::Failed { message }) => return Err(Cut::Failed(engine_failed(&message))),
            Some(Piece::TimedOut) => return Err(Cut::Failed(timeout())),
            None => break,
        };
        for event in next {
            events.send(sse::data(&event)).await?;
        }
    }
    if let Some(usage) = format.usage(choices.usage()) {
        events.send(sse::data(&usage)).await?;
    }
    events.send(sse::DONE).await
}
