//! `GET /live`: the snapshots as server-sent events, one at once and then four a second.

use super::history::Point;
use super::{Live, Snapshot};
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use tidegate_wire::error::ErrorBody;
use tidegate_wire::{header as names, sse};
use tokio::sync::watch;

/// Clients that may listen at once. Each may hold an event of up to a megabyte until it reads it.
const MOST_LISTENERS: usize = 64;

/// The part of an event that tells of the last minutes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryReport<P = Point> {
    /// Time from one point to the next.
    pub step_ms: u64,
    /// Whose numbers they are.
    pub scope: Scope,
    /// In the first event all points, in later ones those that were not sent yet. The newest is the last.
    pub points: Vec<P>,
}

/// Which fields of a point tell of this router alone, and which of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// What this router alone did.
    pub router: Vec<String>,
    /// What the whole fleet had.
    pub fleet: Vec<String>,
}

impl Default for Scope {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            router: words(&["accepted", "rejected", "failed", "waited_ms", "first_token_ms", "tokens"]),
            fleet: words(&["running", "abandoned", "queued", "slots"]),
        }
    }
}

/// The handler.
pub async fn handle(State(shared): State<Shared>) -> Response {
    let Some(listener) = Listener::new(&shared.live) else {
        let message = format!("{MOST_LISTENERS} clients listen already; close one of them");
        let body = ErrorBody::new("overloaded_error", "too_many_listeners", message);
        return tidegate_serve::door::error_response(StatusCode::SERVICE_UNAVAILABLE, &body);
    };
    let headers = [
        (header::CONTENT_TYPE, sse::CONTENT_TYPE),
        (header::CACHE_CONTROL, "no-store"),
        (names::ACCEL_BUFFERING, "no"),
    ];
    (headers, Body::from_stream(stream::unfold(listener, Listener::next))).into_response()
}

/// One client that listens. It is asked for the next event when the last one has gone out, and then takes the newest
/// snapshot there is: a slow client skips what it missed.
struct Listener {
    live: Arc<Live>,
    latest: watch::Receiver<Option<Arc<Snapshot>>>,
    /// The number of the first point that it has not been sent.
    seen: u64,
}

impl Listener {
    fn new(live: &Arc<Live>) -> Option<Self> {
        if live.latest.receiver_count() >= MOST_LISTENERS {
            return None;
        }
        let latest = live.latest.subscribe();
        live.wake.notify_one();
        Some(Self { live: live.clone(), latest, seen: 0 })
    }

    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        tokio::select! {
            changed = self.latest.changed() => changed.ok()?,
            () = self.live.ended.cancelled() => return None,
        }
        let snapshot = self.latest.borrow_and_update().clone()?;
        let event = self.event(&snapshot);
        Some((Ok(event), self))
    }

    /// The snapshot is written once for all; what differs is how far each client has read the history.
    fn event(&mut self, snapshot: &Snapshot) -> Bytes {
        let (points, next) = self.live.history().since(self.seen);
        self.seen = next;
        let report =
            HistoryReport { step_ms: super::STEP.as_millis() as u64, scope: Scope::default(), points };
        let points = serde_json::to_string(&report.borrowed()).unwrap_or_default();
        sse::data(&format!("{},\"history\":{points}}}", snapshot.opened()))
    }
}

impl HistoryReport<Arc<Point>> {
    /// The same with points that can be written as JSON.
    fn borrowed(&self) -> HistoryReport<&Point> {
        let points = self.points.iter().map(AsRef::as_ref).collect();
        HistoryReport { step_ms: self.step_ms, scope: self.scope.clone(), points }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn publish(live: &Live, at_ms: u64) {
        live.latest.send_replace(Some(Arc::new(Snapshot(format!("{{\"at_ms\":{at_ms}}}")))));
    }

    async fn next(listener: Listener) -> Option<(Value, Listener)> {
        let (event, listener) = listener.next().await?;
        let event = event.unwrap();
        let json = event.strip_prefix(b"data: ").and_then(|json| json.strip_suffix(b"\n\n")).unwrap();
        Some((serde_json::from_slice(json).unwrap(), listener))
    }

    #[tokio::test]
    async fn a_slow_client_finds_only_the_newest_snapshot_and_all_points() {
        let live = Arc::new(Live::default());
        let mut listener = Listener::new(&live).unwrap();
        for at in 1..=3 {
            publish(&live, at);
            live.history().push(Point { t: at, ..Point::default() });
        }
        let (event, same) = next(listener).await.unwrap();
        listener = same;
        assert_eq!(
            (&event["at_ms"], event["history"]["points"].as_array().unwrap().len()),
            (&Value::from(3), 3)
        );
        assert_eq!(event["history"]["step_ms"], 1000);
        live.history().push(Point { t: 4, ..Point::default() });
        publish(&live, 4);
        let (event, listener) = next(listener).await.unwrap();
        assert_eq!(event["history"]["points"][0]["t"], 4);
        live.end();
        assert!(next(listener).await.is_none());
        assert_eq!(live.latest.receiver_count(), 0, "who is gone takes no place");
    }
}
